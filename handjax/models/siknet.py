"""SIKNet of BiHand (Yang et al. 2020, section 3.2): 21 keypoints to MANO's joint rotations and shape."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.checks import check_last_axes
from handjax.mano import KEYPOINT_PARENTS
from handjax.models.layers import Compute, Mlp
from handjax.rotations import axis_angle_from_quaternion

REFERENCE_BONE = (0, 9)
"""Wrist and middle MCP: the unit of length is the distance between them."""

LENGTH_GUARD = 1e-5
"""Added to a bone's length before dividing by it, as published."""


class SIKNet(nn.Module):
    """Keypoints (N, 21, 3), root-relative and in reference bones (see `relative_joints`) -> a dict of float32 arrays.

    `quaternions` (N, 16, 4), (w, x, y, z) of any length, each joint's rotation in its parent's frame; `axis_angle`
    (N, 48) radians, `global_orient` and then `hand_pose` from the flat hand; `betas` (N, 10).
    The rotations see the keypoints and the 20 bone directions. So does the shape if `shape_sees_bones`, as in the
    paper; in the released code it sees the keypoints alone. Raises ValueError for keypoints of another shape.
    """

    rotation_widths: tuple[int, ...] = (256, 512, 1024, 1024, 512, 256)
    shape_widths: tuple[int, ...] = (128, 256, 512, 256, 128)
    shape_sees_bones: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, joints: Array, *, train: bool = False) -> dict[str, Array]:
        check_last_axes("joints", joints, (21, 3))
        lead = joints.shape[:-2]
        positions = joints.reshape(*lead, 63)
        both = jnp.concatenate([positions, bone_directions(joints).reshape(*lead, 60)], -1)
        seen = both if self.shape_sees_bones else positions
        rotations = Mlp((*self.rotation_widths, 64), compute=self.compute, name="invk_layers")(both, train)
        shape = Mlp((*self.shape_widths, 10), compute=self.compute, name="shapereg_layers")(seen, train)
        quaternions = rotations.astype(jnp.float32).reshape(*lead, 16, 4)
        return {
            "quaternions": quaternions,
            "axis_angle": axis_angle_from_quaternion(quaternions).reshape(*lead, 48),
            "betas": shape.astype(jnp.float32),
        }


PRESETS = {
    "tiny": SIKNet((32, 32), (16, 16)),
    "small": SIKNet((256, 512, 512, 256), (128, 128)),
    "paper": SIKNet(shape_widths=(128, 256, 512, 512, 256, 128), shape_sees_bones=True),
    "released": SIKNet(),
}
"""With other fields by `.clone(...)`. The paper counts seven layers for the shape, not their widths: here the released
ones with the widest twice."""


def bone_directions(joints: Array) -> Array:
    """(..., 21, 3) -> (..., 20, 3): from each keypoint's parent to it, over length + 1e-5. Zero for a bone without
    length, with finite gradients."""
    bones = joints[..., 1:, :] - joints[..., jnp.array(KEYPOINT_PARENTS), :]
    return bones / (length(bones) + LENGTH_GUARD)


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
