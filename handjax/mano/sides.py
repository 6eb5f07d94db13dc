"""Left hands from right ones and back: the mirror x -> -x of models, poses and points."""

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
    rows = model.blend_basis.reshape(-1, 3, model.num_vertices) * signs[:, None]
    # A mirrored rotation is M R M: each entry of vec(R - I) changes sign with its row and its column.
    feature = np.tile(np.outer(signs, signs).ravel(), model.num_joints - 1)
    rows = rows * np.concatenate([np.ones(model.num_betas, np.float32), feature])[:, None, None]
    frames = model.joint_frames
    pseudo = -signs
    pose_signs = np.tile(pseudo, model.num_joints - 1)
    return model.replace(
        v_template=model.v_template * signs,
        blend_basis=rows.reshape(model.blend_basis.shape),
        joint_template=model.joint_template * signs,
        joint_shapedirs=model.joint_shapedirs * signs[:, None],
        faces=model.faces[:, ::-1],
        hands_mean=model.hands_mean * pose_signs,
        hands_components=model.hands_components * pose_signs,
        joint_axes=model.joint_axes * pseudo,
        joint_frames=None if frames is None else frames * np.outer(signs, signs),
        side=OTHER[model.side],
    )


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
