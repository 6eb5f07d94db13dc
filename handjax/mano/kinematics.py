"""The joint tree, walked level by level: rotations of the joints to where they stand.

Components lead and hands trail, (3, 3, J, ...): one hand and a batch are the same code, and a batch is the innermost
axis, which a CPU runs as vectors.
"""

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
    """(3, 3, ...) times (3, n, ...), as sums that XLA fuses: its batched 3x3 products are slow on a CPU."""
    return left[:, 0, None] * right[None, 0] + left[:, 1, None] * right[None, 1] + left[:, 2, None] * right[None, 2]


def rotate(matrix: Array, vector: Array) -> Array:
    """(3, 3, ...) times (3, ...)."""
    return matrix[:, 0] * vector[None, 0] + matrix[:, 1] * vector[None, 1] + matrix[:, 2] * vector[None, 2]


def pick(array: Array, ids: tuple[int, ...], axis: int) -> Array:
    """Elements `ids` along an axis: a slice where they are evenly spaced, which fuses better than a gather."""
    step = ids[1] - ids[0] if len(ids) > 1 else 1
    index: slice | np.ndarray
    first, last = min(ids), max(ids)
    if step > 0 and ids == tuple(range(first, last + 1, step)):
        index = slice(first, last + 1, step)
    else:
        index = np.array(ids)
    return array[(slice(None),) * axis + (index,)]


def chain(local: Array, rest_joints: Array, parents: tuple[int, ...]) -> tuple[Array, Array]:
    """Rotations relative to the parent, rest joints -> rotations in the world (3, 3, J, ...), joints (3, J, ...).

    local (3, 3, J, ...); rest_joints (3, J, ...). The root turns about its own rest position.
    """
    by_level = levels(parents)
    rotations, joints = [local[:, :, :1]], [rest_joints[:, :1]]
    for previous, level in zip(by_level, by_level[1:], strict=False):
        of_parent = [previous.index(parents[joint]) for joint in level]
        turned, origin = rotations[-1], joints[-1]
        if of_parent != list(range(len(previous))) and len(previous) > 1:
            turned, origin = pick(turned, tuple(of_parent), 2), pick(origin, tuple(of_parent), 1)
        offset = pick(rest_joints, level, 1) - pick(rest_joints, tuple(parents[joint] for joint in level), 1)
        joints.append(origin + rotate(turned, offset))
        rotations.append(multiply(turned, pick(local, level, 2)))
    order = np.argsort([joint for level in by_level for joint in level])
    return jnp.concatenate(rotations, 2)[:, :, order], jnp.concatenate(joints, 1)[:, order]
