"""Maps of a whole picture for the multi-hand network (Ren, Zhu and Zhang 2023, section 3.2)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax.checks import check_choice
from handjax.losses.terms import KEYPOINTS, difference, flags, floats

OVERLAP = 0.7
"""Of two boxes of the same size whose corners are less than the radius apart."""


class CenterMaps(NamedTuple):
    """Targets of the picture's maps, as `losses.multihand` takes them, and the cell of each slot's hand.

    centers (H, W, 1 or 2), sides (H, W, 2) with 0 left and 1 right, keypoint_maps (H2, W2, 21): Gaussians, exactly 1 in
    one cell each. sides_valid (): every hand's side is known; keypoint_maps_valid (): every keypoint is.
    cells (N, 2) column then row; valid (N,): there is a hand, and its centre lies in the picture.
    """

    centers: Array
    sides: Array
    keypoint_maps: Array
    sides_valid: Array
    keypoint_maps_valid: Array
    cells: Array
    valid: Array


def center_maps(
    keypoints_2d: ArrayLike,
    keypoints_2d_valid: ArrayLike,
    box: ArrayLike,
    side: ArrayLike,
    valid: ArrayLike,
    *,
    size: tuple[int, int],
    stride: int = 8,
    keypoint_stride: int = 2,
    channels: int = 1,
    side_valid: ArrayLike | None = None,
) -> CenterMaps:
    """Labels of N slots -> `CenterMaps` of a picture of `size` (height, width).

    keypoints_2d (N, 21, 2) px; keypoints_2d_valid (N, 21); box (N, 4); side (N,) 0 left, 1 right; valid (N,),
    side_valid (N,). A hand's centre is the mean of its keypoints inside the picture, or of all valid ones, else its
    box's middle; its radius that of `center_radius`, for keypoints too. channels: 2 for a centre map of each side.
    Raises ValueError for shapes that do not go together, or strides that do not divide `size`.
    """
    check_choice("channels", channels, (1, 2))
    if any(side_px % step for side_px in size for step in (stride, keypoint_stride)):
        raise ValueError(f"size must be multiples of both strides, got {size}, {stride} and {keypoint_stride}")
    keypoints_2d = floats("keypoints_2d", keypoints_2d, ("N", KEYPOINTS, 2))
    hands = len(keypoints_2d)
    known = flags(keypoints_2d_valid, (hands, KEYPOINTS))
    valid, side_known = flags(valid, (hands,)), flags(side_valid, (hands,))
    box, side = floats("box", box, (hands, 4)), floats("side", side, (hands,))
    box = difference(box, jnp.zeros(()), valid)
    known = known * valid[:, None]
    keypoints_2d = difference(keypoints_2d, jnp.zeros(()), known)
    cells = jnp.floor(_centers(keypoints_2d, known, box, size) / stride)
    inside = _within(cells, (size[0] // stride, size[1] // stride))
    drawn = valid * inside
    extents = jnp.ceil((box[:, 2:] - box[:, :2]) / stride)
    radii = jnp.floor(center_radius(extents[:, 1], extents[:, 0]))
    spots = jax.vmap(_spot, (0, 0, 0, None))(cells, radii, drawn, (size[0] // stride, size[1] // stride))
    of_side = jnp.stack([side == 0, side == 1], -1) & (side_known > 0)[:, None]
    sides = _highest(jnp.where(of_side[:, None, None], spots[..., None], 0.0))
    points = jnp.floor(keypoints_2d / keypoint_stride)
    shape = (size[0] // keypoint_stride, size[1] // keypoint_stride)
    shown = known * _within(points, shape)
    of_keypoint = jax.vmap(_spot, (0, None, 0, None), 2)
    # One hand after the other: all of them at once would be the largest array of the step.
    keypoint_maps = jax.lax.fori_loop(
        0,
        hands,
        lambda i, maps: jnp.maximum(maps, of_keypoint(points[i], radii[i], shown[i], shape)),
        jnp.zeros((*shape, KEYPOINTS)),
    )
    return CenterMaps(
        centers=_highest(spots)[..., None] if channels == 1 else sides,
        sides=sides,
        keypoint_maps=keypoint_maps,
        sides_valid=((valid == 0) | (side_known > 0)).all().astype(jnp.float32),
        keypoint_maps_valid=((valid == 0) | (known > 0).all(-1)).all().astype(jnp.float32),
        cells=jnp.where(drawn[:, None] > 0, cells, 0.0).astype(jnp.int32),
        valid=drawn,
    )


def center_radius(height: ArrayLike, width: ArrayLike) -> Array:
    """(...) sides of a box in cells -> (...): how far a corner may move before boxes overlap by less than 0.7.

    As CornerNet (Law and Deng 2018) computes it, without the division by twice the leading coefficient, as the
    multi-hand network's code does: 0.2733 of the side of a square.
    """
    height, width = jnp.asarray(height, jnp.float32), jnp.asarray(width, jnp.float32)
    total, area = height + width, height * width
    first = (total + jnp.sqrt(total**2 - 4 * area * (1 - OVERLAP) / (1 + OVERLAP))) / 2
    second = (2 * total + jnp.sqrt(4 * total**2 - 16 * (1 - OVERLAP) * area)) / 2
    third = (-2 * OVERLAP * total + jnp.sqrt(4 * OVERLAP**2 * total**2 + 16 * OVERLAP * (1 - OVERLAP) * area)) / 2
    return jnp.minimum(jnp.minimum(first, second), third)


def _centers(keypoints_2d: Array, known: Array, box: Array, size: tuple[int, int]) -> Array:
    """(N, 21, 2), (N, 21), (N, 4) -> (N, 2) pixels."""
    inside = known * _within(keypoints_2d, size)
    weights = jnp.where(inside.sum(-1, keepdims=True) > 0, inside, known)
    count = weights.sum(-1, keepdims=True)
    mean = (weights[..., None] * keypoints_2d).sum(1) / jnp.maximum(count, 1.0)
    return jnp.where(count > 0, mean, (box[:, :2] + box[:, 2:]) / 2)


def _within(points: Array, size: tuple[int, int]) -> Array:
    """(..., 2) x then y -> (...) 1 or 0."""
    x, y = points[..., 0], points[..., 1]
    return ((x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])).astype(points.dtype)


def _spot(cell: Array, radius: Array, drawn: Array, shape: tuple[int, int]) -> Array:
    """A Gaussian of deviation (2 r + 1) / 6, cut off r cells from its own: (2,), (), () -> (H, W)."""
    height, width = shape
    x, y = jnp.arange(width) - cell[0], jnp.arange(height) - cell[1]
    spread = 2 * ((2 * radius + 1) / 6) ** 2
    across = jnp.where(jnp.abs(x) <= radius, jnp.exp(-(x**2) / spread), 0.0)
    down = jnp.where(jnp.abs(y) <= radius, jnp.exp(-(y**2) / spread), 0.0)
    return jnp.where(drawn > 0, down[:, None] * across[None], 0.0)


def _highest(maps: Array) -> Array:
    """(N, ...) -> (...); zeros where N is 0."""
    return maps.max(0, initial=0.0)
