"""Linear blend skinning of one hand, from rotations; coordinates are planes (3, V) inside, as the fast kernel reads."""

import jax.numpy as jnp
from jax import Array

from handjax.mano import kinematics
from handjax.mano.types import HandModel


def rest_joints(model: HandModel, betas: Array) -> Array:
    """(S,) -> (J, 3): the joint regressor applied to the shaped hand, folded into one small product."""
    return model.joint_template + jnp.einsum("jcs,s->jc", model.joint_shapedirs, betas, precision="highest")


def local_rotations(model: HandModel, rotations: Array) -> Array:
    """(J, 3, 3) in each joint's rest frame -> the same in model axes."""
    if model.joint_frames is None:
        return rotations
    frames = model.joint_frames
    return kinematics.multiply(kinematics.multiply(frames, rotations), jnp.swapaxes(frames, -1, -2))


def blend_weights(betas: Array, local: Array) -> Array:
    """(S,), (J, 3, 3) -> (S + 9 (J - 1),): shape coefficients, then vec(R - I) of every joint but the root."""
    pose = local[1:] - jnp.broadcast_to(jnp.eye(3), local[1:].shape)
    return jnp.concatenate([betas, pose.reshape(-1)])


def skin_transforms(model: HandModel, betas: Array, local: Array, transl: Array) -> tuple[Array, Array]:
    """-> joints (J, 3) and transforms (J, 3, 4) that take a rest-space point of each joint to the posed hand."""
    rest = rest_joints(model, betas)
    rotations, joints = kinematics.chain(local, rest, model.parents)
    joints = joints + transl[None]
    offsets = joints - kinematics.rotate(rotations, rest)
    return joints, jnp.concatenate([rotations, offsets[..., None]], -1)


def skin_planes(model: HandModel, weights: Array, transforms: Array) -> Array:
    """Blend weights (B, S + 9 (J - 1)) and transforms (B, J, 3, 4) of B hands -> vertices as planes (B, 3, V).

    One product blends shape and pose for all hands; four more carry each column of the transforms to the vertices.
    """
    batch = weights.shape[0]
    template = model.v_template.T.reshape(1, -1)
    rest = template + jnp.matmul(weights, model.blend_basis, precision="highest")
    rest = rest.reshape(batch, 3, 1, model.num_vertices)
    by_column = transforms.transpose(3, 0, 2, 1).reshape(4, batch * 3, model.num_joints)
    spread = [
        jnp.matmul(column, model.lbs_weights.T, precision="highest").reshape(batch, 3, model.num_vertices)
        for column in by_column
    ]
    return spread[0] * rest[:, 0] + spread[1] * rest[:, 1] + spread[2] * rest[:, 2] + spread[3]
