"""FreiHAND's vector of 61 numbers as MANO parameters in the camera frame."""

import jax
import numpy as np

from datasets.hand_models import params_dict
from handjax import conventions, mano
from handjax.checks import check_shape
from handjax.mano.types import MANO_KEYPOINT_IDS, HandModel, HandParams

ROOT_KEYPOINT = 9
"""The joint that the root pixel and the scale speak of: the middle finger's first."""


def root_position(vector: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """(61,) and the (3, 3) of the same file -> (3,) metres: where joint 9 is.

    Vector entries 58 and 59 are its pixel, 60 a scale s: depth = f / s with the mean focal length f, and the pixel is
    unprojected as ((u - cx) / s, (v - cy) / s), as FreiHAND's own code does.
    """
    u, v, scale = vector[58:]
    focal = (intrinsics[0, 0] + intrinsics[1, 1]) / 2
    return np.array([u - intrinsics[0, 2], v - intrinsics[1, 2], focal]) / scale


def params(model: HandModel, vector: np.ndarray, intrinsics: np.ndarray) -> dict[str, np.ndarray]:
    """betas, global_orient, hand_pose, transl: fingers from the flat hand, and joint 9 at `root_position`.

    vector: 48 angles, those of the fingers relative to the model's mean pose; 10 betas; root pixel; scale.
    """
    check_shape("the MANO vector", vector, (61,))
    root = root_position(vector, intrinsics)
    return params_dict(_params(model, vector.astype(np.float32), root.astype(np.float32)))


@jax.jit
def _params(model: HandModel, vector: jax.Array, root: jax.Array) -> HandParams:
    fingers = conventions.convert_pose(model, vector[3:48], source="mean_relative", target="axis_angle")
    centred = HandParams(vector[48:58], vector[:3], fingers, jax.numpy.zeros(3))
    joint = mano.forward(model, centred).joints[MANO_KEYPOINT_IDS[ROOT_KEYPOINT]]
    return centred._replace(transl=root - joint)
