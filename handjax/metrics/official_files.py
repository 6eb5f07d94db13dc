"""Reads the JSON files of FreiHAND's and HO-3D's evaluators hand by hand, into our joints, frame and metres.

The vertices of an evaluation split are tens of millions of numbers: as Python objects gigabytes, so only one hand at a
time is turned into those.
"""

import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handjax.conventions import FRAMES, to_common
from handjax.metrics.protocols import Protocol
from handjax.metrics.submission import NAME_IN_ARCHIVE

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_WHERE = {
    "freihand": "it is in FreiHAND_pub_v2_eval.zip, from lmb.informatik.uni-freiburg.de/projects/freihand",
    "ho3d": "it is a download of its own, linked from github.com/shreyashampali/ho3d",
}


class OfficialHands(NamedTuple):
    """joints (S, 21, 3) in our order, and the meshes (V, 3) one after another; metres, OpenCV camera frame."""

    joints: np.ndarray
    meshes: Iterator[np.ndarray]


def read_truth(folder: str | os.PathLike, protocol: Protocol) -> OfficialHands:
    """evaluation_xyz.json and evaluation_verts.json of a folder.

    Raises FileNotFoundError that says where the file is to be had, and ValueError for one that is not what it should
    be; that of the meshes while they are drawn.
    """
    joints, meshes = (Path(folder) / f"evaluation_{kind}.json" for kind in ("xyz", "verts"))
    for path in (joints, meshes):
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: {_WHERE.get(protocol.name.split('_')[0], 'see the data set')}")
    found = _List(_text(joints), 0, joints.name)
    return OfficialHands(
        _joints(list(found), joints.name, protocol),
        _meshes(_List(_text(meshes), 0, meshes.name), meshes.name, protocol),
    )


def read_submission(path: str | os.PathLike, protocol: Protocol) -> OfficialHands:
    """pred.json, or a .zip that holds it.

    Raises FileNotFoundError, and ValueError for a file that is not a list of joints and meshes; for its meshes while
    they are drawn.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: it is what write_freihand or write_ho3d wrote, [joints, meshes]")
    text = _text(path)
    first = _List(text, _after(text, 0, "[", path.name), path.name)
    joints = _joints(list(first), path.name, protocol)
    second = _List(text, _after(text, first.position, ",", path.name), path.name)
    return OfficialHands(joints, _meshes(second, path.name, protocol))


class _List:
    """The elements of the JSON list at `position`, decoded one at a time; `position` is then behind the list."""

    def __init__(self, text: str, position: int, name: str) -> None:
        self._text, self._name = text, name
        self.position = _after(text, position, "[", name)

    def __iter__(self) -> Iterator[Any]:
        first = True
        while not self._closed():
            if not first:
                self.position = _after(self._text, self.position, ",", self._name)
            first = False
            start = _SPACE.match(self._text, self.position).end()  # pyright: ignore[reportOptionalMemberAccess]
            try:
                element, self.position = _DECODER.raw_decode(self._text, start)
            # Numbers of thousands of digits and lists of thousands of depths are errors of other kinds.
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{self._name} must be JSON: {error}, in what starts at character {start}") from None
            yield element

    def _closed(self) -> bool:
        start = _SPACE.match(self._text, self.position).end()  # pyright: ignore[reportOptionalMemberAccess]
        closed = self._text[start : start + 1] == "]"
        self.position = start + 1 if closed else start
        return closed


def _after(text: str, position: int, sign: str, name: str) -> int:
    found = re.compile(rf"[ \t\r\n]*{re.escape(sign)}").match(text, position)
    if found is None:
        shown = text[position : position + 20].strip()
        raise ValueError(f"{name} must be JSON with {sign!r} at character {position}, got {shown!r}")
    return found.end()


def _text(path: Path) -> str:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                return archive.read(NAME_IN_ARCHIVE).decode()
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} must be JSON, got bytes that are no text at {error.start}") from None
    except (zipfile.BadZipFile, zlib.error, KeyError):
        raise ValueError(f"{path.name} must be an archive with {NAME_IN_ARCHIVE} and no folder") from None


def _joints(hands: list, name: str, protocol: Protocol) -> np.ndarray:
    arrays = [_array(hand, f"{name}, joints of hand {i}", 21) for i, hand in enumerate(hands)]
    joints = np.stack(arrays) if arrays else np.zeros((0, 21, 3))
    return _to_opencv(np.asarray(to_common(protocol.order, joints)), protocol)


def _meshes(hands: _List, name: str, protocol: Protocol) -> Iterator[np.ndarray]:
    for i, hand in enumerate(hands):
        yield _to_opencv(_array(hand, f"{name}, mesh of hand {i}", None), protocol)


def _array(hand: Any, name: str, count: int | None) -> np.ndarray:
    try:
        array = np.array(hand)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind not in "fi" and array.size:
        raise ValueError(f"{name}: must be rows of three numbers")
    array = array.astype(np.float64)
    if array.ndim != 2 or array.shape[1] != 3 or len(array) == 0 or count not in (None, len(array)):
        raise ValueError(f"{name}: must have shape ({count or 'V'}, 3), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: must be finite, got nan or infinity")
    return array


def _to_opencv(points: np.ndarray, protocol: Protocol) -> np.ndarray:
    # Each of the two frames is its own inverse.
    return points * np.diag(FRAMES[protocol.frame])
