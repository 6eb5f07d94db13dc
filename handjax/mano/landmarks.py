"""The 21 keypoints of a hand without its mesh: 16 joints and 5 skinned fingertips, a hundredth of the work."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.checks import check_shape
from handjax.mano import hand, kinematics, lbs
from handjax.mano.types import HandModel, HandOutput, HandParams


class FingertipModel(NamedTuple):
    """What the five fingertips need of a hand model. Taken once, outside of any loop."""

    template: Array  # (3, 5)
    basis: Array  # (3, 5, S + 9 (J - 1))
    weights: Array  # (5, J)


def fingertip_model(model: HandModel) -> FingertipModel:
    ids = np.array(model.fingertip_ids)
    planes = model.blend_basis.reshape(-1, 3, model.num_vertices)[:, :, ids]
    return FingertipModel(model.v_template[ids].T, planes.transpose(1, 2, 0), model.lbs_weights[ids])


def fingertips(tips: FingertipModel, weights: Array, transforms: Array) -> Array:
    """Blend weights (S + 9 (J - 1), ...), transforms (3, 4, J, ...) -> (3, 5, ...) posed fingertips."""
    template = tips.template.reshape(*tips.template.shape, *[1] * (weights.ndim - 1))
    rest = template + jnp.tensordot(tips.basis, weights, 1, precision="highest")
    blended = jnp.moveaxis(jnp.tensordot(tips.weights, transforms, ([1], [2]), precision="highest"), 0, 2)
    return kinematics.rotate(blended[:, :3], rest) + blended[:, 3]


def keypoints(model: HandModel, params: HandParams) -> Array:
    """-> (21, 3) metres: wrist, thumb, index, middle, ring, little, base to tip, as `forward` would place them."""
    hand.check_params(model, params)
    return _keypoints(model, params.betas, hand.rotation_planes(params), params.transl)


def keypoints_rotations(model: HandModel, betas: Array, local: Array, transl: Array) -> Array:
    """The same from rotation matrices (J, 3, 3), root first."""
    check_shape("local", local, (model.num_joints, 3, 3))
    return _keypoints(model, betas, local.transpose(1, 2, 0), transl)


def _keypoints(model: HandModel, betas: Array, local: Array, transl: Array) -> Array:
    local = lbs.in_model_axes(model, local)
    joints, transforms = lbs.joint_transforms(model, betas, local, transl)
    tips = fingertips(fingertip_model(model), lbs.blend_weights(betas, local), transforms)
    return jnp.concatenate([joints, tips], 1)[:, np.array(model.keypoint_ids)].T


def keypoints_of(model: HandModel, output: HandOutput) -> Array:
    """Keypoints (..., 21, 3) of a mesh that `forward` or `forward_batch` has already posed."""
    tips = output.vertices[..., np.array(model.fingertip_ids), :]
    return jnp.concatenate([output.joints, tips], -2)[..., np.array(model.keypoint_ids), :]


def centred(model: HandModel, output: HandOutput, center_idx: int) -> HandOutput:
    """Moves the keypoint `center_idx` (21-joint order; manopth's argument of that name) to the origin."""
    if not 0 <= center_idx < len(model.keypoint_ids):
        raise ValueError(f"center_idx must lie in [0, {len(model.keypoint_ids)}), got {center_idx}")
    centre = keypoints_of(model, output)[..., center_idx, :]
    moved = output.transforms.at[..., 3].add(-centre[..., None, :])
    return HandOutput(output.vertices - centre[..., None, :], output.joints - centre[..., None, :], moved)
