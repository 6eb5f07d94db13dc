"""Writes a tiny data set in the layout of DeepHandMesh.

Folders, names and fields: README.md, data/dataset.py and common/utils/preprocessing.py of
facebookresearch/DeepHandMesh.
"""

import pickle
from pathlib import Path

import cv2
import numpy as np

CAMERAS = ("400012", "400049", "500003")
"""Those that begin with 40 take colour pictures."""
SEQUENCES = ("0003_RT_pinch", "0005_ROM_RT", "0007_LT_fist")
FRAME_WITHOUT_KEYPOINTS = 8
WIDTH, HEIGHT = 167, 256
"""Half of the 334 x 512 to which KRT_512 belongs."""
ABSENT = 6
"""The second joint from the base of the right index finger: what no camera saw is simply not listed."""


def joints() -> np.ndarray:
    """(42, 3) mm in the studio: 0-20 the right hand, each finger from its tip, the wrist last; then the left hand."""
    right = [
        (150 - 25 * finger - 6 * joint, -30 + 20 * joint, 1000 + 5 * finger)
        for finger in range(5)
        for joint in range(4)
    ]
    right = np.array([*right, (90, 70, 990)], np.float64)
    return np.concatenate([right, right + (-300, 10, 40)])


def cameras_text() -> str:
    """A name, 3 rows of K, one of distortion, 3 of [R | t] from the world to the camera in mm, and a blank line."""
    rows = ["1270 0 187", "0 1270 244", "0 0 1", "0 0 0 0 0", "0 -1 0 100", "1 0 0 -50", "0 0 1 0"]
    return "".join("\n".join([name, *rows]) + "\n\n" for name in CAMERAS)


def points_text(first: int, last: int, absent: int | None) -> str:
    """Lines of joint, x, y, z, sum of scores and number of views."""
    places = joints()
    listed = [k for k in range(first, last) if k != absent]
    return "".join("{} {:.4f} {:.4f} {:.4f} 11.5 20\n".format(k, *places[k]) for k in listed)


def write(root: Path) -> None:
    """Frame 4 a right hand, 5 a right hand in the range of motion, 7 a left hand, 8 without keypoints."""
    data = root / "DeepHandMesh" / "data"
    annotations = data / "annotations"
    points = annotations / "keypoints" / "subject_4"
    points.mkdir(parents=True)
    (annotations / "KRT_512").write_text(cameras_text())
    for sequence, frames in zip(SEQUENCES, ((4, FRAME_WITHOUT_KEYPOINTS), (5,), (7,)), strict=True):
        for camera in CAMERAS:
            folder = data / "images" / "subject_4" / sequence / f"cam{camera}"
            folder.mkdir(parents=True)
            for frame in frames:
                shade = np.full((HEIGHT, WIDTH, 3), 20 * frame, np.uint8)
                assert cv2.imwrite(str(folder / f"image{frame:04d}.jpg"), shade)
    (points / "keypoints0004.pts").write_text(points_text(0, 21, ABSENT))
    (points / "keypoints0005.pts").write_text(points_text(0, 21, None))
    (points / "keypoints0007.pts").write_text(points_text(21, 42, None))
    # Of another size than the pictures, in mm; 0 is none, and so is what lies beyond 99999 (main/config.py).
    depth = np.zeros((6, 4))
    depth[2, 1], depth[3, 1] = 1234.0, 1e6
    folder = annotations / "depthmaps" / "subject_4" / "000004"
    folder.mkdir(parents=True)
    with (folder / "depthmap400012.pkl").open("wb") as file:
        pickle.dump(depth, file, protocol=2)
