"""One door for every hand model: named arrays in, checked and folded `HandModel` out."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.checks import check_choice, check_shape
from handjax.mano import anatomy
from handjax.mano.types import FINGERTIP_SETS, MANO_KEYPOINT_IDS, MANO_PARENTS, HandModel

SUM_TOLERANCE = 1e-3
"""How far a row of weights may be from 1: MANO's own rows are off by float rounding only."""


def build(
    *,
    v_template,
    shapedirs,
    posedirs,
    J_regressor,
    lbs_weights,
    faces,
    parents=MANO_PARENTS,
    hands_mean=None,
    hands_components=None,
    pose_std=None,
    joint_axes=None,
    joint_limits=None,
    joint_frames=None,
    fingertip_ids=FINGERTIP_SETS["smplx"],
    keypoint_ids=None,
    side="right",
) -> HandModel:
    """Makes a hand model of any vertex and joint count.

    Args:
      v_template: (V, 3) metres. shapedirs: (V, 3, S). posedirs: (V, 3, 9 (J - 1)).
      J_regressor: (J, V), rows sum to 1. lbs_weights: (V, J), rows sum to 1, not negative.
      faces: (F, 3) vertex ids. parents: J ids, the root first with -1, each parent before its children.
      hands_mean: (3 (J - 1),) mean pose; hands_components: (C, 3 (J - 1)) rows; pose_std: (C,). Default: 0, I, 1.
      joint_axes: (J - 1, 3, 3) and joint_limits: (J - 1, 3, 2) radians; default: `anatomy` from the rest joints.
      joint_frames: (J, 3, 3) rest frames in which rotations are given; None: model axes, as in MANO.
      fingertip_ids: 5 vertex ids, thumb first. keypoint_ids: 21 ids into [J joints, fingertips]. side: left, right.

    Raises ValueError naming the field if a shape is wrong or a value not finite, a row of weights does not sum to 1,
    a vertex id is out of range or the parents are not a tree.
    """
    check_choice("side", side, ("left", "right"))
    v_template, shapedirs, posedirs = (
        _floats("v_template", v_template),
        _floats("shapedirs", shapedirs),
        _floats("posedirs", posedirs),
    )
    check_shape("v_template", v_template, ("V", 3))
    vertices, joints = v_template.shape[0], len(parents)
    _check_tree(parents)
    check_shape("shapedirs", shapedirs, (vertices, 3, "S"))
    check_shape("posedirs", posedirs, (vertices, 3, 9 * (joints - 1)))
    J_regressor, lbs_weights = _floats("J_regressor", J_regressor), _floats("lbs_weights", lbs_weights)
    check_shape("J_regressor", J_regressor, (joints, vertices))
    check_shape("lbs_weights", lbs_weights, (vertices, joints))
    _check_rows("J_regressor", J_regressor)
    _check_rows("lbs_weights", lbs_weights)
    if lbs_weights.min() < -SUM_TOLERANCE:
        raise ValueError(f"lbs_weights must not be negative, got {lbs_weights.min():.3g}")
    faces = _vertex_ids("faces", faces, vertices)
    check_shape("faces", faces, ("F", 3))
    fingertip_ids = _vertex_ids("fingertip_ids", fingertip_ids, vertices)
    pose_size = 3 * (joints - 1)
    hands_mean = np.zeros(pose_size) if hands_mean is None else _floats("hands_mean", hands_mean)
    hands_components = np.eye(pose_size) if hands_components is None else _floats("hands_components", hands_components)
    check_shape("hands_mean", hands_mean, (pose_size,))
    check_shape("hands_components", hands_components, ("C", pose_size))
    pose_std = np.ones(len(hands_components)) if pose_std is None else _floats("pose_std", pose_std)
    check_shape("pose_std", pose_std, (len(hands_components),))
    if keypoint_ids is None:
        keypoint_ids = MANO_KEYPOINT_IDS if joints == len(MANO_PARENTS) else range(joints + len(fingertip_ids))
    keypoint_ids = tuple(int(k) for k in keypoint_ids)
    if not all(0 <= k < joints + len(fingertip_ids) for k in keypoint_ids):
        raise ValueError(f"keypoint_ids must lie in [0, {joints + len(fingertip_ids)}), got {keypoint_ids}")

    joint_template = J_regressor @ v_template
    if joint_axes is None:
        tips = v_template[fingertip_ids]
        joint_axes = anatomy.joint_axes(joint_template, tips, tuple(parents), keypoint_ids, side)
    if joint_limits is None:
        joint_limits = anatomy.joint_limits(tuple(parents), keypoint_ids)
    joint_axes, joint_limits = _floats("joint_axes", joint_axes), _floats("joint_limits", joint_limits)
    check_shape("joint_axes", joint_axes, (joints - 1, 3, 3))
    check_shape("joint_limits", joint_limits, (joints - 1, 3, 2))
    if joint_frames is not None:
        joint_frames = _floats("joint_frames", joint_frames)
        check_shape("joint_frames", joint_frames, (joints, 3, 3))

    basis = np.concatenate([shapedirs, posedirs], -1)
    # Concrete arrays even where a traced function is the first to ask for a model.
    with jax.ensure_compile_time_eval():
        return HandModel(
            v_template=_float32(v_template),
            blend_basis=_float32(basis.transpose(2, 1, 0).reshape(basis.shape[-1], 3 * vertices)),
            J_regressor=_float32(J_regressor),
            joint_template=_float32(joint_template),
            joint_shapedirs=_float32(np.einsum("jv,vcs->jcs", J_regressor, shapedirs)),
            lbs_weights=_float32(lbs_weights),
            faces=jnp.asarray(faces),
            hands_mean=_float32(hands_mean),
            hands_components=_float32(hands_components),
            pose_std=_float32(pose_std),
            joint_axes=_float32(joint_axes),
            joint_limits=_float32(joint_limits),
            joint_frames=None if joint_frames is None else _float32(joint_frames),
            parents=tuple(int(p) for p in parents),
            fingertip_ids=tuple(int(i) for i in fingertip_ids),
            keypoint_ids=keypoint_ids,
            side=side,
        )


def _floats(name: str, array) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers, got {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {np.count_nonzero(~np.isfinite(array))} NaN or infinity")
    largest = np.abs(array).max(initial=0.0)
    if largest > np.finfo(np.float32).max / 1e3:
        raise ValueError(f"{name} must fit in float32, got {largest:.3g}")
    return array.astype(np.float64)


def _float32(array: np.ndarray) -> Array:
    return jnp.asarray(np.ascontiguousarray(array, np.float32))


def _vertex_ids(name: str, ids, vertices: int) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold whole numbers, got {ids.dtype}")
    if ids.size and not (ids.min() >= 0 and ids.max() < vertices):
        raise ValueError(f"{name} must lie in [0, {vertices}), got {ids.min()} to {ids.max()}")
    return ids.astype(np.int32)


def _check_rows(name: str, rows: np.ndarray) -> None:
    worst = np.abs(rows.sum(-1) - 1).max(initial=0.0)
    if worst > SUM_TOLERANCE:
        raise ValueError(f"{name} must have rows that sum to 1, got a row off by {worst:.3g}")


def _check_tree(parents) -> None:
    for joint, parent in enumerate(parents):
        if not (-1 <= parent < joint and (parent == -1) == (joint == 0)):
            raise ValueError(
                f"parents must be a tree, root (-1) first and each parent before its children; "
                f"got parents[{joint}] = {parent}"
            )
