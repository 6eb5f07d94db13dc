"""The 21 keypoints of a hand without its mesh: 16 joints and 5 skinned fingertips, a hundredth of the work."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.mano import hand, lbs
from handjax.mano.types import HandModel, HandOutput, HandParams


class FingertipModel(NamedTuple):
    """What the five fingertips need of a hand model. Taken once, outside of any loop."""

    template: Array  # (5, 3)
    basis: Array  # (5, 3, S + 9 (J - 1))
    weights: Array  # (5, J)


def fingertip_model(model: HandModel) -> FingertipModel:
    ids = np.array(model.fingertip_ids)
    planes = model.blend_basis.reshape(-1, 3, model.num_vertices)[:, :, ids]
    return FingertipModel(model.v_template[ids], planes.transpose(2, 1, 0), model.lbs_weights[ids])


def keypoints(model: HandModel, params: HandParams) -> Array:
    """-> (21, 3) metres: wrist, thumb, index, middle, ring, little, base to tip, as `forward` would place them."""
    hand.check_params(model, params)
    return keypoints_rotations(model, params.betas, hand.joint_rotations(params), params.transl)


def keypoints_rotations(model: HandModel, betas: Array, local: Array, transl: Array) -> Array:
    """The same from rotation matrices (J, 3, 3), root first."""
    local = lbs.local_rotations(model, local)
    joints, transforms = lbs.skin_transforms(model, betas, local, transl)
    tips = fingertip_model(model)
    weights = lbs.blend_weights(betas, local)
    rest = tips.template + jnp.einsum("tcw,w->tc", tips.basis, weights, precision="highest")
    blended = jnp.einsum("tj,jrc->trc", tips.weights, transforms, precision="highest")
    posed = (blended[..., :3] * rest[:, None]).sum(-1) + blended[..., 3]
    return jnp.concatenate([joints, posed])[np.array(model.keypoint_ids)]


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
