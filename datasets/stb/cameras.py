"""STB's cameras, from its README, and the way between them. Pixels are ours: the first centre is (0.5, 0.5)."""

from functools import lru_cache

import cv2
import numpy as np

from datasets import labels

BUMBLEBEE = labels.intrinsics_from_opencv(labels.pinhole(822.79041, 822.79041, 318.47345, 250.31296))
COLOR = labels.intrinsics_from_opencv(labels.pinhole(607.92271, 607.88192, 314.78337, 236.42484))
DEPTH = labels.intrinsics_from_opencv(labels.pinhole(475.62768, 474.77709, 336.41179, 238.77962))
"""The left and the right Bumblebee are alike; colour and depth are those of the RealSense F200, "SK"."""

BASELINE_M = 0.120054
TURN, SHIFT_M = cv2.Rodrigues(np.array([0.00531, -0.01196, 0.00301]))[0], np.array([-24.0381, -0.4563, -1.2326]) * 1e-3
"""From the colour to the depth camera: x_depth = TURN x_color + SHIFT_M."""
_SAMPLES = 2
"""A pixel of the depth camera covers 1.28 of the colour camera along each axis: two samples leave no gaps."""


def color_from_depth(points: np.ndarray) -> np.ndarray:
    """(..., 3) metres in the depth camera's frame -> in the colour camera's."""
    return (points - SHIFT_M) @ TURN


def right_from_left(points: np.ndarray) -> np.ndarray:
    """(..., 3) metres in the left Bumblebee's frame -> in the right one's."""
    return points - np.array([BASELINE_M, 0.0, 0.0])


def depth_in_color(depth: np.ndarray) -> np.ndarray:
    """(H, W) metres seen by the depth camera -> (H, W) float32 of the colour camera's picture, 0 where nothing falls.

    Of several surfaces that fall on one pixel the nearest is kept. What only the colour camera sees has none.
    """
    height, width = depth.shape
    seen = np.repeat(np.repeat(depth.astype(np.float32), _SAMPLES, 0), _SAMPLES, 1).ravel()
    along, start = _lines(height, width)
    pixels = along * seen + start
    z = pixels[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        column, row = pixels[:2] / z
    inside = (seen > 0) & (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    places = row[inside].astype(np.int64) * width + column[inside].astype(np.int64)
    nearest = np.full(height * width, np.inf, np.float32)
    np.minimum.at(nearest, places, z[inside])
    return np.where(np.isfinite(nearest), nearest, 0).reshape(height, width).astype(np.float32)


@lru_cache(1)
def _lines(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the samples of each pixel fall: along (3, 4 H W) x depth + start (3, 1), homogeneous colour pixels."""
    rows, columns = ((np.arange(_SAMPLES * length) + 0.5) / _SAMPLES for length in (height, width))
    pixels = np.stack([*np.meshgrid(columns, rows), np.ones((_SAMPLES * height, _SAMPLES * width))]).reshape(3, -1)
    rays = np.linalg.inv(DEPTH) @ pixels
    to_pixels = COLOR @ TURN.T
    return (to_pixels @ rays).astype(np.float32), (-to_pixels @ SHIFT_M)[:, None].astype(np.float32)
