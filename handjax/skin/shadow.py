"""A lamp's view of the hand: what it does not see lies in shadow, and how deep below the lit skin."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.camera import Camera, project
from handjax.render import interpolate, rasterize

LAMP_DISTANCE_M = 1.5
SIZE = 224
EMPTY_M = 10.0
TAPS = np.array(
    [
        [0.0, 0.0],
        [0.72, 0.31],
        [-0.36, 0.80],
        [-0.81, -0.29],
        [0.26, -0.88],
        [0.38, -0.30],
        [-0.30, 0.22],
        [0.15, 0.55],
    ],
    np.float32,
)
"""Where in the unit disc the shadow map is asked."""


class ShadowMap(NamedTuple):
    """depth (SIZE, SIZE) metres from the lamp, `EMPTY_M` where nothing is; axes (3, 3) rows right, down, forward of the
    lamp, origin (3,) of it, focal () pixels."""

    depth: Array
    axes: Array
    origin: Array
    focal: Array


def shadow_map(vertices: Array, faces: Array, direction: Array, around: Array | None = None) -> ShadowMap:
    """(V, 3) metres, (F, 3), (3,) towards the lamp; around (N, 3): what the map is to show, if not all vertices."""
    around = vertices if around is None else around
    centre = 0.5 * (around.min(axis=0) + around.max(axis=0))
    reach = jnp.linalg.norm(around - centre[None], axis=-1).max()
    direction = direction / jnp.linalg.norm(direction)
    forward = -direction
    helper = jnp.where(jnp.abs(direction[1]) < 0.9, jnp.array([0.0, 1.0, 0.0]), jnp.array([1.0, 0.0, 0.0]))
    right = jnp.cross(helper, forward)
    right = right / jnp.linalg.norm(right)
    axes = jnp.stack([right, jnp.cross(forward, right), forward])
    origin = centre + LAMP_DISTANCE_M * direction
    focal = 0.49 * SIZE * (LAMP_DISTANCE_M - reach) / reach
    local = jnp.matmul(vertices - origin[None], axes.T, precision="highest")
    pixels = project(Camera(jnp.stack([focal, focal]), jnp.full(2, SIZE / 2.0)), local)
    ids = rasterize(pixels, local[:, 2], faces, (SIZE, SIZE)).face_ids
    depth = interpolate(pixels, local[:, 2], faces, ids, local[:, 2:]).depth
    return ShadowMap(jnp.where(ids >= 0, depth, EMPTY_M), axes, origin, focal)


def light_reaching(
    lamp: ShadowMap, point: list[Array], normal: list[Array], softness: Array, turn: Array, bias: float
) -> tuple[Array, Array]:
    """x, y, z arrays of points and normals -> the lit share, and the metres of flesh between the lamp and the point.

    turn: radians by which each point turns the pattern of its questions, so that a coarse map's steps become noise.
    """
    # Moved out of the skin, so that a coarse map's steps do not shade the skin that they come from.
    moved = [point[k] + bias * normal[k] - lamp.origin[k] for k in range(3)]
    right, down, depth = (sum(lamp.axes[row, k] * moved[k] for k in range(3)) for row in range(3))
    u, v = lamp.focal * right / depth + SIZE / 2.0, lamp.focal * down / depth + SIZE / 2.0
    # The penumbra of a blocker some 3 cm away; measuring each blocker would cost as much again.
    spread = jnp.maximum(softness * 0.03 * lamp.focal / LAMP_DISTANCE_M, 1.1)
    cosine, sine = spread * jnp.cos(turn), spread * jnp.sin(turn)
    lit, thickness = jnp.zeros_like(u), jnp.zeros_like(u)
    for right_tap, down_tap in TAPS:
        x = jnp.clip(u + cosine * right_tap - sine * down_tap, 0, SIZE - 1).astype(jnp.int32)
        y = jnp.clip(v + sine * right_tap + cosine * down_tap, 0, SIZE - 1).astype(jnp.int32)
        nearest = lamp.depth.at[y, x].get(mode="promise_in_bounds", wrap_negative_indices=False)
        behind = jnp.maximum(depth - nearest, 0.0)
        lit += jnp.clip(1.0 - (behind - 0.0008) / 0.0012, 0.0, 1.0)
        thickness += behind
    return lit / len(TAPS), thickness / len(TAPS)
