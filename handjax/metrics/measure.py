"""The errors of a batch of hands under a protocol, before anything is averaged. NumPy in float64."""

import math
from typing import Any, NamedTuple

import numpy as np

from handjax.metrics import alignment
from handjax.metrics.errors import distances
from handjax.metrics.fscore import f_score
from handjax.metrics.hands import Hands, Prediction, Truth, checked
from handjax.metrics.protocols import ALIGNMENTS, Protocol
from handjax.metrics.sides import rightly_named

MESH_ABSENT = -1.0
"""What FreiHAND's and HO-3D's evaluators give for the errors of a mesh that has not the truth's vertices."""


class Measured(NamedTuple):
    """What one batch adds, by the name of the metric. errors: of points, metres (S, N), and which of them count (S, N).
    values: one a picture (S,), and which count (S,). without_mesh: the prediction's mesh has not the truth's vertices.
    """

    errors: dict[str, tuple[np.ndarray, np.ndarray]]
    values: dict[str, tuple[np.ndarray, np.ndarray]]
    without_mesh: bool = False


def measure(protocol: Protocol, prediction: Hands, truth: Hands) -> Measured:
    """Raises ValueError for shapes that do not fit together and for numbers that count and are not finite."""
    predicted, true = checked(prediction, truth, two_hands=protocol.two_hands, absent=protocol.absent)
    if protocol.palm:
        predicted, true = _with_palm(protocol, predicted, true)
    errors = _joint_errors(protocol, predicted, true)
    values: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    without_mesh = False
    if protocol.mesh_alignments and predicted.vertices is not None and true.vertices is not None:
        without_mesh = predicted.vertices.shape != true.vertices.shape
        for name in protocol.mesh_alignments:
            moved, usable = _aligned_mesh(protocol, name, predicted, true)
            if not without_mesh:
                counted = np.broadcast_to(usable[..., None], true.vertices.shape[:-1])
                errors[f"{ALIGNMENTS[name]}mpvpe"] = distances(moved, true.vertices), counted
            if protocol.f_thresholds:
                scores = f_score(moved, true.vertices, protocol.f_thresholds)
                for i, threshold in enumerate(protocol.f_thresholds):
                    values[f"{ALIGNMENTS[name]}f_{1000 * threshold:g}"] = scores[..., i], usable
    if protocol.two_hands:
        errors, values = _side_by_side(errors, true), values | _between_hands(protocol, predicted, true)
    return Measured(errors, values, without_mesh)


def _joint_errors(protocol: Protocol, predicted: Prediction, true: Truth) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    chosen = true.valid & np.isin(np.arange(21), protocol.joints)
    counted = chosen & true.visible if protocol.visible_only else chosen
    errors = {}
    for name in protocol.alignments:
        moved = _aligned_joints(protocol, name, predicted.joints, true.joints, chosen)
        usable = chosen.sum(axis=-1) >= protocol.fewest
        # Without its root a hand of two has no place of its own, whatever the alignment.
        needed = protocol.root if protocol.two_hands or name == "root" else ()
        if name in ("scale_translation", "given_scale"):
            needed = protocol.root + protocol.bone
        usable &= true.valid[..., list(needed)].all(axis=-1)
        errors[f"{ALIGNMENTS[name]}mpjpe"] = distances(moved, true.joints), counted & usable[..., None]
    return errors


def _aligned_joints(protocol: Protocol, name: str, points, true, valid) -> np.ndarray:
    if name == "none":
        return points
    if name == "root":
        return alignment.align_root(points, true, protocol.root)
    if name == "scale_translation":
        return alignment.align_scale_translation(points, true, protocol.root, protocol.bone)
    if name == "given_scale":
        return alignment.align_given_scale(points, true, protocol.root, protocol.bone)
    if name == "centroid_scale":
        # A hand with no valid joint has no centroid; it does not count.
        return np.nan_to_num(alignment.align_centroid_scale(points, true, valid))
    return alignment.align_similarity(points, true, valid, **_similarity_of(name))


def _aligned_mesh(protocol: Protocol, name: str, predicted: Prediction, true: Truth) -> tuple[np.ndarray, np.ndarray]:
    """-> vertices (S, (), V, 3), and the hands of which they count (S, ())."""
    vertices, usable = predicted.vertices, true.vertices_valid
    assert vertices is not None and true.vertices is not None
    if name == "none":
        return vertices, usable
    if name == "root":
        shift = alignment.root_of(true.joints, protocol.root) - alignment.root_of(predicted.joints, protocol.root)
        return vertices + shift, usable & true.valid[..., list(protocol.root)].all(axis=-1)
    kind = _similarity_of(name)
    if vertices.shape == true.vertices.shape:
        return alignment.align_similarity(vertices, true.vertices, **kind), usable
    return _by_joints(alignment.similarity(predicted.joints, true.joints, true.valid, **kind), vertices), usable


def _similarity_of(name: str) -> dict[str, Any]:
    if name == "similarity":
        return {"reflections": True, "guard": alignment.EVALUATORS_GUARD}
    return {"reflections": False}


def _by_joints(found: alignment.Similarity, vertices: np.ndarray) -> np.ndarray:
    """The vertices moved by the joints' similarity as FreiHAND's and HO-3D's evaluators do it: about the vertices' own
    mean, shifted by the difference of the joints' means, and not divided by the size of the predicted joints."""
    mean = vertices.mean(axis=-2)
    moved_mean = mean + found.target_mean - found.source_mean
    scale = found.scale * found.source_size
    return alignment.move(found._replace(scale=scale, source_mean=mean, target_mean=moved_mean), vertices)


def _side_by_side(errors: dict[str, tuple[np.ndarray, np.ndarray]], true: Truth):
    """Errors of both hands as one row (S, 2 N): of all pictures, of those with one hand, and of those with two."""
    both = true.hand_type.all(axis=-1, keepdims=True)
    rows: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, pair in errors.items():
        error, counted = (array.reshape(array.shape[0], math.prod(array.shape[1:])) for array in pair)
        rows[name] = error, counted
        rows[f"single_{name}"] = error, counted & ~both
        rows[f"interacting_{name}"] = error, counted & both
    return rows


def _between_hands(protocol: Protocol, predicted: Prediction, true: Truth) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """MRRPE, and whether the types of the hands are right."""
    roots = true.valid[..., list(protocol.root)].all(axis=(-2, -1))
    apart, true_apart = (
        np.diff(alignment.root_of(joints, protocol.root)[..., 0, :], axis=1)[:, 0]
        for joints in (predicted.joints, true.joints)
    )
    values = {"mrrpe_mm": (1000 * distances(apart, true_apart), np.logical_and(roots, true.hand_type.all(axis=-1)))}
    if predicted.hand_type is not None:
        values["hand_type_accuracy"] = rightly_named(predicted.hand_type, true.hand_type), true.hand_type_valid
    return values


def _with_palm(protocol: Protocol, predicted: Prediction, true: Truth) -> tuple[Prediction, Truth]:
    palm = list(protocol.palm)
    true_joints, joints = true.joints.copy(), predicted.joints.copy()
    true_joints[..., :1, :] = alignment.root_of(true_joints, protocol.palm)
    if not protocol.predicts_palm:
        joints[..., :1, :] = alignment.root_of(joints, protocol.palm)
    valid, visible = true.valid.copy(), true.visible.copy()
    valid[..., 0] = valid[..., palm].all(axis=-1)
    # hand3d: the palm is seen where either of its ends is.
    visible[..., 0] = visible[..., palm].any(axis=-1)
    return predicted._replace(joints=joints), true._replace(joints=true_joints, valid=valid, visible=visible)
