"""Wavefront OBJ."""

import os

import numpy as np
from numpy.typing import ArrayLike

from handjax.export.files import write_bytes
from handjax.export.mesh import checked_mesh


def write_obj(
    path: str | os.PathLike,
    vertices: ArrayLike,
    faces: ArrayLike,
    colors: ArrayLike | None = None,
    groups: tuple[tuple[str, int], ...] = (),
) -> None:
    """Writes a mesh as OBJ; a float32 vertex reads back exactly.

    Args:
      path: the file; its folder must exist. Written whole or not at all.
      vertices: (V, 3), metres, in any frame: OBJ has none of its own.
      faces: (F, 3), counter-clockwise seen from outside.
      colors: (V, 3) sRGB, uint8 or floats in [0, 1]; written after the coordinates, as most programs read them.
      groups: (name, number of faces) for consecutive runs of faces, each written as an object `o name`;
        `handjax.export.merge` makes them.

    Raises:
      ValueError, TypeError: a shape, index, colour or group is wrong. OSError: the file cannot be written.
    """
    vertices, faces, colors = checked_mesh(vertices, faces, colors)
    if groups and sum(count for _, count in groups) != len(faces):
        raise ValueError(f"groups must count {len(faces)} faces, got {sum(count for _, count in groups)}")
    lines = ["# metres\n", _vertex_lines(vertices, colors)]
    first = 0
    for name, count in groups or (("hand", len(faces)),):
        if not name.isprintable() or not name:
            raise ValueError(f"groups must have printable names, got {name!r}")
        lines += [f"o {name}\n", _rows("f %d %d %d\n", faces[first : first + count] + 1)]
        first += count
    write_bytes(path, "".join(lines).encode())


def _vertex_lines(vertices: np.ndarray, colors: np.ndarray | None) -> str:
    # Nine significant digits name every float32.
    if colors is None:
        return _rows("v %.9g %.9g %.9g\n", vertices)
    return _rows("v %.9g %.9g %.9g %.4f %.4f %.4f\n", np.hstack([vertices, colors / 255.0]))


def _rows(row_format: str, rows: np.ndarray) -> str:
    return (row_format * len(rows)) % tuple(rows.ravel().tolist())
