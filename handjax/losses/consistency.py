"""That keypoints seen in the picture and those of the mesh agree: L_con of Ren, Zhu and Zhang 2023, eq. 11.

The maps hold the keypoints of all hands. A cell belongs to the hand whose own keypoint of that kind is projected
nearest, within the hand's surroundings: so keypoints of one hand stay together, and those of another apart.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax.losses import terms
from handjax.losses.sums import CountedSum

LEAST_SCORE = 0.1
"""A peak that is lower is no keypoint."""

REACH = 3
"""Cells on each side of a peak over which its place is averaged."""

SIDE = 2 * REACH + 1

SURROUNDINGS = 0.5
"""Of the sides of the box around a hand's projected keypoints, added on each side of it."""


def consistency(
    maps: ArrayLike, pixels: ArrayLike, valid: ArrayLike | None = None, *, stride: float = 2.0
) -> CountedSum:
    """sum |phi_kp - phi_rep|, pixels, of each keypoint in its hand's part of the map; counts keypoints that are seen.

    maps (H, W, 21) in [0, 1], a cell `stride` pixels wide; pixels (N, 21, 2), projected from the meshes; valid (N,).
    Both have a gradient, the choice of the peak has none. Raises ValueError for shapes that do not go together.
    """
    found, seen = keypoints_of_hands(maps, pixels, valid, stride=stride)
    pixels = terms.floats("pixels", pixels, found.shape)
    return CountedSum((seen * terms.length(terms.difference(found, pixels, seen))).sum(), seen.sum())


def keypoints_of_hands(
    maps: ArrayLike, pixels: ArrayLike, valid: ArrayLike | None = None, *, stride: float = 2.0
) -> tuple[Array, Array]:
    """-> phi_kp (N, 21, 2) pixels, the mean place around the highest cell of each hand's own, and seen (N, 21).

    Arguments of `consistency`. seen: 1 where that cell is above `LEAST_SCORE`, else 0 and the place is arbitrary.
    """
    maps = terms.floats("maps", maps, ("H", "W", terms.KEYPOINTS))
    pixels = terms.floats("pixels", pixels, ("N", terms.KEYPOINTS, 2))
    valid = terms.flags(valid, pixels.shape[:1])
    guide = jax.lax.stop_gradient(terms.difference(pixels, jnp.zeros(()), valid)) / stride
    lowest, highest = guide.min(1), guide.max(1)
    margin = SURROUNDINGS * (highest - lowest)
    boxes = jnp.concatenate([lowest - margin, highest + margin], -1)
    places, seen = jax.vmap(_of_keypoint, (2, 1, None, None), (1, 1))(maps, guide, boxes, valid)
    return places * stride, seen


def _of_keypoint(scores: Array, guide: Array, boxes: Array, valid: Array) -> tuple[Array, Array]:
    """(H, W), (N, 2) and (N, 4) cells, (N,) -> (N, 2) cells, (N,)."""
    height, width = scores.shape
    x, y = jnp.arange(width)[None, None] + 0.5, jnp.arange(height)[None, :, None] + 0.5
    hand_x, hand_y = guide[:, 0, None, None], guide[:, 1, None, None]
    distances = jnp.where(valid[:, None, None] > 0, (x - hand_x) ** 2 + (y - hand_y) ** 2, jnp.inf)
    owner = distances.argmin(0)
    # Windows are cut out of the map that all hands share: a copy for each would be most of the memory.
    padded, padded_owner = jnp.pad(scores, REACH), jnp.pad(owner, REACH, constant_values=-1)

    def of_hand(hand: Array, box: Array, there: Array) -> tuple[Array, Array]:
        inside = (x[0] >= box[0]) & (x[0] <= box[2]) & (y[0] >= box[1]) & (y[0] <= box[3])
        own = (owner == hand) & inside & (there > 0)
        peak = jnp.where(own, jax.lax.stop_gradient(scores), 0.0).argmax()
        row, column = peak // width, peak % width
        seen = own[row, column] & (scores[row, column] > LEAST_SCORE)
        window, window_owner = (
            jax.lax.dynamic_slice(values, (row, column), (SIDE, SIDE)) for values in (padded, padded_owner)
        )
        step = _mean_step(jnp.where(window_owner == hand, window, 0.0), seen)
        return jnp.stack([column, row]) + step, seen.astype(scores.dtype)

    return jax.vmap(of_hand)(jnp.arange(len(guide)), boxes, valid)


def _mean_step(window: Array, seen: Array) -> Array:
    """(SIDE, SIDE) not negative -> (2,) x and y of its mean, from the corner of the cell in its middle."""
    mass = jnp.where(seen, window.sum(), 1.0)
    steps = jnp.arange(SIDE) - REACH + 0.5
    return jnp.stack([(window.sum(0) * steps).sum(), (window.sum(1) * steps).sum()]) / mass
