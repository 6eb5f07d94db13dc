"""Writes a tiny data set in the layout of HO3D_v2 or HO3D_v3.

Tree, keys of the meta files and list files: the README that comes with version 3, utils/vis_utils.py and vis_HO3D.py of
shreyashampali/ho3d. Order of the joints: its joint_order.png.
"""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np

from tests.dataset_fixtures import named_hand

HEIGHT, WIDTH = 48, 64
CAM_MAT = np.array([[617.0, 0, 312], [0, 617, 241], [0, 0, 1]])
ORDER = "W I1 I2 I3 M1 M2 M3 P1 P2 P3 R1 R2 R3 T1 T2 T3 T4 I4 M4 R4 P4"
REST_ROOT = (0.01, 0.01, -0.05)
"""Where the root joint is at rest, in the hand's own frame."""
OPENGL = np.array([1.0, -1.0, -1.0])


def joints() -> np.ndarray:
    """(21, 3) metres, OpenGL camera: the wrist at (0.02, 0.03, -0.5)."""
    return named_hand.in_order(named_hand.joints((0.02, -0.03, 0.5)), ORDER) * OPENGL


def angles(frame: int) -> np.ndarray:
    pose = np.random.default_rng(frame).uniform(-0.3, 0.3, 48)
    if frame == 0:
        pose[:3] = 0
    return pose


def betas(frame: int) -> np.ndarray:
    return np.random.default_rng(50 + frame).uniform(-1, 1, 10)


def train_meta(frame: int, rest_root) -> dict:
    """Whole angles with the flat hand at zero, and the translation that is added to MANO's output."""
    return {
        "handPose": angles(frame),
        "handTrans": joints()[0] - rest_root,
        "handBeta": betas(frame),
        "handJoints3D": joints(),
        "camMat": CAM_MAT,
        "objRot": np.zeros((3, 1)),
        "objTrans": np.zeros(3),
        "objCorners3D": np.zeros((8, 3)),
        "objName": "003_cracker_box",
        "objLabel": 2,
        "handVertContact": np.zeros(778, bool),
        "camIDList": ["0", "1"],
    }


def evaluation_meta() -> dict:
    """The root joint alone, and a box."""
    return {
        "handJoints3D": joints()[0],
        "handBoundingBox": [300, 150, 380, 220],
        "camMat": CAM_MAT,
        "objName": "003_cracker_box",
        "objRot": np.zeros(3),
    }


def write(
    root: Path, version: str = "v2", *, rest_roots=(REST_ROOT, REST_ROOT), evaluation_lists: bool = False
) -> None:
    """Two listed training frames and an unlisted one whose labels are None; two evaluation frames, out of order."""
    folder = root / f"HO3D_{version}"
    for frame in (0, 1):
        write_frame(folder / "train" / "ABF10", frame, version, train_meta(frame, np.array(rest_roots[frame])))
    unlisted = dict.fromkeys(train_meta(0, np.array(REST_ROOT))) | {"camMat": CAM_MAT}
    write_frame(folder / "train" / "ABF10", 2, version, unlisted)
    for frame in (0, 1):
        write_frame(folder / "evaluation" / "SM1", frame, version, evaluation_meta())
    (folder / "train.txt").write_text("ABF10/0000\nABF10/0001\n")
    (folder / "evaluation.txt").write_text("SM1/0001\nSM1/0000\n")
    if evaluation_lists:
        # As pred.json: the frame and order of the meta files, in the lines' order.
        write_lists(folder, count=2)


def write_lists(folder: Path, count: int) -> None:
    both = [(joints() + [0.001 * line, 0, 0]).tolist() for line in range(count)]
    (folder / "evaluation_xyz.json").write_text(json.dumps(both))
    (folder / "evaluation_verts.json").write_text(json.dumps([mesh(line).tolist() for line in range(count)]))


def mesh(line: int) -> np.ndarray:
    return np.random.default_rng(line).uniform(-0.1, 0.1, (778, 3)) - [0, 0, 0.5]


def write_frame(folder: Path, frame: int, version: str, meta: dict) -> None:
    suffix = "png" if version == "v2" else "jpg"
    named_hand.write_color(folder / "rgb" / f"{frame:04d}.{suffix}", HEIGHT, WIDTH, shade=30 * frame + 10)
    # Red is the low byte, green the high one.
    depth = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    depth[10, 20] = (0, 15, 100)  # OpenCV: blue, green, red
    depth[10, 21] = (0, 255, 255)
    for kind in ("depth", "meta"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / "depth" / f"{frame:04d}.png"), depth)
    (folder / "meta" / f"{frame:04d}.pkl").write_bytes(pickle.dumps(meta, protocol=2))
