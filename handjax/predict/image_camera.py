"""The camera of an image: as given, from its EXIF, or assumed; and which of these it was."""

import json
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handjax.camera import Camera, assumed_camera

SOURCES = {
    "given": "as given",
    "exif": "from the photo's EXIF",
    "assumed": "assumed, so distances from the camera are too",
}


class ImageCamera(NamedTuple):
    """intrinsics (4,) fx, fy, cx, cy in pixels of the full image; source: a key of SOURCES."""

    intrinsics: np.ndarray
    source: str

    @property
    def sentence(self) -> str:
        fx, fy = self.intrinsics[:2]
        focal = f"{fx:.0f} px" if abs(fx - fy) < 0.5 else f"{fx:.0f} x {fy:.0f} px"
        return f"focal length {focal}, {SOURCES[self.source]}"


class KnownCamera(NamedTuple):
    """What the user said: intrinsics (4,), or focal in pixels, or neither."""

    intrinsics: np.ndarray | None = None
    focal: float | None = None

    def of_image(self, width: int, height: int, exif_focal: float | None, hand_px: float = 0.0) -> ImageCamera:
        if self.intrinsics is not None:
            return ImageCamera(self.intrinsics, "given")
        focal = self.focal or exif_focal
        source = "given" if self.focal else "exif" if exif_focal else "assumed"
        return ImageCamera(intrinsics_of(assumed_camera(height, width, focal, hand_px)), source)


def intrinsics_of(camera: Camera) -> np.ndarray:
    """-> (4,) fx, fy, cx, cy."""
    return np.concatenate([np.asarray(camera.focal), np.asarray(camera.center)]).astype(np.float32)


def camera_of(intrinsics: np.ndarray) -> Camera:
    """(4,) fx, fy, cx, cy -> Camera that stays in NumPy."""
    arrays: Any = intrinsics[:2], intrinsics[2:]
    return Camera(*arrays)


def known_camera(intrinsics: str | None, focal: float | None) -> KnownCamera:
    """Of the two flags. Raises ValueError if both are given or one cannot be used.

    intrinsics: "fx,fy,cx,cy" or a JSON file that holds these four numbers, {"fx": ..., "fy", "cx", "cy"}, or a matrix
    [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]. Pixels, the image spanning [0, W] x [0, H].
    """
    if intrinsics is not None and focal is not None:
        raise ValueError("--focal and --intrinsics must not both be given")
    if focal is not None and not (math.isfinite(focal) and focal > 0):
        raise ValueError(f"--focal must be a positive number of pixels, got {focal:g}")
    return KnownCamera(None if intrinsics is None else _checked(_numbers(intrinsics), intrinsics), focal)


def _numbers(text: str) -> Any:
    if not os.path.exists(text):
        try:
            return [float(number) for number in text.split(",")]
        except ValueError:
            raise ValueError(f"--intrinsics must be fx,fy,cx,cy or a JSON file, got {text!r}") from None
    try:
        value = json.loads(Path(text).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"--intrinsics: {text}: not readable as JSON: {error}") from None
    if isinstance(value, dict) and {"fx", "fy", "cx", "cy"} <= value.keys():
        return [value[name] for name in ("fx", "fy", "cx", "cy")]
    return value


def _checked(value: Any, label: str) -> np.ndarray:
    try:
        array = np.asarray(value, np.float64)
    except (ValueError, TypeError):
        array = np.zeros(0)
    if array.shape == (3, 3):
        if np.abs(array - [[array[0, 0], 0, array[0, 2]], [0, array[1, 1], array[1, 2]], [0, 0, 1]]).max() > 1e-6:
            raise ValueError(f"--intrinsics: {label}: must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {value}")
        array = array[[0, 1, 0, 1], [0, 1, 2, 2]]
    if array.shape != (4,):
        raise ValueError(f"--intrinsics: {label}: must be fx, fy, cx, cy or a 3 x 3 matrix")
    if not (np.isfinite(array).all() and (array[:2] > 0).all()):
        raise ValueError(f"--intrinsics: {label}: must be finite with focal lengths above 0, got {array.tolist()}")
    return array.astype(np.float32)
