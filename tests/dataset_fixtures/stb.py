"""Writes a tiny data set in the layout of STB.

Names, units, axes and order of labels: the README of zhjwustc/icip17_stereo_hand_pose_dataset; handPara's axes:
bihand/datasets/stb.py of lixiny/bihand.
"""

from pathlib import Path

import cv2
import numpy as np
import scipy.io

FRAMES = {"B1Counting": 2, "B2Counting": 3}
"""The other ten sequences have one."""
MISSING = "images/B2Counting/SK_color_1.png"
"""Real copies have such holes: hand3d skips them."""
HEIGHT, WIDTH = 480, 640


def points(palm) -> np.ndarray:
    """(21, 3) mm: middle of the palm, then little, ring, middle, index, thumb, each from its knuckle to its tip."""
    rows = [palm]
    for finger in (4, 3, 2, 1, 0):
        rows += [(90 - 40 * finger, -10 * joint, 655 + 5 * finger + 10 * joint) for joint in (1, 2, 3, 4)]
    return np.array(rows, np.float64)


def write(root: Path) -> None:
    folder = root / "STB"
    (folder / "labels").mkdir(parents=True)
    for number in range(1, 7):
        for kind in ("Counting", "Random"):
            sequence = f"B{number}{kind}"
            frames = FRAMES.get(sequence, 1)
            # SK: in the depth camera's frame. BB: in the left camera's. Frames differ by a millimetre in x.
            for camera, palm in (("SK", (0, 0, 600)), ("BB", (0, 0, 500))):
                moved = [points(palm) + (frame, 0, 0) for frame in range(frames)]
                hand = np.transpose(moved, (2, 1, 0))
                scipy.io.savemat(folder / "labels" / f"{sequence}_{camera}.mat", {"handPara": hand})
            for frame in range(frames):
                write_pictures(folder / "images" / sequence, frame, shade=10 * number + frame)
    (folder / MISSING).unlink()


def write_pictures(folder: Path, frame: int, shade: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    picture = np.full((HEIGHT, WIDTH, 3), shade, np.uint8)
    # Depth in mm: red is the low byte, green the high one; 88 + 256 * 2 = 600. OpenCV writes blue first.
    depth = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    depth[236:243, 333:340] = (0, 2, 88)
    for name, values in (("BB_left", picture), ("BB_right", picture), ("SK_color", picture), ("SK_depth", depth)):
        assert cv2.imwrite(str(folder / f"{name}_{frame}.png"), values)
