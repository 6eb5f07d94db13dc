"""Predicted and true hands as they are handed to a protocol, checked once."""

from typing import NamedTuple

import numpy as np

from handjax.checks import check_shape


class Hands(NamedTuple):
    """Predicted or true hands of S pictures, metres, our joints; () stands for one hand or (2,): left, then right.

    joints (S, (), 21, 3); vertices (S, (), V, 3) or None. Of the truth, None for all: valid (S, (), 21) where joints
    are known; visible (S, (), 21); vertices_valid (S, ()). For two hands: hand_type (S, 2), whether there is a left
    and a right one, of the prediction as probabilities and of the truth None for those with a valid joint;
    hand_type_valid (S,).
    """

    joints: np.ndarray
    vertices: np.ndarray | None = None
    valid: np.ndarray | None = None
    visible: np.ndarray | None = None
    vertices_valid: np.ndarray | None = None
    hand_type: np.ndarray | None = None
    hand_type_valid: np.ndarray | None = None


class Truth(NamedTuple):
    """`Hands` of the truth, in float64 and bool, with zeros where nothing is known; only the vertices may be None."""

    joints: np.ndarray
    vertices: np.ndarray | None
    valid: np.ndarray
    visible: np.ndarray
    vertices_valid: np.ndarray
    hand_type: np.ndarray
    hand_type_valid: np.ndarray


class Prediction(NamedTuple):
    """`Hands` of the prediction, in float64, with zeros where the truth knows nothing."""

    joints: np.ndarray
    vertices: np.ndarray | None
    hand_type: np.ndarray | None


def checked(
    prediction: Hands, truth: Hands, *, two_hands: bool = False, absent: float | None = None
) -> tuple[Prediction, Truth]:
    """absent: true hands of which every coordinate is this are not valid.

    Raises ValueError for shapes that do not fit together, and for numbers that count and are not finite.
    """
    joints, true_joints = np.asarray(prediction.joints, np.float64), np.asarray(truth.joints, np.float64)
    check_shape("truth.joints", true_joints, ("S", *((2,) if two_hands else ()), 21, 3))
    check_shape("prediction.joints", joints, true_joints.shape)
    leading = true_joints.shape[:-2]
    valid = _flags("valid", truth.valid, (*leading, 21))
    if absent is not None:
        valid = valid & ~(true_joints == absent).all(axis=(-2, -1))[..., None]
    known = _flags("vertices_valid", truth.vertices_valid, leading)
    there = np.any(valid, axis=-1) if two_hands else np.zeros((len(valid), 2), bool)
    scores = prediction.hand_type
    if scores is not None:
        scores = np.asarray(scores, np.float64)
        check_shape("prediction.hand_type", scores, (len(valid), 2))
    return (
        Prediction(
            _known("prediction.joints", joints, valid),
            _mesh("prediction.vertices", prediction.vertices, known),
            scores,
        ),
        Truth(
            _known("truth.joints", true_joints, valid),
            _mesh("truth.vertices", truth.vertices, known),
            valid,
            _flags("visible", truth.visible, (*leading, 21)),
            known,
            there if truth.hand_type is None else _flags("hand_type", truth.hand_type, (len(valid), 2)),
            _flags("hand_type_valid", truth.hand_type_valid, leading[:1]),
        ),
    )


def _flags(name: str, flags, shape: tuple[int, ...]) -> np.ndarray:
    if flags is None:
        return np.ones(shape, bool)
    check_shape(f"truth.{name}", flags, shape)
    return np.asarray(flags).astype(bool)


def _mesh(name: str, vertices, known: np.ndarray) -> np.ndarray | None:
    if vertices is None:
        return None
    check_shape(name, vertices, (*known.shape, "V", 3))
    return _known(name, np.asarray(vertices, np.float64), known[..., None])


def _known(name: str, points: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The points, with zeros for those that are not known and may be nan."""
    bad = known & ~np.isfinite(points).all(axis=-1)
    if bad.any():
        raise ValueError(
            f"{name} must be finite where they count, got nan or infinity in {int(bad.sum())} points, "
            f"first in number {int(np.argwhere(bad)[0][0])} of its batch"
        )
    return np.where(known[..., None], points, 0.0)
