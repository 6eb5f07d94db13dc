"""Writes a tiny data set in the layout of RHD_published_v2.

Layout, keys and order: create_binary_db.py and data/BinaryDbReader.py of lmb-freiburg/hand3d, and
bihand/datasets/rhd.py of lixiny/bihand.
"""

import pickle
from pathlib import Path

import cv2
import numpy as np

SIZE = 320
FOCAL = 280.0
LEFT_AT, RIGHT_AT = (-0.1, 0.0, 0.0), (0.12, 0.0, 0.05)


def hand(at) -> np.ndarray:
    """(21, 3) metres in RHD's order: wrist, then each finger from its tip, thumb first (bihand/config.py)."""
    points = [(0.01, 0.04, 0.5)]
    for finger in range(5):
        for joint in (4, 3, 2, 1):
            points.append((0.02 * finger - 0.05, 0.01 - 0.03 * joint, 0.5 + 0.01 * finger + 0.002 * joint))
    return np.array(points) + at


def record(left_visible, right_visible) -> dict:
    """One annotation: 0-20 the left hand, 21-41 the right one, metres in a camera with z forward."""
    xyz = np.concatenate([hand(LEFT_AT), hand(RIGHT_AT)])
    uv = FOCAL * xyz[:, :2] / xyz[:, 2:] + SIZE / 2
    visible = np.concatenate([np.isin(np.arange(21), left_visible), np.isin(np.arange(21), right_visible)])
    return {
        "K": np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]], np.float32),
        "uv_vis": np.concatenate([uv, visible[:, None]], 1).astype(np.float32),
        "xyz": xyz.astype(np.float32),
    }


def write_pictures(folder: Path, number: int, rectangles) -> None:
    """rectangles: (part id, first row, last row + 1, first column, last column + 1) of the mask; grey, one channel."""
    color = np.full((SIZE, SIZE, 3), 90 + number, np.uint8)
    color[0, 0] = (3, 2, 1)  # written by OpenCV: blue 3, green 2, red 1
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for part, top, bottom, left, right in rectangles:
        mask[top:bottom, left:right] = part
    # Depth: red is the high byte, green the low one, blue is not used (bihand/datasets/rhd.py).
    depth = np.zeros((SIZE, SIZE, 3), np.uint8)
    depth[10, 20] = (7, 100, 20)
    depth[10, 21] = (0, 255, 255)
    for kind, picture in (("color", color), ("mask", mask), ("depth", depth)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / kind / f"{number:05d}.png"), picture)


def write(root: Path) -> None:
    """Training: 0 a left hand, 1 both with as many pixels, 2 none. Evaluation: 0 a right hand and less of a left."""
    every = range(21)
    training, evaluation = (root / "RHD_published_v2" / name for name in ("training", "evaluation"))
    # 1 is the person, 2 to 17 the left hand, 18 to 33 the right one.
    write_pictures(training, 0, [(1, 0, 50, 0, 50), (2, 60, 70, 100, 110), (17, 70, 80, 100, 110)])
    write_pictures(training, 1, [(5, 60, 70, 100, 110), (33, 60, 70, 200, 210)])
    write_pictures(training, 2, [(1, 0, 50, 0, 50)])
    write_pictures(evaluation, 0, [(18, 60, 70, 200, 210), (3, 60, 65, 100, 110)])
    # Keypoint 8 is the base of the index finger. The hand that is not there has labels all the same.
    records = {0: record([k for k in every if k != 8], []), 1: record(every, every), 2: record([], [])}
    _dump(training / "anno_training.pickle", records)
    _dump(evaluation / "anno_evaluation.pickle", {0: record([], every)})


def _dump(path: Path, records: dict) -> None:
    with path.open("wb") as file:
        pickle.dump(records, file, protocol=3)
