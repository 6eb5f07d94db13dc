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
    return forward_rotations(model, params.betas, joint_rotations(params), params.transl)


def forward_rotations(model: HandModel, betas: Array, local: Array, transl: Array) -> HandOutput:
    """The same from rotation matrices (J, 3, 3), root first, each relative to its parent; (S,) and (3,).

    Feeds rotations of any other coding: see `handjax.rotations`.
    """
    check_shape("betas", betas, (model.num_betas,))
    check_shape("local", local, (model.num_joints, 3, 3))
    local = lbs.local_rotations(model, local)
    joints, transforms = lbs.skin_transforms(model, betas, local, transl)
    planes = lbs.skin_planes(model, lbs.blend_weights(betas, local)[None], transforms[None])
    return HandOutput(planes[0].T, joints, transforms)


def forward_batch(model: HandModel, params: HandParams, *, tile: int = TILE) -> HandOutput:
    """Poses B hands: every field of `params` and of the result has a leading B.

    Skins `tile` hands at a time and computes each tile again in the backward pass, so that the memory in between
    does not grow with B.
    """
    batch = params.betas.shape[0]
    if batch <= 4 * tile:
        return _forward_tile(model, params)
    tiles = -(-batch // tile)
    spare = tiles * tile - batch

    def cut(array: Array) -> Array:
        padded = jnp.pad(array, [(0, spare)] + [(0, 0)] * (array.ndim - 1)) if spare else array
        return padded.reshape(tiles, tile, *array.shape[1:])

    def join(array: Array) -> Array:
        return array.reshape(tiles * tile, *array.shape[2:])[:batch]

    one_tile = jax.checkpoint(lambda some: _forward_tile(model, some))
    return jax.tree.map(join, jax.lax.map(one_tile, jax.tree.map(cut, params)))


def _forward_tile(model: HandModel, params: HandParams) -> HandOutput:
    jax.vmap(lambda one: check_params(model, one))(params)
    local = jax.vmap(lambda one: lbs.local_rotations(model, joint_rotations(one)))(params)
    joints, transforms = jax.vmap(lambda b, r, t: lbs.skin_transforms(model, b, r, t))(
        params.betas, local, params.transl
    )
    weights = jax.vmap(lbs.blend_weights)(params.betas, local)
    planes = lbs.skin_planes(model, weights, transforms)
    return HandOutput(planes.transpose(0, 2, 1), joints, transforms)


def joint_rotations(params: HandParams) -> Array:
    """-> (J, 3, 3): the root's rotation, then the others'."""
    pose = jnp.concatenate([params.global_orient, params.hand_pose])
    return rotations.matrix_from_axis_angle(pose.reshape(-1, 3))


def check_params(model: HandModel, params: HandParams) -> None:
    check_shape("betas", params.betas, (model.num_betas,))
    check_shape("global_orient", params.global_orient, (3,))
    check_shape("hand_pose", params.hand_pose, (3 * (model.num_joints - 1),))
    check_shape("transl", params.transl, (3,))
