"""Where hands are put and which camera sees them."""

import jax
import jax.numpy as jnp
from jax import Array

from datasets.synthetic.draws import Draws
from datasets.synthetic.settings import Settings
from handjax.camera import Camera, project

NEAREST_M = 0.1
"""No skin is nearer to a camera."""
TURNS = 4
"""Of the search for the place at which a hand has its size: each leaves a tenth of the error."""


def crop_view(draws: Draws, points: Array, all_points: Array, settings: Settings) -> tuple[Camera, Array]:
    """A crop from a larger picture -> its camera, and the offset (3,) of all hands. Takes 6 numbers.

    points (P, 3): about the origin, what the crop shows; all_points (Q, 3) also what may lie outside of it.
    """
    height, width = settings.size
    distance = draws.spread(*settings.distance_m)
    distance = jnp.maximum(distance, NEAREST_M - all_points[:, 2].min())
    angle, reach = draws.between(0.0, 2.0 * jnp.pi), settings.off_axis * jnp.sqrt(draws.uniform())
    offset = distance * jnp.stack([reach * jnp.cos(angle), reach * jnp.sin(angle), jnp.ones(())])
    on_plane = (points[:, :2] + offset[None, :2]) / (points[:, 2:] + offset[2])
    low, high = on_plane.min(axis=0), on_plane.max(axis=0)
    focal = draws.between(*settings.hand_fill) * min(height, width) / (high - low).max()
    shift = settings.off_centre * draws.between(-1.0, 1.0, 2) * min(height, width)
    center = 0.5 * jnp.array([width, height]) + shift - focal * 0.5 * (low + high)
    return Camera(jnp.stack([focal, focal]), center), offset


def full_camera(draws: Draws, settings: Settings) -> Camera:
    """The camera of an uncropped picture. Takes 3 numbers."""
    height, width = settings.size
    focal = draws.spread(*settings.focal) * max(height, width)
    center = jnp.array([width, height]) * (0.5 + 0.02 * draws.between(-1.0, 1.0, 2))
    return Camera(jnp.stack([focal, focal]), center)


def place_at(camera: Camera, points: Array, all_points: Array, center: Array, side: Array) -> Array:
    """-> offset (3,) at which points (P, 3) about the origin have a box around `center` whose longer side is `side` px.

    Where that is nearer than `NEAREST_M`, they stay farther away and come out smaller.
    """
    nearest = NEAREST_M - all_points[:, 2].min()
    extent = (points[:, :2].max(axis=0) - points[:, :2].min(axis=0)).max()

    def turn(_, offset: Array) -> Array:
        pixels = project(camera, points + offset[None])
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        depth = jnp.maximum(offset[2] * (high - low).max() / side, nearest)
        sideways = offset[:2] / offset[2] + (center - 0.5 * (low + high)) / camera.focal
        return jnp.append(sideways * depth, depth)

    depth = jnp.maximum(camera.focal.mean() * extent / side, nearest)
    start = jnp.append((center - camera.center) / camera.focal * depth, depth)
    return jax.lax.fori_loop(0, TURNS, turn, start)
