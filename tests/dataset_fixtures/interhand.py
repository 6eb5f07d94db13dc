"""Writes a tiny data set in the layout of InterHand2.6M v1.0 at 5 frames a second.

Tree: the README of facebookresearch/InterHand2.6M. Keys, types and placeholders of the lists: the fixtures
tests/data/interhand2.6m of open-mmlab/mmpose. Order of the joints: its configs/_base_/datasets/interhand3d.py. MANO:
tool/MANO_render/render.py of the first.
"""

import json
from pathlib import Path

import numpy as np

from tests.dataset_fixtures import named_hand

HEIGHT, WIDTH = 512 // 8, 334 // 8
ORDER = " ".join(f"{letter}{bone}" for letter in named_hand.FINGERS for bone in (4, 3, 2, 1)) + " W"
"""Of one hand. The right hand's 21 come first."""
CAMERAS = {
    # Straight, and turned by a quarter about the viewing axis.
    "400026": {"campos": [100.0, -50.0, 0.0], "camrot": [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]},
    "400053": {"campos": [100.0, -50.0, 0.0], "camrot": [[0, -1.0, 0], [1.0, 0, 0], [0, 0, 1.0]]},
}
FOCAL, PRINCIPAL = [1270.0, 1270.0], [187.0, 244.0]
INVALID = 8
"""A joint of the right hand, its middle finger's tip, that was not found in frame 20."""


def world() -> np.ndarray:
    """(42, 3) mm: the right wrist at (150, -30, 1000), the left one at (50, -40, 1100)."""
    right = named_hand.in_order(named_hand.joints((0.15, -0.03, 1.0)), ORDER)
    left = named_hand.in_order(named_hand.joints((0.05, -0.04, 1.1)), ORDER)
    return 1000 * np.concatenate([right, left])


def fit(side: str, frame: int) -> dict:
    """pose 48, shape 10, trans 3: radians relative to the mean pose, and metres, in the world."""
    draw = np.random.default_rng([frame, len(side)])
    fitted = {"pose": draw.uniform(-0.4, 0.4, 48), "shape": draw.uniform(-1, 1, 10), "trans": draw.uniform(0, 1, 3)}
    return {key: values.tolist() for key, values in fitted.items()}


PICTURES = [
    # image id, camera, frame, hand_type; annotation ids are others
    (7, "400026", 10, "right"),
    (8, "400026", 20, "interacting"),
    (9, "400053", 20, "interacting"),
    (11, "400053", 30, "left"),
]


def write(root: Path, split: str = "val", folder: str = "InterHand2.6M_5fps") -> None:
    """Frame 10: a right hand, no left fit. 20: both, one joint not found. 30: a left hand without a MANO entry."""
    root = root / folder
    capture, sequence = 0, "0000_neutral_relaxed"
    images, annotations = [], []
    for number, (image, camera, frame, hand_type) in enumerate(PICTURES):
        name = f"Capture{capture}/{sequence}/cam{camera}/image{frame}.jpg"
        named_hand.write_color(root / "images" / split / name, HEIGHT, WIDTH, shade=40 * number)
        about = {"capture": capture, "subject": 3, "seq_name": sequence, "camera": camera, "frame_idx": frame}
        images.append({"id": image, "file_name": name, "width": WIDTH, "height": HEIGHT, **about})
        valid = [[int(hand_type != "left")]] * 21 + [[int(hand_type != "right")]] * 21
        if frame == 20:
            valid[INVALID] = [0]
        if camera == "400053" and frame == 20:
            valid[40] = [0]  # out of this picture, known in 3D: the left hand's P1
        hand = {"hand_type": hand_type, "hand_type_valid": int(frame != 30)}
        about = {"id": 100 + image, "image_id": image, "bbox": [1.0, 2.0, 30.0, 40.0]}
        annotations.append({**about, "joint_valid": valid, **hand})
    labels = root / "annotations" / split
    labels.mkdir(parents=True)
    # Annotations in another order than the images: they are joined by image_id.
    _dump(labels, split, "data", {"images": images, "annotations": annotations[::-1]})
    parts = {key: {name: camera[key] for name, camera in CAMERAS.items()} for key in ("campos", "camrot")}
    parts |= {"focal": dict.fromkeys(CAMERAS, FOCAL), "princpt": dict.fromkeys(CAMERAS, PRINCIPAL)}
    _dump(labels, split, "camera", {str(capture): parts})
    joints = {str(frame): joints_3d(frame, hand_type) for _, _, frame, hand_type in PICTURES}
    _dump(labels, split, "joint_3d", {str(capture): joints})
    fits = {"10": {"right": fit("right", 10), "left": None}}
    fits["20"] = {side: fit(side, 20) for side in ("right", "left")}
    _dump(labels, split, "MANO_NeuralAnnot", {str(capture): fits})


def joints_3d(frame: int, hand_type: str) -> dict:
    """What was not found holds (1, 1, 1) mm."""
    valid = np.repeat([hand_type != "left", hand_type != "right"], 21)
    if frame == 20:
        valid[INVALID] = False
    points = np.where(valid[:, None], world(), 1.0)
    about = {"hand_type": hand_type, "hand_type_valid": frame != 30}
    return {"world_coord": points.tolist(), "joint_valid": valid[:, None].tolist(), **about}


def _dump(folder: Path, split: str, kind: str, whole: dict) -> None:
    (folder / f"InterHand2.6M_{split}_{kind}.json").write_text(json.dumps(whole))
