"""SIKNet of BiHand (Yang et al. 2020, section 3.2): 21 keypoints to MANO's joint rotations and shape."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.checks import check_last_axes
from handjax.losses.terms import bones
from handjax.models.layers import Compute, Mlp
from handjax.rotations import (
    axis_angle_from_quaternion,
    matrix_from_quaternion,
    multiply_quaternions,
    quaternion_from_matrix,
)

REFERENCE_BONE = (0, 9)
"""Wrist and middle MCP: the unit of length is the distance between them."""

PALM = (0, 5, 9, 17)
"""Wrist and the knuckles of index, middle and little finger, which no finger moves: they turn with the hand."""

LENGTH_GUARD = 1e-5
"""Added to a bone's length before dividing by it, as published."""


class SIKNet(nn.Module):
    """Keypoints (N, 21, 3), root-relative and in reference bones (see `relative_joints`) -> a dict of float32 arrays.

    `quaternions` (N, 16, 4), (w, x, y, z) of any length, each joint's rotation in its parent's frame; `axis_angle`
    (N, 48) radians, `global_orient` and then `hand_pose` from the flat hand; `betas` (N, 10).
    The rotations see the keypoints and the 20 bone directions. So does the shape if `shape_sees_bones`, as in the
    paper; in the released code it sees the keypoints alone. Raises ValueError for keypoints of another shape.

    palm_frame, not in the paper: the hand is turned upright by its palm before anything looks at it, and its rotation
    turned back, so that only fingers are to be learnt and not each of them from every side; the shape sees the bones'
    lengths, which no turn changes.
    """

    rotation_widths: tuple[int, ...] = (256, 512, 1024, 1024, 512, 256)
    shape_widths: tuple[int, ...] = (128, 256, 512, 256, 128)
    shape_sees_bones: bool = False
    palm_frame: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, joints: Array, *, train: bool = False) -> dict[str, Array]:
        check_last_axes("joints", joints, (21, 3))
        lead = joints.shape[:-2]
        palm = palm_rotation(joints) if self.palm_frame else None
        if palm is not None:
            # Of R^T x, as a row: x^T R.
            joints = jnp.matmul(joints, matrix_from_quaternion(palm), precision="highest")
        positions = joints.reshape(*lead, 63)
        both = jnp.concatenate([positions, bone_directions(joints).reshape(*lead, 60)], -1)
        seen = both if self.shape_sees_bones else positions
        if palm is not None:
            seen = jnp.concatenate([seen, length(bones(joints))[..., 0]], -1)
        rotations = Mlp((*self.rotation_widths, 64), compute=self.compute, name="invk_layers")(both, train)
        shape = Mlp((*self.shape_widths, 10), compute=self.compute, name="shapereg_layers")(seen, train)
        quaternions = rotations.astype(jnp.float32).reshape(*lead, 16, 4)
        if palm is not None:
            wrist = multiply_quaternions(palm, quaternions[..., 0, :])
            # Of q and -q, which are one rotation, the one that targets have.
            wrist = jnp.where(wrist[..., :1] < 0, -wrist, wrist)
            quaternions = jnp.concatenate([wrist[..., None, :], quaternions[..., 1:, :]], -2)
        return {
            "quaternions": quaternions,
            "axis_angle": axis_angle_from_quaternion(quaternions).reshape(*lead, 48),
            "betas": shape.astype(jnp.float32),
        }


PRESETS = {
    "tiny": SIKNet((32, 32), (16, 16)),
    "small": SIKNet((256, 512, 512, 256), (128, 128), palm_frame=True),
    "paper": SIKNet(shape_widths=(128, 256, 512, 512, 256, 128), shape_sees_bones=True),
    "released": SIKNet(),
}
"""With other fields by `.clone(...)`. The paper counts seven layers for the shape, not their widths: here the released
ones with the widest twice."""


def bone_directions(joints: Array) -> Array:
    """(..., 21, 3) -> (..., 20, 3): from each keypoint's parent to it, over length + 1e-5. Zero for a bone without
    length, with finite gradients."""
    vectors = bones(joints)
    return vectors / (length(vectors) + LENGTH_GUARD)


def palm_rotation(joints: Array) -> Array:
    """(..., 21, 3) -> (..., 4) w x y z: turns (0, 1, 0) to the middle knuckle, seen from the wrist, and the plane of
    x and y to the palm's. The identity where wrist and knuckles lie on a line, with finite gradients."""
    wrist, index, middle, little = (joints[..., keypoint, :] for keypoint in PALM)
    along = middle - wrist
    across = jnp.cross(along, index - little)
    flat = (across * across).sum(-1, keepdims=True) <= LENGTH_GUARD**2
    along = jnp.where(flat, jnp.broadcast_to(jnp.array([0.0, 1.0, 0.0]), along.shape), along)
    across = jnp.where(flat, jnp.broadcast_to(jnp.array([0.0, 0.0, 1.0]), across.shape), across)
    along, across = along / length(along), across / length(across)
    return quaternion_from_matrix(jnp.stack([jnp.cross(along, across), along, across], -1))


def relative_joints(joints: Array, root: Array) -> Array:
    """(..., 21, 3) and `root` (..., 3), metres -> (..., 21, 3) from the root, in the joints' own reference bone."""
    check_last_axes("joints", joints, (21, 3))
    start, end = REFERENCE_BONE
    bone = length(joints[..., start, :] - joints[..., end, :])
    return (joints - root[..., None, :]) / jnp.maximum(bone, LENGTH_GUARD)[..., None, :]


def length(vector: Array) -> Array:
    """(..., 3) -> (..., 1), whose gradient at 0 is 0 and not NaN."""
    squared = (vector * vector).sum(-1, keepdims=True)
    vanishing = squared == 0
    return jnp.where(vanishing, 0.0, jnp.sqrt(jnp.where(vanishing, 1.0, squared)))
