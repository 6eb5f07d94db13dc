"""From the numbers of HAMR's regressor to a hand, and to the camera that sees it. One hand a call."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import mano
from handjax.camera import WeakCamera, project
from handjax.checks import check_shape
from handjax.models.hamr import CAMERA, Hamr

HAMR_FINGERTIPS = (734, 333, 443, 555, 678)
"""Thumb to little, the paper's footnote; for `HandModel.with_fingertips`."""


class HamrHand(NamedTuple):
    """One hand, metres, its wrist at the origin: params; vertices (V, 3); keypoints_3d (21, 3); camera; keypoints_2d
    (21, 2) pixels of the crop."""

    params: mano.HandParams
    vertices: Array
    keypoints_3d: Array
    camera: WeakCamera
    keypoints_2d: Array


def weak_camera(numbers: Array, network: Hamr) -> WeakCamera:
    """(3,) -> the camera of the crop, for points relative to the wrist: uv = s (xy + t) in [-1, 1] (eq. 5)."""
    check_shape("numbers", numbers, (CAMERA,))
    half = network.size / 2
    scale = network.camera_scale * numbers[0]
    return WeakCamera(half * scale, half * (scale * numbers[1:] + 1))


def decode(model: mano.HandModel, outputs: dict[str, Array], network: Hamr) -> HamrHand:
    """Outputs of `Hamr` for one crop, without the batch axis -> the hand.

    Zero pose coefficients are MANO's mean pose. Joints are regressed from the posed vertices, as HAMR's code has it;
    they lie millimetres from where the kinematic chain puts them. The code's model is the left hand, and its tips
    `HAMR_FINGERTIPS`. Raises ValueError for outputs of a network without a mesh.
    """
    if "betas" not in outputs:
        raise ValueError(f"outputs must hold 'betas', as those of a network with a mesh do, got {sorted(outputs)}")
    params = mano.hand_params(
        model,
        betas=outputs["betas"],
        global_orient=outputs["global_orient"],
        hand_pose=outputs["pca"],
        use_pca=True,
        flat_hand_mean=False,
    )
    vertices = mano.forward(model, params).vertices
    joints = jnp.matmul(model.J_regressor, vertices, precision="highest")
    joints = jnp.concatenate([joints, vertices[np.array(model.fingertip_ids)]])[np.array(model.keypoint_ids)]
    wrist = joints[0]
    camera = weak_camera(outputs["camera"], network)
    joints = joints - wrist[None]
    params = params._replace(transl=params.transl - wrist)
    return HamrHand(params, vertices - wrist[None], joints, camera, project(camera, joints))
