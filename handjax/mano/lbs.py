"""Linear blend skinning from rotations. Components lead and hands trail, as in `kinematics`."""

import jax.numpy as jnp
from jax import Array

from handjax.mano import kinematics
from handjax.mano.types import HandModel


def rest_joints(model: HandModel, betas: Array) -> Array:
    """(S, ...) -> (3, J, ...): the joint regressor applied to the shaped hand, folded into one small product."""
    offsets = jnp.tensordot(model.joint_shapedirs.transpose(1, 0, 2), betas, 1, precision="highest")
    template = model.joint_template.T.reshape(3, -1, *[1] * (betas.ndim - 1))
    return template + offsets


def in_model_axes(model: HandModel, local: Array) -> Array:
    """Rotations (3, 3, J, ...) in each joint's rest frame -> the same in model axes."""
    if model.joint_frames is None:
        return local
    frames = model.joint_frames.transpose(1, 2, 0).reshape(3, 3, -1, *[1] * (local.ndim - 3))
    return kinematics.multiply(kinematics.multiply(frames, local), frames.swapaxes(0, 1))


def blend_weights(betas: Array, local: Array) -> Array:
    """(S, ...), (3, 3, J, ...) -> (S + 9 (J - 1), ...): shape, then vec(R - I) of every joint but the root."""
    identity = jnp.eye(3).reshape(1, 3, 3, *[1] * (local.ndim - 3))
    pose = jnp.moveaxis(local[:, :, 1:], 2, 0) - identity
    return jnp.concatenate([betas, pose.reshape(-1, *betas.shape[1:])])


def joint_transforms(model: HandModel, betas: Array, local: Array, transl: Array) -> tuple[Array, Array]:
    """-> joints (3, J, ...) and transforms (3, 4, J, ...) from rest space to the posed hand. transl (3, ...)."""
    rest = rest_joints(model, betas)
    rotations, joints = kinematics.chain(local, rest, model.parents)
    joints = joints + transl[:, None]
    offsets = joints - kinematics.rotate(rotations, rest)
    return joints, jnp.concatenate([rotations, offsets[:, None]], 1)


def skin(model: HandModel, weights: Array, transforms: Array) -> Array:
    """Blend weights (S + 9 (J - 1), B) and transforms (3, 4, J, B) of B hands -> vertices (B, V, 3).

    One product blends shape and pose of all hands; four more carry the columns of the transforms to the vertices.
    """
    batch = weights.shape[-1]
    rest = jnp.einsum("wb,wn->bn", weights, model.blend_basis, precision="highest")
    rest = (rest + model.v_template.T.reshape(1, -1)).reshape(batch, 3, 1, -1)
    columns = transforms.transpose(1, 3, 0, 2).reshape(4, 3 * batch, model.num_joints)
    x, y, z, offset = [
        jnp.matmul(column, model.lbs_weights.T, precision="highest").reshape(batch, 3, -1) for column in columns
    ]
    planes = x * rest[:, 0] + y * rest[:, 1] + z * rest[:, 2] + offset
    return planes.transpose(0, 2, 1)
