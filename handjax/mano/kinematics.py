"""The joint tree, walked level by level: rotations of the joints to where they stand."""

from functools import cache

import jax.numpy as jnp
import numpy as np
from jax import Array


@cache
def levels(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Joints by depth, the root alone first. Each level needs only the one before it."""
    depth = [0] * len(parents)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            depth[joint] = depth[parent] + 1
    return tuple(tuple(j for j in range(len(parents)) if depth[j] == level) for level in range(max(depth) + 1))


def multiply(left: Array, right: Array) -> Array:
    """(..., 3, 3) times (..., 3, n), as sums that XLA fuses: its batched 3x3 products are slow on CPU."""
    return sum(left[..., :, k, None] * right[..., None, k, :] for k in range(3))  # pyright: ignore[reportReturnType]


def rotate(matrix: Array, vector: Array) -> Array:
    """(..., 3, 3) times (..., 3)."""
    return sum(matrix[..., :, k] * vector[..., None, k] for k in range(3))  # pyright: ignore[reportReturnType]


def chain(local: Array, rest_joints: Array, parents: tuple[int, ...]) -> tuple[Array, Array]:
    """Rotations (J, 3, 3) relative to the parent, rest joints (J, 3) -> world rotations (J, 3, 3), joints (J, 3).

    The root turns about its own rest position.
    """
    by_level = levels(parents)
    rotations, joints = [local[:1]], [rest_joints[:1]]
    for previous, level in zip(by_level, by_level[1:], strict=False):
        ids = np.array(level)
        parent_slots = np.array([previous.index(parents[joint]) for joint in level])
        parent_ids = np.array([parents[joint] for joint in level])
        turned = rotations[-1][parent_slots]
        offset = rest_joints[ids] - rest_joints[parent_ids]
        joints.append(joints[-1][parent_slots] + rotate(turned, offset))
        rotations.append(multiply(turned, local[ids]))
    order = np.argsort([joint for level in by_level for joint in level])
    return jnp.concatenate(rotations)[order], jnp.concatenate(joints)[order]
