"""What `launch.evaluate` measures: predictions and truth from official files and from arrays, a batch at a time."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handjax.metrics import Hands, Protocol, batches, read_submission, read_truth


class Side(NamedTuple):
    """What one file or folder holds: `hands` without vertices, and those one after another, or None."""

    hands: Hands
    meshes: Iterator[np.ndarray] | None


def read_side(path: Path, protocol: Protocol, count: int | None = None) -> Side:
    """The truth, or with the truth's `count` a prediction. Raises FileNotFoundError that says where a file is to be
    had, and ValueError for one that is not what it should be; that of meshes while they are drawn."""
    is_truth = count is None
    name = "truth" if is_truth else "pred"
    if path.suffix == ".npz":
        return _read_npz(path, name)
    if protocol.name == "dexycb" and path.suffix == ".txt" and count is not None:
        return Side(Hands(_read_dexycb(path, count)), None)
    if not protocol.mesh_alignments or protocol.two_hands:
        raise ValueError(f"--{name} must be an .npz for {protocol.name} (see docs/metrics.md), got {path}")
    if is_truth and path.is_file():
        raise ValueError(f"--truth must be a folder or an .npz, got the file {path}")
    found = read_truth(path, protocol) if is_truth else read_submission(path, protocol)
    return Side(Hands(found.joints), found.meshes)


def zeros(count: int) -> Side:
    """The prediction that the published sanity figures are of."""
    return Side(Hands(np.zeros((count, 21, 3))), (np.zeros((778, 3)) for _ in range(count)))


def pairs(prediction: Side, truth: Side) -> Iterator[tuple[Hands, Hands]]:
    """Batches of both, with meshes where both have them. Raises ValueError for more or fewer meshes than hands."""
    sides = {"prediction": prediction, "truth": truth}
    with_meshes = all(side.meshes is not None for side in sides.values())
    for ours, theirs in zip(batches(prediction.hands), batches(truth.hands), strict=True):
        if with_meshes:
            ours = ours._replace(vertices=_drawn(prediction.meshes, len(ours.joints), "prediction"))
            theirs = theirs._replace(vertices=_drawn(truth.meshes, len(theirs.joints), "truth"))
        yield ours, theirs
    for name, side in sides.items():
        if with_meshes and next(side.meshes or iter(()), None) is not None:
            raise ValueError(f"the {name} must have as many meshes as hands, got more")


def _drawn(meshes: Iterator[np.ndarray] | None, count: int, name: str) -> np.ndarray:
    drawn = [mesh for _, mesh in zip(range(count), meshes or (), strict=False)]
    if len(drawn) < count:
        raise ValueError(f"the {name} must have as many meshes as hands, got fewer")
    if len(shapes := {mesh.shape for mesh in drawn}) > 1:
        raise ValueError(f"the {name} must have one number of vertices throughout, got {sorted(shapes)}")
    return np.stack(drawn) if drawn else np.zeros((0, 778, 3))


def _read_npz(path: Path, name: str) -> Side:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: --{name} names an .npz with joints (see docs/metrics.md)")
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it is one array")
        with file:
            arrays = {key: file[key] for key in file.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError) as error:
        raise ValueError(f"{path} must be an .npz of plain arrays: {error}") from None
    if unknown := sorted(arrays.keys() - set(Hands._fields)):
        raise ValueError(f"{path} must hold only {', '.join(Hands._fields)}, got {', '.join(unknown)}")
    if "joints" not in arrays:
        raise ValueError(f"{path} must hold joints, got {', '.join(arrays) or 'nothing'}")
    for key, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{path}: {key} must be numbers, got {array.dtype}")
        if array.ndim == 0 or len(array) != len(np.atleast_1d(arrays["joints"])):
            raise ValueError(f"{path}: {key} must have as many rows as joints, got {array.shape}")
    vertices = arrays.pop("vertices", None)
    return Side(Hands(**arrays), None if vertices is None else iter(vertices))


def _read_dexycb(path: Path, count: int) -> np.ndarray:
    """(count, 21, 3) metres from lines of an index and 63 millimetres, nan where an index has no line."""
    joints = np.full((count, 21, 3), np.nan)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            index, *row = map(float, line.replace(",", " ").split())
            if len(row) != 63 or index not in range(count) or np.isfinite(joints[int(index)]).any():
                raise ValueError
        except ValueError:
            wanted = f"an index below {count} that no other line has, and 63 numbers"
            raise ValueError(f"{path}: line {number} must be {wanted}") from None
        joints[int(index)] = np.reshape(row, (21, 3)) / 1000
    return joints
