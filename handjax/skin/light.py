"""Where light comes from: lamps, of which the first throws shadows, and the light of the surroundings."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.skin.params import Number, Vector


class SkinLight(NamedTuple):
    """Camera axes (x right, y down, z forward), linear light.

    directions (L, 3) towards the lamps; colors (L, 3) their intensities; around (9, 3): radiance of the surroundings as
    spherical harmonics of degree 2, as `around` makes them; softness: the size of the first lamp as a tangent (0.03 for
    the sun through haze, 0.2 for a window); exposure: factor on everything.
    """

    directions: Vector
    colors: Vector
    around: Vector
    softness: Number
    exposure: Number


# Constants of real spherical harmonics, in the order 1, y, z, x, xy, yz, 3z^2 - 1, xz, x^2 - y^2.
_NORMS = np.array([0.282095, 0.488603, 0.488603, 0.488603, 1.092548, 1.092548, 0.315392, 1.092548, 0.546274])
_COSINE_LOBE = np.array([1.0, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25])
"""What remains of each coefficient in the mean radiance of a hemisphere, weighted by the cosine (Ramamoorthi 2001)."""


def around(sky: Sequence[float], ground: Sequence[float], blobs: Sequence[Sequence[float]] = ()) -> np.ndarray:
    """(3,) radiances from above and below, and (B, 6) rows direction and radiance of broad lights, -> (9, 3).

    Between above and below the light changes linearly; a blob is spread over about a fifth of the sphere.
    """
    above, below = np.asarray(sky, float), np.asarray(ground, float)
    coefficients = np.zeros((9, 3))
    coefficients[0] = 0.5 * (above + below) / _NORMS[0]
    coefficients[1] = -0.5 * (above - below) / _NORMS[1]
    for row in np.asarray(blobs, float).reshape(-1, 6):
        direction = row[:3] / np.linalg.norm(row[:3])
        basis = np.array([float(value) for value in harmonics(*direction)])
        coefficients += np.outer(basis * 2.5 * _COSINE_LOBE, row[3:])
    return coefficients.astype(np.float32)


def harmonics(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> list[Array]:
    """Nine spherical harmonics of a unit direction given as three arrays."""
    x, y, z = jnp.asarray(x), jnp.asarray(y), jnp.asarray(z)
    plain = [jnp.ones_like(x), y, z, x, x * y, y * z, 3.0 * z * z - 1.0, x * z, x * x - y * y]
    return [float(norm) * value for norm, value in zip(_NORMS, plain, strict=True)]


def irradiance(coefficients: Vector) -> Array:
    """(9, 3) radiance -> (9, 3) of the irradiance over pi: what a white matt surface shows."""
    return jnp.asarray(coefficients) * jnp.asarray(_COSINE_LOBE, jnp.float32)[:, None]


WINDOW = SkinLight(
    directions=np.array([[-0.55, -0.65, -0.55], [0.8, -0.1, -0.4]], np.float32),
    colors=np.array([[2.1, 2.0, 1.85], [0.35, 0.38, 0.45]], np.float32),
    around=around((0.42, 0.43, 0.46), (0.22, 0.20, 0.18)),
    softness=0.10,
    exposure=0.62,
)
"""Daylight from the upper left in a bright room."""


def sample_light(key: Array) -> SkinLight:
    """Indoors or outdoors, from any upper side, warm to cool, soft to hard. For many: `jax.vmap(sample_light)`."""
    draws = iter(jax.random.uniform(key, (24,)))

    def between(low: float, high: float, count: int = 0) -> Array:
        some = jnp.stack([next(draws) for _ in range(count)]) if count else next(draws)
        return low + some * (high - low)

    azimuth, height = between(-1.0, 1.0) * 1.7, between(0.1, 1.3)
    key_lamp = jnp.stack([jnp.sin(azimuth) * jnp.cos(height), -jnp.sin(height), -jnp.cos(azimuth) * jnp.cos(height)])
    second = between(-1.0, 1.0, 3) * jnp.array([1.0, 0.6, 1.0])
    warmth = between(-0.25, 0.22)
    tint = jnp.stack([1.0 + 0.6 * warmth, jnp.ones(()), 1.0 - 0.9 * warmth])
    share = between(0.3, 0.85)
    sky_tint = jnp.stack([1.0 - 0.3 * warmth, jnp.ones(()), 1.0 + 0.3 * warmth]) * between(0.85, 1.15, 3)
    ground = between(0.2, 0.9) * between(0.8, 1.2, 3)
    base = (1.0 - share) * sky_tint
    coefficients = jnp.zeros((9, 3)).at[0].set(0.5 * base * (1.0 + ground) / _NORMS[0])
    coefficients = coefficients.at[1].set(-0.5 * base * (1.0 - ground) / _NORMS[1])
    coefficients = coefficients.at[2:4].add(between(-0.25, 0.25, 2)[:, None] * base[None])
    return SkinLight(
        directions=jnp.stack([key_lamp, second]),
        colors=jnp.stack([2.8 * share * tint, between(0.0, 0.5) * sky_tint]),
        around=coefficients,
        softness=between(0.02, 0.2),
        exposure=0.75 * jnp.exp(between(-0.35, 0.3)),
    )
