"""The example that every set gives, whatever its files say: common joints, metres, OpenCV camera, pixels from (0, 0).

N is the number of hand slots of a set. A label that a set lacks is zero and its flag False; nothing is invented.
"""

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

LEFT, RIGHT = 0, 1

HAND: dict[str, tuple[tuple[int, ...], type]] = {
    "valid": ((), np.bool_),
    "side": ((), np.int32),
    "side_valid": ((), np.bool_),
    "box": ((4,), np.float32),
    "keypoints_2d": ((21, 2), np.float32),
    "keypoints_2d_valid": ((21,), np.bool_),
    "keypoints_3d": ((21, 3), np.float32),
    "keypoints_3d_valid": ((21,), np.bool_),
    "keypoints_visible": ((21,), np.bool_),
    "keypoints_visible_valid": ((21,), np.bool_),
    "betas": ((10,), np.float32),
    "global_orient": ((3,), np.float32),
    "hand_pose": ((45,), np.float32),
    "transl": ((3,), np.float32),
    "mano_valid": ((), np.bool_),
    "vertices_valid": ((), np.bool_),
}
"""Shape and type of each label of one hand.

valid: there is a hand in this slot. side: 0 left, 1 right. box: x0 y0 x1 y1 px, of the source, else around the valid
keypoints. keypoints_2d: px; keypoints_3d: metres, camera frame; keypoints_visible: seen, not hidden. betas,
global_orient, hand_pose, transl: MANO in the camera frame, fingers in axis-angle with the flat hand at zero, no PCA.
vertices_valid: the mesh is known, from `vertices` where a set stores them, else from the MANO parameters.
"""

IMAGE: dict[str, tuple[tuple[int, ...], type]] = {
    "intrinsics": ((3, 3), np.float32),
    "intrinsics_valid": ((), np.bool_),
    "mask_valid": ((), np.bool_),
    "depth_valid": ((), np.bool_),
}
"""Shape and type of each label of a picture that is no picture itself."""

VERTICES = (778, 3)


def features(
    slots: int, *, mask: bool = False, depth: bool = False, vertices: bool = False
) -> tfds.features.FeaturesDict:
    """The features of a set with `slots` hands per picture; mask, depth, vertices: those that its files hold.

    image (H, W, 3) uint8 RGB, its file's bytes kept where a path is given; mask (H, W, 1) uint8, 0 background, 1..N the
    slot + 1; depth (H, W, 1) float32 metres, 0 none; vertices (N, 778, 3) metres, camera frame; name: the record's, as
    its files call it. `datasets.pipeline` gives mask and depth as (H, W), of zeros where a set has none.
    """
    shown: dict[str, Any] = {"name": tfds.features.Text(), "image": tfds.features.Image(shape=(None, None, 3))}
    if mask:
        shown["mask"] = tfds.features.Image(shape=(None, None, 1), dtype=np.uint8)
    if depth:
        shown["depth"] = tfds.features.Image(shape=(None, None, 1), dtype=np.float32)
    hand = {name: tfds.features.Tensor(shape=(slots, *shape), dtype=kind) for name, (shape, kind) in HAND.items()}
    if vertices:
        encoding = tfds.features.Encoding.ZLIB
        hand["vertices"] = tfds.features.Tensor(shape=(slots, *VERTICES), dtype=np.float32, encoding=encoding)
    image = {name: tfds.features.Tensor(shape=shape, dtype=kind) for name, (shape, kind) in IMAGE.items()}
    return tfds.features.FeaturesDict(shown | hand | image)


def blank(slots: int, *, vertices: bool = False) -> dict[str, np.ndarray]:
    """Labels of a picture without hands: all zeros, all flags False. A builder fills in what its files hold."""
    labels = {name: np.zeros((slots, *shape), kind) for name, (shape, kind) in HAND.items()}
    if vertices:
        labels["vertices"] = np.zeros((slots, *VERTICES), np.float32)
    return labels | {name: np.zeros(shape, kind) for name, (shape, kind) in IMAGE.items()}


def put_hand(labels: dict[str, np.ndarray], slot: int, side: int | None, **known: np.ndarray) -> None:
    """Writes what is known of one hand into its slot and sets the flags that go with it.

    known: any of box, keypoints_2d, keypoints_3d, keypoints_visible (with `<name>_valid` (21,) where not all of them
    are), betas with global_orient, hand_pose and transl, vertices. Without a box, that of the valid 2D keypoints.
    Raises ValueError if an array does not have its label's shape, or only some of the MANO parameters are given.
    """
    labels["valid"][slot] = True
    if side is not None:
        labels["side"][slot], labels["side_valid"][slot] = side, True
    mano = {"betas", "global_orient", "hand_pose", "transl"} & known.keys()
    if len(mano) not in (0, 4):
        raise ValueError(f"MANO parameters must come together, got only {sorted(mano)}")
    for name, value in known.items():
        if name not in labels:
            raise ValueError(f"{name!r} is no label of a hand, must be one of {sorted(HAND)} or vertices")
        expected, value = labels[name].shape[1:], np.asarray(value)
        if value.shape != expected:
            raise ValueError(f"{name} must have shape {expected}, got {value.shape}")
        labels[name][slot] = value
    for name in ("keypoints_2d", "keypoints_3d", "keypoints_visible"):
        if name in known and f"{name}_valid" not in known:
            labels[f"{name}_valid"][slot] = True
    for name in ("keypoints_2d", "keypoints_3d", "keypoints_visible"):
        # What is not valid may hold anything in the source, down to placeholders and NaN.
        labels[name][slot][~labels[f"{name}_valid"][slot]] = 0
    labels["mano_valid"][slot] = bool(mano)
    labels["vertices_valid"][slot] = bool(mano) or "vertices" in known
    if "box" not in known:
        labels["box"][slot] = box_around(labels["keypoints_2d"][slot], labels["keypoints_2d_valid"][slot])


def box_around(keypoints_2d: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(21, 2) px, (21,) -> (4,) x0 y0 x1 y1 around the valid ones; zeros if there is none."""
    if not valid.any():
        return np.zeros(4, np.float32)
    points = keypoints_2d[valid]
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float32)
