"""A hand whose joints are named, so that each fixture writes it in its own set's order. No finger is like another."""

import cv2
import numpy as np

FINGERS = "TIMRP"
"""Thumb, index, middle, ring, little ("pinky")."""


def joints(wrist=(0.02, 0.03, 0.5)) -> dict[str, np.ndarray]:
    """W, T1 to T4, I1 to I4, ... P4, base to tip, each (3,) metres with z forward and y down."""
    found = {"W": np.array(wrist, np.float64)}
    for finger, letter in enumerate(FINGERS):
        for bone in range(1, 5):
            step = (0.04 - 0.02 * finger + 0.003 * bone * finger, -0.01 - 0.02 * bone, 0.01 * finger - 0.004 * bone)
            found[f"{letter}{bone}"] = found["W"] + step
    return found


def in_order(hand: dict[str, np.ndarray], names: str) -> np.ndarray:
    """(n, 3) of the joints named, in that order."""
    return np.stack([hand[name] for name in names.split()])


BASE_TO_TIP = "W " + " ".join(f"{letter}{bone}" for letter in FINGERS for bone in (1, 2, 3, 4))


def pinhole(points: np.ndarray, fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """(n, 3) -> (n, 2), u = fx X / Z + cx."""
    return points[:, :2] / points[:, 2:] * [fx, fy] + [cx, cy]


def write_color(path, height: int, width: int, shade: int) -> None:
    """A flat picture, red lighter than green than blue, that no JPEG changes much."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((height, width, 3), (shade, shade + 30, shade + 60), np.uint8)  # OpenCV: blue first
    assert cv2.imwrite(str(path), picture)
