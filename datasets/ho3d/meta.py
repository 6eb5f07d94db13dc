"""HO-3D's meta files: pickles read as data, and hands turned from OpenGL's axes into OpenCV's."""

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from handjax.conventions import frame_rotation, to_common
from handjax.mano.stored_arrays import as_array
from handjax.mano.unpickle import read_pickle

TO_OPENCV = frame_rotation("opengl", "opencv")
SHAPES = {"handPose": (48,), "handTrans": (3,), "handBeta": (10,), "camMat": (3, 3), "handBoundingBox": (4,)}
DEPTH_SCALE = 0.00012498664727900177
"""Metres of one step of the depth pictures."""


def read(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of one meta pickle that are there, float64: those of `SHAPES` and handJoints3D.

    handJoints3D is (21, 3), or (1, 3) where a file gives the root alone. What is None in the file is left out.
    Raises ValueError if the pickle is damaged or holds something to execute, or an array has another shape.
    """
    stored = read_pickle(data)
    if not isinstance(stored, dict):
        raise ValueError(f"must hold named fields, got {type(stored).__name__}")
    found = {key: _array(key, stored[key]) for key in (*SHAPES, "handJoints3D") if stored.get(key) is not None}
    for key, shape in SHAPES.items():
        if key in found:
            if found[key].size != np.prod(shape):
                raise ValueError(f"{key} must have shape {shape}, got {found[key].shape}")
            found[key] = found[key].reshape(shape)
    if "handJoints3D" in found:
        found["handJoints3D"] = found["handJoints3D"].reshape(-1, 3)
        if len(found["handJoints3D"]) not in (1, 21):
            raise ValueError(f"handJoints3D must have 21 joints or the root, got {len(found['handJoints3D'])}")
    return found


def keypoints(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """HO-3D's (21, 3) or (1, 3) -> ours (21, 3) in the camera frame, metres, and which of them are known."""
    whole = np.zeros((21, 3))
    whole[: len(joints)] = joints
    return to_common("ho3d", points(whole)), np.arange(21) < (21 if len(joints) == 21 else 1)


def points(values: np.ndarray) -> np.ndarray:
    """(..., 3) in HO-3D's axes -> OpenCV's."""
    return values @ TO_OPENCV.T


def params(meta: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """MANO parameters in the camera frame, without a model: the posed root joint tells where the hand turns.

    HO-3D's fingers are whole poses (flat hand at zero). A point x of the hand becomes R x with R = diag(1, -1, -1): the
    root turns to R exp(handPose[:3]), and as it turns about its rest joint r = handJoints3D[0] - handTrans, which is
    not the origin, the translation becomes R handJoints3D[0] - r.
    """
    root, transl = meta["handJoints3D"][0], meta["handTrans"]
    turned = Rotation.from_matrix(TO_OPENCV) * Rotation.from_rotvec(meta["handPose"][:3])
    return {
        "betas": meta["handBeta"],
        "global_orient": turned.as_rotvec(),
        "hand_pose": meta["handPose"][3:],
        "transl": points(root) - (root - transl),
    }


def depth_of_colors(colors: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W, 1) metres: red is the low byte, green the high one."""
    low, high = colors[..., :1].astype(np.float32), colors[..., 1:2].astype(np.float32)
    return (low + 256 * high) * np.float32(DEPTH_SCALE)


def _array(key: str, value: Any) -> np.ndarray:
    try:
        if isinstance(value, list | tuple):
            # Of numbers, or of NumPy's scalars.
            return np.array([as_array(item).astype(np.float64) for item in value])
        return as_array(value).astype(np.float64)
    except ValueError as error:
        raise ValueError(f"{key} {error}") from error
