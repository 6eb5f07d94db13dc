"""Triangle meshes as files need them: checked arrays, several hands in one, normals."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from handjax.checks import check_shape


class Mesh(NamedTuple):
    """A triangle mesh: vertices (V, 3) metres, faces (F, 3) counter-clockwise from outside, colors (V, 3) or None.

    Colours are sRGB, uint8 or floats in [0, 1]. `groups` names consecutive runs of faces: (name, number of faces).
    """

    vertices: ArrayLike
    faces: ArrayLike
    colors: ArrayLike | None = None
    groups: tuple[tuple[str, int], ...] = ()


def merge(meshes: Mapping[str, Mesh]) -> Mesh:
    """Several named meshes as one, each a group: `write_obj(path, *merge({"hand_0_right": mesh, ...}))`.

    Colours are kept only if every mesh has them. Raises ValueError for no mesh at all or a wrong one.
    """
    if not meshes:
        raise ValueError("meshes must hold at least one mesh, got none")
    parts = [checked_mesh(mesh.vertices, mesh.faces, mesh.colors) for mesh in meshes.values()]
    first_vertex = np.cumsum([0] + [len(vertices) for vertices, _, _ in parts])
    colors = [colors for _, _, colors in parts if colors is not None]
    return Mesh(
        np.concatenate([vertices for vertices, _, _ in parts]),
        np.concatenate([faces + first for (_, faces, _), first in zip(parts, first_vertex, strict=False)]),
        np.concatenate(colors) if len(colors) == len(parts) else None,
        tuple((name, len(faces)) for name, (_, faces, _) in zip(meshes, parts, strict=True)),
    )


def checked_mesh(
    vertices: ArrayLike, faces: ArrayLike, colors: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Vertices as float32, faces as int32, colours as uint8; ValueError or TypeError if any is wrong."""
    check_shape("vertices", vertices, ("V", 3))
    vertices = np.asarray(vertices, np.float32)
    if not np.isfinite(vertices).all():
        row = int(np.argmin(np.isfinite(vertices).all(axis=1)))
        raise ValueError(f"vertices must be finite, got {vertices[row].tolist()} in row {row}")
    return vertices, checked_faces(faces, len(vertices)), checked_colors(colors, len(vertices))


def checked_faces(faces: ArrayLike, num_vertices: int) -> np.ndarray:
    """Faces as int32 (F, 3), every index in [0, num_vertices)."""
    check_shape("faces", faces, ("F", 3))
    faces = np.asarray(faces)
    if not np.issubdtype(faces.dtype, np.integer):
        raise TypeError(f"faces must be integers, got {faces.dtype}")
    if faces.size and not (faces.min() >= 0 and faces.max() < num_vertices):
        raise ValueError(f"faces must lie in [0, {num_vertices}), got [{faces.min()}, {faces.max()}]")
    return faces.astype(np.int32)


def checked_colors(colors: ArrayLike | None, num_vertices: int) -> np.ndarray | None:
    """Colours as uint8 (V, 3); floats must lie in [0, 1]. None stays None."""
    if colors is None:
        return None
    check_shape("colors", colors, (num_vertices, 3))
    colors = np.asarray(colors)
    if colors.dtype == np.uint8:
        return colors
    if not np.issubdtype(colors.dtype, np.floating):
        raise TypeError(f"colors must be uint8 or floats in [0, 1], got {colors.dtype}")
    if not ((colors >= 0) & (colors <= 1)).all():
        raise ValueError(f"colors must lie in [0, 1], got [{colors.min():g}, {colors.max():g}]")
    return np.round(colors * 255).astype(np.uint8)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), faces weighted by area; (0, 0, 1) at a vertex without a face that has area."""
    corners = vertices.astype(np.float64)[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.stack(
        [np.bincount(faces.ravel(), np.repeat(face_normals[:, axis], 3), minlength=len(vertices)) for axis in range(3)],
        axis=1,
    )
    length = np.linalg.norm(summed, axis=1, keepdims=True)
    has_area = length > 1e-30
    return np.where(has_area, summed / np.where(has_area, length, 1.0), (0.0, 0.0, 1.0)).astype(np.float32)
