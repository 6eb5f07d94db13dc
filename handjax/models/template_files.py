"""Reads a hand template from the folder of text files of DeepHandMesh's authors."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from handjax.models.hand_template import HandTemplate, build_template

MM, CM = 1e-3, 1e-2
MOST_BYTES = 256 * 2**20


def read_template(folder: str | os.PathLike) -> HandTemplate:
    """`hand.obj` (centimetres), `skeleton.txt`, `skinning_weight.txt` and `global_pose.txt` (millimetres).

    `handjax.export.write_detailed_folder` writes such a folder. Local and inverse poses follow from the global ones
    and are not read. Raises OSError, and ValueError that names the file, and the line where one is to blame.
    """
    folder = Path(folder)
    names, parents = _skeleton(folder / "skeleton.txt")
    vertices, faces = _mesh(folder / "hand.obj")
    poses = _poses(folder / "global_pose.txt", names)
    try:
        return build_template(
            vertices=vertices * CM,
            faces=faces,
            lbs_weights=_weights(folder / "skinning_weight.txt", names, len(vertices)),
            joints=poses[:, :3, 3] * MM,
            frames=poses[:, :3, :3],
            names=names,
            parents=parents,
        )
    except ValueError as error:
        raise ValueError(f"{folder} must hold one hand: {error}") from None


def _lines(path: Path) -> Iterator[tuple[list[str], str]]:
    """The words of each line that says something, and where it is."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} must have at most {MOST_BYTES} bytes, got {path.stat().st_size}")
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if words := line.partition("#")[0].split():
            yield words, f"{path}, line {number}"


def _skeleton(path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names, and parents by place; rows `name id parent_id` in any order."""
    rows = []
    for words, place in _lines(path):
        if len(words) != 3:
            raise ValueError(f"{place}: must be name, id and parent's id, got {' '.join(words)}")
        rows.append((int(_numbers(words[1:2], place)[0]), int(_numbers(words[2:], place)[0]), words[0]))
    place_of = {identity: place for place, (identity, _, _) in enumerate(rows)}
    unknown = [parent for _, parent, _ in rows if parent != -1 and parent not in place_of]
    if unknown or len(place_of) != len(rows):
        raise ValueError(f"{path}: ids must differ and parents be among them, got parent {unknown or 'twice'}")
    return tuple(name for _, _, name in rows), tuple(place_of.get(parent, -1) for _, parent, _ in rows)


def _mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = [], []
    for words, place in _lines(path):
        if words[0] == "v":
            vertices.append(_numbers(words[1:4], place, 3))
        elif words[0] == "f":
            corners = [word.partition("/")[0] for word in words[1:]]
            faces.append(_numbers(corners, place, 3))
    return np.array(vertices).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3) - 1


def _weights(path: Path, names: tuple[str, ...], count: int) -> np.ndarray:
    """(V, J) from rows `vertex (joint weight) ...`."""
    weights = np.zeros((count, len(names)))
    for words, place in _lines(path):
        vertex = int(_numbers(words[:1], place)[0])
        if not 0 <= vertex < count:
            raise ValueError(f"{place}: vertex must lie in [0, {count}), got {vertex}")
        for name, weight in zip(words[1::2], _numbers(words[2::2], place, len(words[1::2])), strict=True):
            weights[vertex, _place(names, name, place)] = weight
    return weights


def _poses(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """(J, 4, 4) in the order of names, from rows of a name and 16 numbers."""
    poses = np.full((len(names), 4, 4), np.nan)
    for words, place in _lines(path):
        poses[_place(names, words[0], place)] = np.reshape(_numbers(words[1:], place, 16), (4, 4))
    if missing := [name for name, pose in zip(names, poses, strict=True) if np.isnan(pose).any()]:
        raise ValueError(f"{path} must have a pose for each joint, none for {', '.join(missing)}")
    return poses


def _place(names: tuple[str, ...], name: str, place: str) -> int:
    if name not in names:
        raise ValueError(f"{place}: {name} is not a joint of the skeleton")
    return names.index(name)


def _numbers(words: list[str], place: str, count: int = 1) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{place}: must be numbers, got {' '.join(words)}") from None
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"{place}: must have {count} finite numbers, got {' '.join(words)}")
    return numbers
