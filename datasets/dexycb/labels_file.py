"""DexYCB's label files: YAML of sequences and calibrations, npz of frames."""

from typing import Any

import jax
import numpy as np
import yaml
from etils import epath

from datasets import labels
from datasets.hand_models import params_dict
from handjax import conventions
from handjax.checks import check_shape
from handjax.mano.archive import read_npz
from handjax.mano.types import HandModel, HandParams

HAND_ID = 255
"""Of the hand in `seg`; 1 to 21 are objects."""
SHAPES = {"joint_3d": (21, 3), "joint_2d": (21, 2), "pose_m": (51,)}
ABSENT = -1


def read_yaml(path: epath.Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """Raises ValueError naming the file if it does not hold a field for each of `keys`."""
    try:
        fields = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is damaged: {str(error)[:200]}") from error
    if not (isinstance(fields, dict) and all(key in fields for key in keys)):
        raise ValueError(f"{path} must hold {', '.join(keys)}, got {str(fields)[:200]}")
    return fields


def intrinsics(path: epath.Path) -> np.ndarray:
    """(3, 3) in our pixels of a colour camera, whose first pixel centre is at (0, 0) in its calibration."""
    color = read_yaml(path, ("color",))["color"]
    return labels.intrinsics_from_opencv(labels.pinhole(*(float(color[key]) for key in ("fx", "fy", "ppx", "ppy"))))


def betas(path: epath.Path) -> np.ndarray:
    """(10,) of a subject's hand."""
    values = np.asarray(read_yaml(path, ("betas",))["betas"], np.float32)
    check_shape("betas", values, (10,))
    return values


def read_frame(path: epath.Path) -> dict[str, np.ndarray]:
    """seg (H, W), joint_3d (21, 3), joint_2d (21, 2), pose_m (51,) of one frame.

    Raises ValueError or KeyError if one is missing, damaged or of another shape. There is one hand in each frame.
    """
    stored, _ = read_npz(path.read_bytes(), ("seg", *SHAPES))
    found = {"seg": stored["seg"]}
    check_shape("seg", found["seg"], ("H", "W"))
    for key, shape in SHAPES.items():
        check_shape(key, stored[key], (1, *shape))
        found[key] = stored[key][0]
    return found


def params(model: HandModel, shape: np.ndarray, pose: np.ndarray) -> dict[str, np.ndarray]:
    """betas (10,) and pose_m (51,) -> MANO in the camera frame, where it was fitted, fingers from the flat hand.

    pose_m: the root's axis-angle, 45 principal components about the mean pose, and a translation in metres.
    """
    return params_dict(_params(model, shape.astype(np.float32), pose.astype(np.float32)))


@jax.jit
def _params(model: HandModel, shape: jax.Array, pose: jax.Array) -> HandParams:
    return conventions.from_manopth(model, pose[:48], shape, pose[48:], ncomps=45, flat_hand_mean=False)
