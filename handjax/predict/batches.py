"""Detections as arrays, and one batch size for any number of them, so that one function is compiled."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from handjax.checks import check_shape
from handjax.detect import LEFT, RIGHT, Detection
from handjax.predict.solve import Batch, Solved

BATCH_SIZE = 8
"""Hands fitted together; what is over is padding. On two cores a hand takes 3 ms, of 64 together 2 ms, alone 25 ms, and
another size would have to be compiled for 10 s."""

ENOUGH_POINTS = 12
"""Of 21 in space, for them to be a start; with fewer, the hand is fitted as if there were none."""


class Observation(NamedTuple):
    """The hands seen in one image `width` pixels wide, and its camera (4,) fx, fy, cx, cy."""

    detections: Sequence[Detection]
    camera: np.ndarray
    width: int


def batch_of(observations: Sequence[Observation]) -> tuple[Batch, np.ndarray]:
    """All hands of all observations, at least one, and (B,) whether points in space are known.

    Raises ValueError for a wrong shape or side.
    """
    pairs = [(hand, observation) for observation in observations for hand in observation.detections]
    for hand, _ in pairs:
        _check(hand)
    unknown = np.full((21, 3), np.nan, np.float32)
    keypoints_2d = _stack([hand.keypoints_2d for hand, _ in pairs])
    keypoints_3d = _stack([unknown if hand.keypoints_3d is None else hand.keypoints_3d for hand, _ in pairs])
    seen = np.asarray(np.isfinite(keypoints_2d).all(-1))
    known = np.isfinite(keypoints_3d).all(-1).sum(-1) >= ENOUGH_POINTS
    arrays: Any = {
        "left": np.array([hand.side == LEFT for hand, _ in pairs], bool),
        "width": np.array([observation.width for _, observation in pairs], np.float32),
        "camera": _stack([observation.camera for _, observation in pairs]),
        "keypoints_2d": np.where(seen[..., None], keypoints_2d, 0.0),
        "confidence": np.where(seen, _stack([hand.confidence for hand, _ in pairs]), 0.0),
        "keypoints_3d": keypoints_3d,
    }
    return Batch(**arrays), np.asarray(known)


def rows_of(tree: Any, rows: Any) -> Any:
    """The same tree of NumPy arrays with `rows` of the first axis of each."""
    return jax.tree.map(lambda array: np.asarray(array)[rows], tree)


def in_parts(function: Callable[..., Solved], *batches: Any) -> Solved:
    """function(*batches), at least one row, cut to `BATCH_SIZE` and filled up with rows that are left out again."""
    count = len(jax.tree.leaves(batches)[0])
    parts = []
    for first in range(0, count, BATCH_SIZE):
        kept = min(count - first, BATCH_SIZE)
        padded = rows_of(batches, first + np.minimum(np.arange(BATCH_SIZE), kept - 1))
        parts.append(rows_of(function(*padded), slice(kept)))
    return joined_rows(parts)


def joined_rows(parts: Sequence[Solved]) -> Solved:
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def with_rows(tree: Any, rows: np.ndarray, other: Any) -> Any:
    """A tree of NumPy arrays with `rows` of each taken from the rows of `other`, in their order."""

    def replaced(array, instead):
        array = np.array(array)
        array[rows] = instead
        return array

    return jax.tree.map(replaced, tree, other)


def split_by(known: np.ndarray, solve: Callable[[np.ndarray, bool], Solved]) -> Solved:
    """solve(rows, True) for the rows that are known and solve(rows, False) for the others, in their own order again."""
    groups = [(np.flatnonzero(known), True), (np.flatnonzero(~known), False)]
    groups = [(rows, value) for rows, value in groups if len(rows)]
    solved = joined_rows([solve(rows, value) for rows, value in groups])
    return rows_of(solved, np.argsort(np.concatenate([rows for rows, _ in groups])))


def _check(hand: Detection) -> None:
    check_shape("keypoints_2d", hand.keypoints_2d, (21, 2))
    check_shape("confidence", hand.confidence, (21,))
    if hand.keypoints_3d is not None:
        check_shape("keypoints_3d", hand.keypoints_3d, (21, 3))
    if hand.side not in (LEFT, RIGHT):
        raise ValueError(f"side must be 0 (left) or 1 (right), got {hand.side!r}")


def _stack(arrays: list) -> np.ndarray:
    return np.stack(arrays).astype(np.float32)
