"""The files of DeepHandMesh's studio: cameras (KRT_512), triangulated keypoints (.pts) and depth maps (.pkl)."""

from typing import NamedTuple

import numpy as np
from etils import epath

from datasets.labels import intrinsics_from_opencv
from handjax.mano.stored_arrays import as_array
from handjax.mano.unpickle import read_pickle

JOINTS = 42
"""0-20 of the right hand, 21-41 of the left one."""
DEPTH_RANGE_MM = (1.0, 99999.0)
MM = 1e-3


class StudioCamera(NamedTuple):
    """intrinsics (3, 3) in our pixels of a picture of the nominal size; x_camera = rotation x_world + translation,
    (3, 3) and (3,) metres. The stored distortion is not used, as in the authors' code."""

    intrinsics: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


def read_cameras(path: epath.Path) -> dict[str, StudioCamera]:
    """Name -> camera, from blocks of a name, 3 rows of K, one of distortion and 3 of [R | t] in millimetres.

    Raises ValueError naming the file and the camera.
    """
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    if not lines or len(lines) % 8:
        raise ValueError(f"{path} must have 8 lines for each camera, got {len(lines)}")
    cameras = {}
    for start in range(0, len(lines), 8):
        (name, *_), *rows = lines[start : start + 8]
        try:
            matrix, pose = np.array(rows[:3], np.float64), np.array(rows[4:], np.float64)
        except ValueError as error:
            raise ValueError(f"{path}, camera {name}: {error}") from None
        if matrix.shape != (3, 3) or pose.shape != (3, 4):
            raise ValueError(f"{path}, camera {name}: must have 3 rows of 3 and 3 of 4 numbers")
        cameras[name] = StudioCamera(intrinsics_from_opencv(matrix), pose[:, :3], pose[:, 3] * MM)
    return cameras


def read_points(path: epath.Path) -> np.ndarray:
    """(42, 3) metres in the world, NaN for joints without a line `joint x y z score views`. Raises ValueError."""
    points = np.full((JOINTS, 3), np.nan)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not (words := line.split()):
            continue
        try:
            joint, *place = float(words[0]), *map(float, words[1:4])
        except ValueError:
            raise ValueError(f"{path}, line {number}: must be numbers, got {line[:80]!r}") from None
        if joint not in range(JOINTS) or len(place) != 3:
            raise ValueError(f"{path}, line {number}: must be a joint below {JOINTS} and x, y, z, got {line[:80]!r}")
        points[int(joint)] = np.array(place) * MM
    return points


def read_depth(path: epath.Path) -> np.ndarray:
    """(H, W) float32 metres from a pickled array of millimetres, which is read as data; 0 for none.

    Raises ValueError naming the file.
    """
    try:
        depth = as_array(read_pickle(path.read_bytes())).astype(np.float32)
    except ValueError as error:
        raise ValueError(f"{path} must be a pickled array: {error}") from error
    if depth.ndim != 2:
        raise ValueError(f"{path} must hold an array of two axes, got the shape {depth.shape}")
    nearest, farthest = DEPTH_RANGE_MM
    return np.where((depth >= nearest) & (depth <= farthest), depth * np.float32(MM), 0).astype(np.float32)
