"""A studio around a hand: calibrated cameras on a sphere that look at it, and light that stands still with them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from datasets.synthetic.draws import Draws
from handjax import rotations, skin

DISTANCE_M = (0.6, 1.0)
HAND_M = 0.125
"""Radius about the mean joint within which almost every hand lies, fingers stretched."""

FILLED = (0.72, 0.95)
"""Of half a picture's shorter side, by that radius."""


class Rig(NamedTuple):
    """N cameras: K (N, 3, 3), R (N, 3, 3) and t (N, 3) world to camera in metres; pixel = K (R X + t)."""

    K: Array
    R: Array
    t: Array


def sample_rig(key: Array, n_views: int, size: tuple[int, int]) -> Rig:
    """Cameras spread evenly over the sphere (a turned golden spiral), 0.6 to 1 m from the origin, nearly upright."""
    turn_key, number_key = jax.random.split(key)
    # The spiral has no camera at its poles, whatever the number.
    height = 1.0 - 2.0 * (np.arange(n_views) + 0.5) / n_views
    around = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(n_views)
    radius = np.sqrt(1.0 - height**2)
    spiral = np.stack([radius * np.cos(around), height, radius * np.sin(around)], axis=-1).astype(np.float32)
    turn = rotations.matrix_from_quaternion(jax.random.normal(turn_key, (4,)))
    direction = jnp.matmul(spiral, turn.T, precision="highest")
    draws = Draws.of(number_key, 8 * n_views)
    distance = draws.between(*DISTANCE_M, n_views)
    center = direction * distance[:, None]
    target = draws.between(-0.01, 0.01, n_views, 3)
    rotation = jax.vmap(_looking)(_unit(target - center), draws.between(-0.2, 0.2, n_views))
    translation = -jnp.einsum("nij,nj->ni", rotation, center, precision="highest")
    focal = draws.between(*FILLED, n_views) * 0.5 * min(size) * distance / HAND_M
    middle = jnp.array([0.5 * size[1], 0.5 * size[0]])[None] + 0.02 * min(size) * draws.between(-1.0, 1.0, n_views, 2)
    matrix = jnp.zeros((n_views, 3, 3)).at[:, 0, 0].set(focal).at[:, 1, 1].set(focal)
    return Rig(matrix.at[:, :2, 2].set(middle).at[:, 2, 2].set(1.0), rotation, translation)


def _looking(forward: Array, roll: Array) -> Array:
    """(3, 3) rows right, down, forward. The world's y points down, as a camera's does."""
    # Looking straight up or down, another direction must do for the vertical.
    down = jnp.where(jnp.abs(forward[1]) > 0.98, jnp.array([0.0, 0.0, 1.0]), jnp.array([0.0, 1.0, 0.0]))
    right = _unit(jnp.cross(down, forward))
    upright = jnp.stack([right, jnp.cross(forward, right), forward])
    turn = rotations.matrix_from_axis_angle(roll * jnp.array([0.0, 0.0, 1.0]))
    return jnp.matmul(turn, upright, precision="highest")


def _unit(vector: Array) -> Array:
    return vector / jnp.linalg.norm(vector, axis=-1, keepdims=True)


def sample_studio_light(key: Array) -> skin.SkinLight:
    """In the world's axes: two large lamps above and light from all around, near white."""
    draws = Draws.of(key, 12)
    azimuth = 2.0 * jnp.pi * draws.uniform() + jnp.array([0.0, 2.4])
    height = draws.between(0.4, 1.2, 2)
    directions = jnp.stack(
        [jnp.sin(azimuth) * jnp.cos(height), -jnp.sin(height), jnp.cos(azimuth) * jnp.cos(height)], 1
    )
    tint = 1.0 + draws.between(-0.08, 0.08) * jnp.array([[1.0, 0.0, -1.0]])
    strength = jnp.stack([draws.between(1.0, 1.6), draws.between(0.3, 0.8)])[:, None]
    # The same from everywhere, so that it need not be turned with a camera.
    around = jnp.zeros((9, 3)).at[0].set(draws.between(0.35, 0.5) * tint[0] / 0.282095)
    return skin.SkinLight(directions, strength * tint, around, draws.between(0.1, 0.2), draws.between(0.62, 0.78))


def seen_from(light: skin.SkinLight, rotation: Array) -> skin.SkinLight:
    """The studio's light in a camera's axes; rotation (3, 3) world to camera."""
    return light._replace(directions=jnp.matmul(light.directions, rotation.T, precision="highest"))
