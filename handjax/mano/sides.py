"""Left hands from right ones and back: the mirror x -> -x of models, poses and points."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.mano.types import HandModel, HandParams

OTHER = {"left": "right", "right": "left"}


def mirror(model: HandModel) -> HandModel:
    """The hand of the other side: `forward(mirror(model), mirror_params(p))` is `forward(model, p)` with -x.

    Shape is mirrored with the template, so equal betas give mirror images. The released MANO_LEFT.pkl differs in just
    this (its shapedirs are the right hand's): see `fix_left_shapedirs` of `load`.
    """
    signs = np.array([-1.0, 1.0, 1.0], np.float32)
    # A mirrored rotation is M R M: each entry of vec(R - I) changes sign with its row and its column.
    both = np.outer(signs, signs)
    feature = np.concatenate([np.ones(model.num_betas, np.float32), np.tile(both.ravel(), model.num_joints - 1)])
    rows = np.broadcast_to(feature[:, None, None] * signs[:, None], (len(feature), 3, model.num_vertices))
    pseudo = -signs
    frames = model.joint_frames
    return dataclasses.replace(
        model,
        v_template=_signed(model.v_template, signs),
        blend_basis=_signed(model.blend_basis, rows.reshape(len(feature), -1)),
        joint_template=_signed(model.joint_template, signs),
        joint_shapedirs=_signed(model.joint_shapedirs, signs[:, None]),
        faces=model.faces[:, ::-1],
        hands_mean=_signed(model.hands_mean, np.tile(pseudo, model.num_joints - 1)),
        hands_components=_signed(model.hands_components, np.tile(pseudo, model.num_joints - 1)),
        joint_axes=_signed(model.joint_axes, pseudo),
        joint_frames=None if frames is None else _signed(frames, both),
        side=OTHER[model.side],
    )


def _signed(array: Array, signs: np.ndarray) -> Array:
    return array * np.broadcast_to(signs, array.shape)


def mirror_params(params: HandParams) -> HandParams:
    """Axis-angle (x, y, z) -> (x, -y, -z) of every joint, transl x -> -x, betas as they are. Any leading axes."""
    return HandParams(
        params.betas,
        mirror_axis_angle(params.global_orient),
        mirror_axis_angle(params.hand_pose),
        mirror_points(params.transl),
    )


def mirror_axis_angle(pose: Array) -> Array:
    """(..., 3 n) radians -> the same of the mirrored hand."""
    triples = pose.reshape(*pose.shape[:-1], -1, 3)
    return jnp.stack([triples[..., 0], -triples[..., 1], -triples[..., 2]], -1).reshape(pose.shape)


def mirror_points(points: Array) -> Array:
    """(..., 3) -> x negated."""
    return jnp.stack([-points[..., 0], points[..., 1], points[..., 2]], -1)
