"""Targets of one hand in numbers: joints relative to a root, rotations, keypoints as shares of the crop."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax.checks import check_choice, check_shape
from handjax.losses.terms import KEYPOINTS, KNUCKLE, LEAST_LENGTH, WRIST, difference, flags, floats, length
from handjax.models.liftnet import DEPTH_MIN, DEPTH_RANGE
from handjax.rotations import quaternion_from_axis_angle

UNITS = ("bones", "metres")


class RelativeJoints(NamedTuple):
    """joints (21, 3) from their root; valid (21,), all 0 where root or unit is not known; root (3,) and bone () metres:
    the reference bone, from the wrist to the middle finger's base, and placed (): whether these two are known."""

    joints: Array
    valid: Array
    root: Array
    bone: Array
    placed: Array


def relative_joints(
    keypoints_3d: ArrayLike, valid: ArrayLike | None = None, *, root: int = KNUCKLE, unit: str = "bones"
) -> RelativeJoints:
    """(21, 3) metres -> what BiHand, HandTailor and IK networks (root 9, bones) or HAMR (root 0, metres) are given.

    valid (21,). HandTailor's root depth in bones is `root[2] / bone`.
    Raises ValueError for shapes that do not go together, a root that is no keypoint or another unit.
    """
    check_choice("unit", unit, UNITS)
    check_choice("root", root, range(KEYPOINTS))
    keypoints_3d = floats("keypoints_3d", keypoints_3d, (KEYPOINTS, 3))
    valid = flags(valid, (KEYPOINTS,))
    points = difference(keypoints_3d, jnp.zeros(()), valid)
    bone = length(points[WRIST] - points[KNUCKLE])
    placed = ((valid[WRIST] * valid[KNUCKLE] * valid[root] > 0) & (bone > LEAST_LENGTH)).astype(points.dtype)
    usable = valid * (placed if unit == "bones" else valid[root])
    scale = jnp.where(placed > 0, bone, 1.0) if unit == "bones" else 1.0
    joints = difference(points, jnp.broadcast_to(points[root], points.shape), usable) / scale
    return RelativeJoints(joints, usable, points[root], placed * bone, placed)


def uvd(
    keypoints_2d: ArrayLike,
    keypoints_3d: ArrayLike,
    valid: ArrayLike | None = None,
    *,
    crop: float = 256,
    opencv_pixels: bool = True,
) -> tuple[Array, Array]:
    """(K, 2) px of a crop and (21, 3) metres -> (21, 3): what `liftnet.joints_from_uvd` places, and (21,) valid.

    u and v are shares of the crop's side, d the depth from the root in reference bones, from -1.5 to 1.5, as a share
    of that. opencv_pixels: the network counts from a first centre at (0, 0), as published.
    """
    keypoints_2d = floats("keypoints_2d", keypoints_2d, (KEYPOINTS, 2))
    relative = relative_joints(keypoints_3d, valid)
    pixels = keypoints_2d - (0.5 if opencv_pixels else 0.0)
    depth = (relative.joints[:, 2:] - DEPTH_MIN) / DEPTH_RANGE
    return difference(jnp.concatenate([pixels / crop, depth], -1), jnp.zeros(()), relative.valid), relative.valid


def rotations(global_orient: ArrayLike, hand_pose: ArrayLike, valid: ArrayLike | None = None) -> tuple[Array, Array]:
    """(3,), (45,) radians -> (16, 4) unit quaternions (w, x, y, z) with w >= 0, the wrist's first, and () valid.

    Each in its parent's frame, from the flat hand: SIKNet's and HandTailor's. Where not valid, no turn.
    """
    check_shape("global_orient", global_orient, (3,))
    check_shape("hand_pose", hand_pose, (45,))
    valid = flags(valid, ())
    angles = jnp.concatenate([jnp.asarray(global_orient), jnp.asarray(hand_pose)]).reshape(16, 3)
    quaternions = quaternion_from_axis_angle(difference(angles, jnp.zeros(()), valid))
    return jnp.where(quaternions[:, :1] < 0, -quaternions, quaternions), valid


def crop_coordinates(keypoints_2d: ArrayLike, crop: float) -> Array:
    """(..., 2) pixels of a crop -> [-1, 1] across it, as HAMR projects."""
    return 2 * jnp.asarray(keypoints_2d, jnp.float32) / crop - 1
