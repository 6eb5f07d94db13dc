"""Writes what FreiHAND's and HO-3D's servers and evaluators take: `pred.json`, [joints, vertices], maybe zipped."""

import json
import os
import secrets
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from handjax.checks import check_shape
from handjax.conventions import FRAMES, from_common
from handjax.metrics.presets import PROTOCOLS
from handjax.metrics.protocols import Protocol

DIGITS = 7
"""After the point, of metres: exact to 0.05 micrometres in a third of the size of all digits."""
NAME_IN_ARCHIVE = "pred.json"


def write_freihand(path: str | os.PathLike, xyz: np.ndarray, verts: np.ndarray) -> None:
    """FreiHAND's pred.json, in the order of the evaluation pictures.

    xyz (S, 21, 3) our joints, verts (S, V, 3), metres, OpenCV camera frame. A path that ends in .zip gets an archive
    that holds pred.json and no folder, ready to upload. The folder must exist; an old file stays until the new one is
    whole. Raises ValueError for wrong shapes and for numbers that are not finite, OSError if it cannot be written.
    """
    _write(Path(path), PROTOCOLS["freihand"], *_checked(xyz, verts))


def write_ho3d(path: str | os.PathLike, xyz: np.ndarray, verts: np.ndarray) -> None:
    """HO-3D's pred.json (v2 and v3), in the order of evaluation.txt: `write_freihand`'s arguments, in our order and the
    OpenCV frame, are turned into HO-3D's joint order and the OpenGL frame.

    Raises ValueError also for a hand whose joints or vertices are all behind the camera, which the official script
    refuses as well: it was in OpenGL's frame already.
    """
    xyz, verts = _checked(xyz, verts)
    for name, points in (("xyz", xyz), ("verts", verts)):
        behind = (points[..., 2] < 0).all(axis=-1)
        if behind.any():
            raise ValueError(
                f"{name} must be in the OpenCV frame, z forward: hand {int(np.argmax(behind))} is all behind the camera"
            )
    _write(Path(path), PROTOCOLS["ho3d"], xyz, verts)


def official_points(protocol: Protocol, points: np.ndarray, *, joints: bool) -> np.ndarray:
    """(..., N, 3) of ours in the official files' frame and, for joints, order."""
    turned = points * np.diag(FRAMES[protocol.frame])
    return np.asarray(from_common(protocol.order, turned)) if joints else turned


def _checked(xyz, verts) -> tuple[np.ndarray, np.ndarray]:
    xyz, verts = np.asarray(xyz, np.float64), np.asarray(verts, np.float64)
    check_shape("xyz", xyz, ("S", 21, 3))
    check_shape("verts", verts, (len(xyz), "V", 3))
    for name, points in (("xyz", xyz), ("verts", verts)):
        if not np.isfinite(points).all():
            bad = int(np.argmax(~np.isfinite(points).all(axis=(1, 2))))
            raise ValueError(f"{name} must be finite, got nan or infinity in hand {bad}")
    return xyz, verts


def _write(path: Path, protocol: Protocol, xyz: np.ndarray, verts: np.ndarray) -> None:
    def write_json(stream: IO[bytes]) -> None:
        stream.write(b"[")
        for number, points in enumerate((xyz, verts)):
            stream.write(b", [" if number else b"[")
            for i, hand in enumerate(points):
                # Plus 0, which makes the zero of -0.
                rounded = np.round(official_points(protocol, hand, joints=number == 0), DIGITS) + 0.0
                # Hand by hand: all numbers at once as Python objects would take gigabytes.
                stream.write((", " if i else "").encode() + json.dumps(rounded.tolist()).encode())
            stream.write(b"]")
        stream.write(b"]")

    def write_archive(stream: IO[bytes]) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open(NAME_IN_ARCHIVE, "w", force_zip64=True) as member:
                write_json(member)

    _whole_or_not(path, write_archive if path.suffix == ".zip" else write_json)


def _whole_or_not(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    temporary = path.parent / f".handjax-{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as stream:
            write(stream)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
