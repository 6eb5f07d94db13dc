"""Keypoints of a whole video or image set from one npz file."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from handjax.detect import LEFT, RIGHT, SIDE_NAMES
from handjax.keypoint_entries import KEYPOINTS, ImageHands, KeypointError, make_detection

FIELDS = ("keypoints_px", "keypoints_world_m", "found", "right", "score", "name")
# A compressed file of zeros can grow a thousandfold; an hour of video takes 60 MB.
MAX_UNPACKED_BYTES = 1 << 30


def read_npz(path: Path, side: str | None) -> tuple[Mapping[str, ImageHands], Sequence[ImageHands]]:
    """(hands by image name, hands by frame), one of them empty. Fields as in `keypoint_files`.

    Raises KeypointError that names the file and the array.
    """
    arrays = _load(path)
    points = _array(path, arrays, "keypoints_px", None)
    if points is None or points.ndim != 3 or points.shape[1] != KEYPOINTS or points.shape[2] not in (2, 3):
        shape = None if points is None else points.shape
        raise KeypointError(f"{path}: keypoints_px must have shape (T, 21, 2 or 3), got {shape}")
    count = len(points)
    world = _array(path, arrays, "keypoints_world_m", (count, KEYPOINTS, 3))
    found = _array(path, arrays, "found", (count,))
    found = np.ones(count, bool) if found is None else found.astype(bool)
    score = _array(path, arrays, "score", (count,))
    sides = _sides(path, arrays, count, side)
    rows = []
    for i in range(count):
        if not found[i]:
            rows.append(ImageHands([], None, []))
            continue
        keypoints_2d = _finite(path, "keypoints_px", i, points[i, :, :2])
        keypoints_3d = None if world is None else _finite(path, "keypoints_world_m", i, world[i])
        row_score = 1.0 if score is None else float(score[i])
        if not 0 <= row_score <= 1:
            raise KeypointError(f"{path}: score[{i}] must lie in [0, 1], got {row_score}")
        detection = make_detection(keypoints_2d, keypoints_3d, int(sides[i]), row_score, None)
        rows.append(ImageHands([detection], None, [None]))
    names = arrays.get("name")
    return ({}, rows) if names is None else (_by_name(path, names, rows), ())


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise KeypointError(f"{path}: unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in FIELDS if name in arrays}
    except KeypointError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen kinds over damaged bytes
        raise KeypointError(f"{path}: not a readable npz file: {error}") from error


def _array(path: Path, arrays: Mapping, name: str, shape: tuple[int, ...] | None) -> np.ndarray | None:
    array = arrays.get(name)
    if array is None:
        return None
    if array.dtype.kind not in "bif":
        raise KeypointError(f"{path}: {name} must hold numbers, got {array.dtype}")
    if shape is not None and array.shape != shape:
        raise KeypointError(f"{path}: {name} must have shape {shape}, got {array.shape}")
    return array


def _finite(path: Path, name: str, row: int, values: np.ndarray) -> np.ndarray:
    if not np.all(np.isfinite(values)):
        raise KeypointError(f"{path}: {name}[{row}] must be finite")
    return values.astype(np.float32)


def _sides(path: Path, arrays: Mapping, count: int, side: str | None) -> np.ndarray:
    right = _array(path, arrays, "right", (count,))
    if right is not None:
        return np.where(right.astype(bool), RIGHT, LEFT)
    if side is None:
        raise KeypointError(f"{path}: right is missing; say whether the hands are left or right")
    return np.full(count, SIDE_NAMES.index(side))


def _by_name(path: Path, names: np.ndarray, rows: Sequence[ImageHands]) -> dict[str, ImageHands]:
    if names.dtype.kind != "U" or names.shape != (len(rows),):
        raise KeypointError(f"{path}: name must be {len(rows)} texts, got {names.dtype} {names.shape}")
    images: dict[str, ImageHands] = {}
    for name, row in zip(names.tolist(), rows, strict=True):
        hands = images.setdefault(name, ImageHands([], None, []))
        hands.detections.extend(row.detections)
        hands.checks.extend(row.checks)
    return images
