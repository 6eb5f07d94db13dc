"""Finger poses by the name of their coding: whole or mean-relative, angles, PCA, quaternions, 6D or matrices."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax import rotations
from handjax.checks import check_choice, check_last_axes
from handjax.mano import pose
from handjax.mano.types import HandModel

POSE_CODINGS = ("axis_angle", "mean_relative", "pca", "pca_flat", "quaternion", "6d", "matrix")


def convert_pose(
    model: HandModel, hand_pose: ArrayLike, *, source: str, target: str, num_pca_comps: int | None = None
) -> Array:
    """Finger poses from one coding to another; a code for one rotation a joint has the axis of the J - 1 joints.

    Args:
      source, target: axis_angle (..., P), flat hand at zero: handjax, HO-3D; smplx's flat_hand_mean=True.
        mean_relative (..., P), `hands_mean` at zero: FreiHAND, InterHand2.6M, ARCTIC; smplx's default.
        pca (..., n) coefficients about the mean: DexYCB, smplx's default. pca_flat: the same about the flat hand.
        quaternion (..., J - 1, 4) w first; 6d (..., J - 1, 6); matrix (..., J - 1, 3, 3): whole poses, no mean.
      num_pca_comps: how many coefficients `target` gets, default all of the model's; the nearest pose they can make.

    Raises ValueError for an unknown coding or a shape that it does not have.
    """
    check_choice("source", source, POSE_CODINGS)
    check_choice("target", target, POSE_CODINGS)
    angles = _axis_angle_from(model, jnp.asarray(hand_pose), source)
    if target == "axis_angle":
        return angles
    if target == "mean_relative":
        return angles - jnp.broadcast_to(model.hands_mean, angles.shape)
    if target in ("pca", "pca_flat"):
        count = len(model.hands_components) if num_pca_comps is None else num_pca_comps
        return pose.pca_from_pose(model, angles, count, flat_hand_mean=target == "pca_flat")
    rows = angles.reshape(*angles.shape[:-1], -1, 3)
    if target == "quaternion":
        return rotations.quaternion_from_axis_angle(rows)
    matrices = rotations.matrix_from_axis_angle(rows)
    return matrices if target == "matrix" else rotations.sixd_from_matrix(matrices)


def _axis_angle_from(model: HandModel, hand_pose: Array, source: str) -> Array:
    joints = model.num_joints - 1
    if source in ("pca", "pca_flat"):
        return pose.pose_from_pca(model, hand_pose, flat_hand_mean=source == "pca_flat")
    if source in ("axis_angle", "mean_relative"):
        check_last_axes("hand_pose", hand_pose, (3 * joints,))
        mean = jnp.broadcast_to(model.hands_mean, hand_pose.shape)
        return hand_pose + mean if source == "mean_relative" else hand_pose
    check_last_axes("hand_pose", hand_pose, (joints, *{"quaternion": (4,), "6d": (6,), "matrix": (3, 3)}[source]))
    if source == "quaternion":
        angles = rotations.axis_angle_from_quaternion(hand_pose)
    else:
        matrices = rotations.matrix_from_6d(hand_pose) if source == "6d" else hand_pose
        angles = rotations.axis_angle_from_matrix(matrices)
    return angles.reshape(*angles.shape[:-2], -1)
