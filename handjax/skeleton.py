"""The 21 keypoints drawn into a picture: bones and dots where they were observed, rings where a fit puts them."""

import cv2
import numpy as np
from jax.typing import ArrayLike

from handjax.camera import to_opencv_pixels
from handjax.checks import check_shape

WRIST_COLOR = (245, 245, 245)
FINGER_COLORS = ((235, 70, 80), (250, 150, 40), (90, 190, 70), (20, 170, 200), (165, 90, 220))
"""Thumb, index, middle, ring, little."""

RING_COLOR = (255, 255, 255)
OUTLINE_COLOR = (25, 25, 25)

_FRACTION_BITS = 4  # cv2 draws at 1/16 pixel


def draw_keypoints(picture: np.ndarray, keypoints_2d: ArrayLike, confidence: ArrayLike | None = None) -> None:
    """Draws bones and dots of (21, 2) pixels, a colour per finger, into an (H, W, 3) uint8 picture in place."""
    check_shape("keypoints_2d", keypoints_2d, (21, 2))
    shown = np.array(np.isfinite(keypoints_2d).all(axis=1), bool)
    if confidence is not None:
        check_shape("confidence", confidence, (21,))
        shown = np.logical_and(shown, np.asarray(confidence) > 0)
    if not shown.any():
        return
    extent = _extent(np.asarray(keypoints_2d)[shown], picture)
    points = _fixed_point(keypoints_2d, picture)
    thickness = max(1, round(0.007 * extent))
    for child in range(1, 21):
        parent = 0 if child % 4 == 1 else child - 1
        if shown[child] and shown[parent]:
            cv2.line(picture, points[parent], points[child], _color(child), thickness, cv2.LINE_AA, _FRACTION_BITS)
    radius = max(1.1, 0.012 * extent)
    for joint in np.flatnonzero(shown).tolist():
        _disc(picture, points[joint], radius + max(0.5, 0.25 * radius), OUTLINE_COLOR)
        _disc(picture, points[joint], radius, _color(joint))


def draw_rings(picture: np.ndarray, keypoints_2d: ArrayLike) -> None:
    """Draws a small ring at each of (21, 2) pixels into an (H, W, 3) uint8 picture in place."""
    check_shape("keypoints_2d", keypoints_2d, (21, 2))
    shown = np.array(np.isfinite(keypoints_2d).all(axis=1), bool)
    if not shown.any():
        return
    extent = _extent(np.asarray(keypoints_2d)[shown], picture)
    points = _fixed_point(keypoints_2d, picture)
    radius = max(2.0, 0.022 * extent)
    thickness = max(1, round(0.005 * extent))
    for joint in np.flatnonzero(shown).tolist():
        size = round(radius * 2**_FRACTION_BITS)
        cv2.circle(picture, points[joint], size, RING_COLOR, thickness, cv2.LINE_AA, _FRACTION_BITS)


def _disc(picture: np.ndarray, point: tuple[int, int], radius: float, color: tuple[int, int, int]) -> None:
    cv2.circle(picture, point, round(radius * 2**_FRACTION_BITS), color, -1, cv2.LINE_AA, _FRACTION_BITS)


def _color(joint: int) -> tuple[int, int, int]:
    return WRIST_COLOR if joint == 0 else FINGER_COLORS[(joint - 1) // 4]


def _extent(keypoints_2d: np.ndarray, picture: np.ndarray) -> float:
    """The longer side of the box, as far as it is in the picture; strokes scale to it."""
    inside = np.clip(keypoints_2d, 0, [picture.shape[1], picture.shape[0]])
    return float((inside.max(axis=0) - inside.min(axis=0)).max())


def _fixed_point(keypoints_2d: ArrayLike, picture: np.ndarray) -> list[tuple[int, int]]:
    """cv2's integers of 1/16 pixel; far points are pulled in, since cv2 would overflow."""
    limit = 4.0 * max(picture.shape[:2])
    points = np.clip(np.nan_to_num(np.asarray(to_opencv_pixels(keypoints_2d))), -limit, limit)
    return [(int(x), int(y)) for x, y in np.rint(points * 2**_FRACTION_BITS)]
