"""What the conversions of all sets share: pinhole matrices, pictures as arrays, and where the first pixel lies."""

import cv2
import numpy as np
from numpy.typing import ArrayLike

from datasets import schema
from handjax.camera import from_opencv_pixels
from handjax.image_header import HEAD_BYTES, image_kind, is_whole


def pinhole(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """(3, 3) float64 in pixels, as given."""
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)


def pixels_from_opencv(pixels: ArrayLike) -> np.ndarray:
    """(..., 2) px of a source whose first pixel centre is (0, 0) -> ours, where it is (0.5, 0.5)."""
    return np.asarray(from_opencv_pixels(np.asarray(pixels, np.float32)))


def intrinsics_from_opencv(matrix: ArrayLike) -> np.ndarray:
    """(3, 3) of such a source -> ours: its principal point moves with the pixels."""
    moved = np.array(matrix, np.float64)
    moved[:2, 2] = pixels_from_opencv(moved[:2, 2])
    return moved


def scale_intrinsics(matrix: np.ndarray, width_ratio: float, height_ratio: float) -> np.ndarray:
    """(3, 3) in our pixels, of the same picture resized by these ratios."""
    return np.diag([width_ratio, height_ratio, 1.0]) @ matrix


def project(matrix: np.ndarray, points: ArrayLike) -> np.ndarray:
    """(3, 3) and (..., 3) in the camera frame -> (..., 2) px, float64; NaN for points not in front of the camera."""
    points = np.asarray(points, np.float64)
    in_front = points[..., 2:] > 0
    depth = np.where(in_front, points[..., 2:], 1.0)
    pixels = (points @ matrix.T)[..., :2] / depth
    return np.where(in_front, pixels, np.nan)


def put_points(
    found: dict[str, np.ndarray], slot: int, side: int, matrix: np.ndarray, points: np.ndarray, known: np.ndarray
) -> None:
    """Writes a hand of which 3D keypoints alone are given, (21, 3) metres of which `known` (21,) are there, and their
    projections, of those in front of the camera."""
    pixels = project(matrix, points)
    schema.put_hand(
        found,
        slot,
        side,
        keypoints_2d=pixels,
        keypoints_2d_valid=known & np.isfinite(pixels).all(-1),
        keypoints_3d=points,
        keypoints_3d_valid=known,
    )


def read_rgb(data: bytes, name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an encoded picture, grey ones repeated. Raises ValueError if `data` is no whole one."""
    return _decoded(data, name, cv2.IMREAD_COLOR)[..., ::-1]


def read_channels(data: bytes, name: str) -> np.ndarray:
    """(H, W, C) as stored, 8 or 16 bits, channels in the order of the file: red first. Raises ValueError."""
    values = np.atleast_3d(_decoded(data, name, cv2.IMREAD_UNCHANGED))
    return values[..., [2, 1, 0, *range(3, values.shape[2])]] if values.shape[2] >= 3 else values


def _decoded(data: bytes, name: str, flags: int) -> np.ndarray:
    # OpenCV makes a picture of half a file, with zeros for what is not there.
    kind = image_kind(data[:HEAD_BYTES])
    whole = kind is not None and is_whole(kind, data)
    values = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if whole else None
    if values is None:
        raise ValueError(f"{name} must be a whole picture, got {len(data)} bytes that are none")
    return values
