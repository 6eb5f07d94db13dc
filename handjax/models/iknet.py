"""IKNet of minimal-hand (Zhou et al. 2020, "Monocular Real-time Hand Shape and Motion Capture using Multi-modal Data",
section 3.2.2): keypoints and those of the hand at rest to the joints' rotations."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.checks import check_last_axes
from handjax.losses import terms
from handjax.models.layers import BatchNorm, Compute, Linear
from handjax.rotations import axis_angle_from_quaternion

TENSORFLOW_EPSILON = 1e-3
"""Batch norm's default where this network comes from."""

INIT = nn.initializers.truncated_normal(0.01)


class IKNet(nn.Module):
    """Keypoints and rest keypoints (N, 21, 3), from the middle MCP, in wrist to middle MCP lengths -> a dict.

    `quaternions` (N, 21, 4) unit, (w, x, y, z) with w >= 0: each keypoint's rotation in the frame of the hand's root,
    not of its parent; `axis_angle` (N, 21, 3) radians, the same. Bones enter as they are: direction times length.
    Raises ValueError for keypoints of another shape.
    """

    layers: int = 6
    features: int = 1024
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, joints: Array, rest_joints: Array, *, train: bool = False) -> dict[str, Array]:
        check_last_axes("joints", joints, (21, 3))
        check_last_axes("rest_joints", rest_joints, (21, 3))
        parts = [joints, bones(joints), rest_joints, bones(rest_joints)]
        x = jnp.concatenate(parts, -2).reshape(*joints.shape[:-2], 252)
        for layer in range(self.layers):
            x = Linear(self.features, self.compute, INIT, nn.initializers.zeros, name=f"layers.{3 * layer}")(x)
            x = BatchNorm(self.compute, TENSORFLOW_EPSILON, name=f"layers.{3 * layer + 1}")(x, train)
            x = nn.sigmoid(x)
        y = Linear(84, self.compute, INIT, nn.initializers.zeros, name=f"layers.{3 * self.layers}")(x)
        quaternions = unit_quaternions(y.astype(jnp.float32).reshape(*joints.shape[:-2], 21, 4))
        return {"quaternions": quaternions, "axis_angle": axis_angle_from_quaternion(quaternions)}


def bones(joints: Array) -> Array:
    """(..., 21, 3) -> (..., 21, 3): from each keypoint's parent to it; the wrist, which has none, gets 0."""
    return jnp.concatenate([jnp.zeros_like(joints[..., :1, :]), terms.bones(joints)], -2)


def unit_quaternions(quaternions: Array) -> Array:
    """(..., 4) -> (..., 4) of length 1 with w >= 0; of length 0 it stays 0, with finite gradients."""
    squared = (quaternions * quaternions).sum(-1, keepdims=True)
    smallest = jnp.finfo(jnp.float32).eps
    unit = quaternions / jnp.sqrt(jnp.maximum(squared, smallest**2))
    return jnp.where(unit[..., :1] < 0, -unit, unit)
