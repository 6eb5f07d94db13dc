"""Axes and ranges of the finger joints, for hand models that come without their own."""

import numpy as np

from handjax.mano.types import MANO_KEYPOINT_IDS

# Back of the thumb in the palm's frame (towards the thumb's side, towards the fingertips, out of the back).
THUMB_BACK = np.array([0.62, -0.25, 0.75])

# Degrees (flexion, abduction, twist) of base, middle and end joint: American Academy of Orthopaedic Surgeons 1965
# and the ranges of published hand models, never less than the free hand's, so that its poses are possible. Abduction
# is positive towards the thumb's side; joints that have no such freedom get the few degrees that a rotation vector's
# parts need.
_MIDDLE_JOINT, _END_JOINT = [(-5, 105), (-6, 6), (-6, 6)], [(-10, 85), (-6, 6), (-6, 6)]
_RANGES_DEG = {
    "thumb": [
        [(-25, 55), (-35, 45), (-45, 35)],
        [(-15, 60), (-12, 12), (-12, 12)],
        [(-20, 85), (-6, 6), (-6, 6)],
    ],
    "index": [[(-30, 95), (-18, 20), (-12, 12)], _MIDDLE_JOINT, _END_JOINT],
    "middle": [[(-30, 95), (-14, 14), (-12, 12)], _MIDDLE_JOINT, _END_JOINT],
    "ring": [[(-30, 95), (-16, 14), (-12, 12)], _MIDDLE_JOINT, _END_JOINT],
    "little": [[(-30, 95), (-24, 18), (-15, 15)], _MIDDLE_JOINT, _END_JOINT],
}
FINGERS = tuple(_RANGES_DEG)


def joint_axes(
    joints: np.ndarray, tips: np.ndarray, parents: tuple[int, ...], keypoint_ids: tuple[int, ...], side: str
) -> np.ndarray:
    """Rest joints (J, 3), tips (5, 3) -> (J - 1, 3, 3): rows are the flexion, abduction and twist axis.

    A positive turn about the first closes the finger, about the second moves it towards the thumb's side; the third
    runs along the bone, to the tip on a right hand. Left hands get the mirror image, so that equal angles are
    mirrored poses. Trees other than MANO's get the coordinate axes.
    """
    if not _is_mano(parents, keypoint_ids):
        return np.broadcast_to(np.eye(3), (len(parents) - 1, 3, 3)).copy()
    keypoints = np.concatenate([joints, tips])[list(keypoint_ids)]
    if side == "left":
        keypoints = keypoints * [-1, 1, 1]
    wrist, index, middle, little = keypoints[0], keypoints[5], keypoints[9], keypoints[17]
    back = _unit(np.cross(little - wrist, index - wrist))
    distal = _unit(middle - wrist - back * (back @ (middle - wrist)))
    palm_frame = np.stack([np.cross(distal, back) * _sign(index - little, np.cross(distal, back)), distal, back])
    axes = np.zeros((len(parents) - 1, 3, 3))
    for finger, name in enumerate(FINGERS):
        finger_back = THUMB_BACK @ palm_frame if name == "thumb" else back
        for segment in range(3):
            keypoint = 1 + 4 * finger + segment
            bone = _unit(keypoints[keypoint + 1] - keypoints[keypoint])
            dorsal = _unit(finger_back - bone * (bone @ finger_back))
            axes[keypoint_ids[keypoint] - 1] = [np.cross(dorsal, bone), dorsal, bone]
    return axes * [1, -1, -1] if side == "left" else axes


def joint_limits(parents: tuple[int, ...], keypoint_ids: tuple[int, ...]) -> np.ndarray:
    """-> (J - 1, 3, 2) radians about `joint_axes`. Trees other than MANO's get half a turn either way."""
    limits = np.tile([-np.pi, np.pi], (len(parents) - 1, 3, 1))
    if _is_mano(parents, keypoint_ids):
        for finger, name in enumerate(FINGERS):
            for segment in range(3):
                limits[keypoint_ids[1 + 4 * finger + segment] - 1] = np.deg2rad(np.array(_RANGES_DEG[name][segment]))
    return limits


def _is_mano(parents: tuple[int, ...], keypoint_ids: tuple[int, ...]) -> bool:
    return len(parents) == 16 and tuple(keypoint_ids) == MANO_KEYPOINT_IDS


def _sign(vector: np.ndarray, axis: np.ndarray) -> float:
    return 1.0 if vector @ axis >= 0 else -1.0


def _unit(vector: np.ndarray) -> np.ndarray:
    # A model of random numbers may have joints that coincide: any axis will do for it.
    norm = np.linalg.norm(vector)
    return vector / norm if norm > 1e-12 else np.array([1.0, 0.0, 0.0])
