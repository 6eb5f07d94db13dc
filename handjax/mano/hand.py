"""The main path: parameters in, a posed hand out. One hand a call; `forward_batch` for many."""

import jax
import jax.numpy as jnp
from jax import Array

from handjax import rotations
from handjax.checks import check_shape
from handjax.mano import lbs
from handjax.mano.types import HandModel, HandOutput, HandParams

TILE = 16
"""Hands skinned together: their blended transforms (37 kB a hand) then stay in a core's cache."""


def forward(model: HandModel, params: HandParams) -> HandOutput:
    """Poses one hand (MANO, Romero et al. 2017, eqs. 2-7). For a batch: `forward_batch`.

    Raises ValueError if a parameter has the wrong shape.
    """
    check_params(model, params)
    return _pose_one(model, params.betas, rotation_planes(params), params.transl)


def forward_rotations(model: HandModel, betas: Array, local: Array, transl: Array) -> HandOutput:
    """The same from rotation matrices (J, 3, 3), root first, each relative to its parent; (S,) and (3,).

    Takes rotations of any other coding by way of `handjax.rotations`.
    """
    check_shape("betas", betas, (model.num_betas,))
    check_shape("local", local, (model.num_joints, 3, 3))
    check_shape("transl", transl, (3,))
    return _pose_one(model, betas, local.transpose(1, 2, 0), transl)


def _pose_one(model: HandModel, betas: Array, local: Array, transl: Array) -> HandOutput:
    local = lbs.in_model_axes(model, local)
    joints, transforms = lbs.joint_transforms(model, betas, local, transl)
    weights = lbs.blend_weights(betas, local)
    vertices = lbs.skin(model, weights[:, None], transforms[..., None])
    return HandOutput(vertices[0], joints.T, transforms.transpose(2, 0, 1))


def forward_batch(model: HandModel, params: HandParams, *, tile: int = TILE) -> HandOutput:
    """Poses B hands: every field of `params` and of the result has a leading B.

    Skins `tile` hands at a time and computes each tile again in the backward pass, so that what lies between
    parameters and vertices (37 kB a hand otherwise) does not grow with B.
    """
    jax.vmap(lambda one: check_params(model, one))(params)
    local = lbs.in_model_axes(model, rotation_planes(params))
    betas, transl = params.betas.T, params.transl.T
    joints, transforms = lbs.joint_transforms(model, betas, local, transl)
    weights = lbs.blend_weights(betas, local)
    return HandOutput(
        _skin_tiles(model, weights, transforms, tile), joints.transpose(2, 1, 0), transforms.transpose(3, 2, 0, 1)
    )


def _skin_tiles(model: HandModel, weights: Array, transforms: Array, tile: int) -> Array:
    batch = weights.shape[-1]
    if batch <= tile:
        return lbs.skin(model, weights, transforms)
    tiles = -(-batch // tile)

    def cut(array: Array) -> Array:
        padded = jnp.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, tiles * tile - batch)])
        return jnp.moveaxis(padded.reshape(*array.shape[:-1], tiles, tile), -2, 0)

    one_tile = jax.checkpoint(lambda some: lbs.skin(model, *some))
    vertices = jax.lax.map(one_tile, (cut(weights), cut(transforms)))
    return vertices.reshape(tiles * tile, -1, 3)[:batch]


def rotation_planes(params: HandParams) -> Array:
    """Parameters of one hand or with a leading B -> local rotations (3, 3, J) or (3, 3, J, B), root first."""
    pose = jnp.concatenate([params.global_orient, params.hand_pose], -1)
    joints_last = pose.reshape(*pose.shape[:-1], -1, 3)
    return rotations.planes_from_axis_angle(joints_last.transpose(*range(joints_last.ndim)[::-1]))


def check_params(model: HandModel, params: HandParams) -> None:
    check_shape("betas", params.betas, (model.num_betas,))
    check_shape("global_orient", params.global_orient, (3,))
    check_shape("hand_pose", params.hand_pose, (3 * (model.num_joints - 1),))
    check_shape("transl", params.transl, (3,))
