"""Stanford PLY, binary."""

import os

import numpy as np
from numpy.typing import ArrayLike

from handjax.export.files import write_bytes
from handjax.export.mesh import checked_mesh


def write_ply(path: str | os.PathLike, vertices: ArrayLike, faces: ArrayLike, colors: ArrayLike | None = None) -> None:
    """Writes a mesh as binary little-endian PLY; float32 vertices and uint8 colours read back bit for bit.

    Args:
      path: the file; its folder must exist. Written whole or not at all.
      vertices: (V, 3), metres, in any frame: PLY has none of its own.
      faces: (F, 3), counter-clockwise seen from outside.
      colors: (V, 3) sRGB, uint8 or floats in [0, 1].

    Raises:
      ValueError, TypeError: a shape, index or colour is wrong. OSError: the file cannot be written.
    """
    vertices, faces, colors = checked_mesh(vertices, faces, colors)
    fields = [("position", "<f4", 3)] + ([("color", "u1", 3)] if colors is not None else [])
    vertex_rows = np.empty(len(vertices), fields)
    vertex_rows["position"] = vertices
    if colors is not None:
        vertex_rows["color"] = colors
    face_rows = np.empty(len(faces), [("corners", "u1"), ("index", "<i4", 3)])
    face_rows["corners"] = 3
    face_rows["index"] = faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment metres",
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {channel}" for channel in ("red", "green", "blue") if colors is not None),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    write_bytes(path, "\n".join(header).encode() + vertex_rows.tobytes() + face_rows.tobytes())
