"""A soft studio light: two lamps, light from above and around, a faint gloss."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from handjax.checks import check_last_axes, check_shape
from handjax.render.view import as_float


class Light(NamedTuple):
    """directions (L, 3) towards the lamps in the camera frame; strengths (L,), the others ().

    ambient: from everywhere; sky: from above (-y); gloss: of the first lamp's highlight; wrap in [0, 1]: how far lamps
    reach past the terminator, as in skin; rim in [0, 1]: how much grazing surfaces darken, which parts fingers.
    """

    directions: ArrayLike
    strengths: ArrayLike
    ambient: ArrayLike
    sky: ArrayLike
    gloss: ArrayLike
    wrap: ArrayLike
    rim: ArrayLike


SOFT_LIGHT = Light(
    directions=np.array([[-0.50, -0.65, -0.60], [0.75, 0.15, -0.50]], np.float32),
    strengths=np.array([0.95, 0.25], np.float32),
    ambient=0.12,
    sky=0.10,
    gloss=0.12,
    wrap=0.15,
    rim=0.45,
)
"""Key light from the upper left, a weak one from the right."""


@jax.jit
def vertex_normals(vertices: ArrayLike, faces: ArrayLike) -> Array:
    """(V, 3), (F, 3) -> (V, 3) unit normals, outwards: the mean of the faces around, weighted by their area."""
    check_shape("vertices", vertices, ("V", 3))
    check_shape("faces", faces, ("F", 3))
    vertices, faces = as_float(vertices), jnp.asarray(faces, jnp.int32)
    corners = vertices[faces]
    across = jnp.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = jnp.zeros_like(vertices).at[faces.reshape(-1)].add(jnp.repeat(across, 3, axis=0))
    square = (total**2).sum(axis=-1, keepdims=True)
    # Areas are about 1e-5 m^2, so the guard must be far below 1e-10; a lone vertex keeps a zero normal.
    known = square > 1e-30
    return jnp.where(known, total / jnp.sqrt(jnp.where(known, square, 1.0)), 0.0)


@jax.jit
def shade(normals: ArrayLike, colors: ArrayLike, light: Light = SOFT_LIGHT) -> Array:
    """Lit colours (..., 3) in [0, 1] of surfaces with normals (..., 3) of any length and colours (..., 3) in [0, 1].

    Colours are as displayed; light adds up in linear intensity, taken as their square (a gamma of 2 costs a root).
    """
    check_last_axes("normals", normals, (3,))
    check_last_axes("colors", colors, (3,))
    normals, colors = jnp.asarray(normals, jnp.float32), jnp.asarray(colors, jnp.float32)
    return jnp.stack(shade_channels(list(jnp.moveaxis(normals, -1, 0)), list(jnp.moveaxis(colors, -1, 0)), light), -1)


def shade_channels(normal: list[Array], color: list[Array], light: Light) -> list[Array]:
    """`shade` with one array a channel: x, y, z and r, g, b. XLA then makes one loop of it."""
    x, y, z = normal
    shrink = lax.rsqrt(x * x + y * y + z * z + 1e-12)
    x, y, z = x * shrink, y * shrink, z * shrink
    directions = _unit(jnp.asarray(light.directions, jnp.float32))
    strengths = jnp.asarray(light.strengths, jnp.float32)
    check_shape("light.directions", directions, (len(strengths), 3))
    diffuse = light.ambient + light.sky * jnp.maximum(-y, 0.0)
    for toward, strength in zip(directions, strengths, strict=True):
        facing = toward[0] * x + toward[1] * y + toward[2] * z
        diffuse += strength * jnp.maximum(facing + light.wrap, 0.0) / (1.0 + light.wrap)
    diffuse *= 1.0 - light.rim * (1.0 - jnp.maximum(-z, 0.0)) ** 2
    # Blinn's half vector between the first lamp and the eye, which is at -z for a distant hand.
    half = _unit(directions[0] + jnp.array([0.0, 0.0, -1.0]))
    gloss = light.gloss * jnp.maximum(half[0] * x + half[1] * y + half[2] * z, 0.0) ** 16
    return [jnp.sqrt(jnp.clip(channel * channel * diffuse + gloss, 1e-8, 1.0)) for channel in color]


def _unit(vectors: Array) -> Array:
    return vectors / jnp.linalg.norm(vectors, axis=-1, keepdims=True)
