"""F-score of two meshes: how much of each lies near the other (Knapitsch et al. 2017, section 3)."""

import jax
import jax.numpy as jnp
import numpy as np

from handjax.checks import check_last_axes
from handjax.metrics.arrays import same_kind

ROWS = 64
"""Points whose distances to all others are in memory at once: a tile stays in the cache of one core."""
HANDS = 64
"""Pairs of meshes that an accelerator compares at once."""


def nearest_distances(first, second):
    """(..., N, 3), (..., M, 3) -> ((..., N), (..., M)): of each point, the distance to the nearest of the others.

    In tiles, few hands at a time: memory grows with M and not with N x M, whatever the batch. inf where there are no
    others. Raises ValueError for shapes that do not fit.
    """
    for name, points in (("first", first), ("second", second)):
        check_last_axes(name, points, (3,))
        if np.ndim(points) < 2:
            raise ValueError(f"{name} must have shape (..., N, 3), got {np.shape(points)}")
    xp, (first, second) = same_kind(first, second)
    if first.shape[:-2] != second.shape[:-2]:
        raise ValueError(f"second must have first's leading axes {first.shape[:-2]}, got {second.shape[:-2]}")
    leading = first.shape[:-2]
    if first.size == 0 or second.size == 0:
        return xp.full(first.shape[:-1], xp.inf), xp.full(second.shape[:-1], xp.inf)
    first, second = (points.reshape(-1, *points.shape[-2:]) for points in (first, second))
    if xp is jnp:
        there, back = jax.lax.map(lambda pair: _nearest_jax(*pair), (first, second), batch_size=HANDS)
    else:
        both = [_nearest_numpy(*pair) for pair in zip(first, second, strict=True)]
        there, back = (np.stack(side) for side in zip(*both, strict=True))
    return there.reshape(*leading, -1), back.reshape(*leading, -1)


def f_score(predicted, true, thresholds):
    """(..., N, 3), (..., M, 3) points, thresholds (T,) -> (..., T): 2 P R / (P + R), or 0 where P + R is 0.

    P: share of the predicted points nearer than (<) the threshold to any true one; R: the other way round. Vertices
    stand for the surface, as in FreiHAND's and HO-3D's evaluators. F@5 is the threshold 0.005.
    """
    there, back = nearest_distances(predicted, true)
    xp, (there, back, thresholds) = same_kind(there, back, thresholds)
    scores = []
    for i in range(thresholds.shape[0]):
        precision, recall = (xp.sum(side < thresholds[i], axis=-1) / max(side.shape[-1], 1) for side in (there, back))
        total = precision + recall
        scores.append(2 * precision * recall / xp.where(total > 0, total, 1.0))
    return xp.stack(scores, axis=-1)


def _nearest_numpy(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    there, back = np.empty(len(first)), np.full(len(second), np.inf)
    columns = np.ascontiguousarray(second.T)
    # In place: fresh arrays for every step would cost half as much again.
    squared, step = np.empty((ROWS, len(second))), np.empty((ROWS, len(second)))
    for start in range(0, len(first), ROWS):
        rows = first[start : start + ROWS]
        squared, step = squared[: len(rows)], step[: len(rows)]
        squared[:] = 0.0
        for axis in range(3):
            np.subtract(rows[:, axis, None], columns[axis], out=step)
            np.multiply(step, step, out=step)
            np.add(squared, step, out=squared)
        there[start : start + ROWS] = squared.min(axis=1)
        np.minimum(back, squared.min(axis=0), out=back)
    return np.sqrt(there), np.sqrt(back)


def _nearest_jax(first: jax.Array, second: jax.Array) -> tuple[jax.Array, jax.Array]:
    count = first.shape[0]
    # The last tile is filled up with the first point, which takes nothing from anyone's nearest.
    filled = jnp.concatenate([first, jnp.broadcast_to(first[:1], (-count % ROWS, 3))])

    def tile(back, rows):
        # Differences first: |a|^2 + |b|^2 - 2ab would lose the digits that matter.
        apart = [rows[:, None, axis] - second[None, :, axis] for axis in range(3)]
        squared = apart[0] ** 2 + apart[1] ** 2 + apart[2] ** 2
        return jnp.minimum(back, squared.min(axis=0)), squared.min(axis=1)

    start = jnp.full(second.shape[0], jnp.inf, second.dtype)
    back, there = jax.lax.scan(tile, start, filled.reshape(-1, ROWS, 3))
    return jnp.sqrt(there.reshape(-1)[:count]), jnp.sqrt(back)
