"""How deep a posed hand enters itself, and how wide a joint is."""

from typing import NamedTuple

import numpy as np
import trimesh
from scipy.spatial import KDTree

from launch.freehand.measure import cross_section, perimeter
from launch.freehand.topology import boundary_loops, face_normals, vertex_normals

REACH = 12.0  # mm; nothing that a limit allows enters deeper than this
CELL, FAR = 10.0, 2.5  # mm of faces taken together by points further away than so many of their radii


class Contacts(NamedTuple):
    """Vertices near skin that faces them, and the nearest point of it: on a face (N,), at weights (N, 3).

    distance: mm to that point, negative for a vertex inside.
    """

    vertex: np.ndarray
    face: np.ndarray
    weights: np.ndarray
    distance: np.ndarray


def penetration(vertices: np.ndarray, faces: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(V,) mm that each vertex lies inside the skin of another part, or beyond a fold of its own; 0 outside."""
    found, depth = contacts(vertices, faces, rest), np.zeros(len(vertices))
    depth[found.vertex] = np.maximum(-found.distance, 0.0)
    return depth


def contacts(vertices: np.ndarray, faces: np.ndarray, rest: np.ndarray, reach: float = REACH) -> Contacts:
    """Where a posed hand touches or enters itself.

    A point on a closed skin that touches nothing has a winding number about a half, inside another part one more.
    Only vertices to which the pose has brought skin that faces them are asked, so that skin which neighbours share
    at `rest` does not count.
    """
    pair_vertex, pair_face = facing_pairs(vertices, faces, rest, reach)
    near, start = np.unique(pair_vertex, return_index=True)
    if len(near) == 0:
        return Contacts(near, near, np.zeros((0, 3)), np.zeros(0))
    closest = trimesh.triangles.closest_point(vertices[faces[pair_face]], vertices[pair_vertex])
    lengths = np.linalg.norm(closest - vertices[pair_vertex], axis=1)
    nearest = np.lexsort((lengths, pair_vertex))[start]
    face, distance = pair_face[nearest], lengths[nearest]
    weights = trimesh.triangles.points_to_barycentric(vertices[faces[face]], closest[nearest])
    inside = winding_number(vertices[near], *capped(vertices, faces)) > 1.0
    return Contacts(near, face, weights, np.where(inside, -distance, distance))


def facing_pairs(vertices, faces, rest, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """The vertices (P,), in order, near which the pose has brought skin that faces them, and all such skin (P,)."""
    centres, rest_centres = vertices[faces].mean(axis=1), rest[faces].mean(axis=1)
    within = KDTree(vertices).sparse_distance_matrix(KDTree(centres), reach, output_type="ndarray")
    within = within[np.argsort(within["i"] * len(faces) + within["j"])]
    vertex, face = within["i"], within["j"]
    opposed = np.einsum("px,px->p", face_normals(vertices, faces)[face], vertex_normals(vertices, faces)[vertex]) < 0.0
    vertex, face, distance = vertex[opposed], face[opposed], within["v"][opposed]
    came = np.linalg.norm(rest_centres[face] - rest[vertex], axis=1) - 2.0 - distance > 0.0
    kept = np.isin(vertex, vertex[came])
    return vertex[kept], face[kept]


def winding_number(points, vertices, faces) -> np.ndarray:
    """(N,) 1 inside a closed mesh, 0 outside, to about 0.01 (Barill et al. 2018, Fast winding numbers, order 1).

    Near faces by their solid angle over 4 pi (Van Oosterom and Strackee 1983), far ones by cells as one dipole each.
    """
    normals, centres = face_normals(vertices, faces) / 2.0, vertices[faces].mean(axis=1)
    area = np.linalg.norm(normals, axis=1)
    cells = np.unique(np.floor(centres / CELL), axis=0, return_inverse=True)[1].ravel()
    total = np.zeros(len(points))
    for cell in range(cells.max() + 1):
        own = np.flatnonzero(cells == cell)
        middle = area[own] @ centres[own] / max(area[own].sum(), 1e-12)
        offset = middle - points
        distance = np.linalg.norm(offset, axis=1)
        far = distance > FAR * np.linalg.norm(vertices[faces[own]] - middle, axis=-1).max()
        total[far] += offset[far] @ normals[own].sum(axis=0) / distance[far] ** 3 / (4.0 * np.pi)
        total[~far] += solid_angles(points[~far], vertices[faces[own]]).sum(axis=1) / (2.0 * np.pi)
    return total


def solid_angles(points, corners) -> np.ndarray:
    """(N, F) half the solid angle under which each point sees each triangle."""
    first, second, third = (corners[:, corner] - points[:, None] for corner in range(3))
    a, b, c = (np.sqrt(np.einsum("nfx,nfx->nf", side, side)) for side in (first, second, third))
    triple = np.einsum("nfx,nfx->nf", first, np.cross(second, third))
    below = a * b * c
    below += np.einsum("nfx,nfx->nf", first, second) * c
    below += np.einsum("nfx,nfx->nf", second, third) * a
    below += np.einsum("nfx,nfx->nf", third, first) * b
    return np.arctan2(triple, below)


def capped(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with a fan over each rim."""
    points, closed = [vertices], [faces]
    for loop in boundary_loops(faces):
        centre = len(vertices) + len(points) - 1
        points.append(vertices[loop].mean(axis=0, keepdims=True))
        closed.append(np.array([[end, start, centre] for start, end in zip(loop, [*loop[1:], loop[0]], strict=True)]))
    return np.concatenate(points), np.concatenate(closed)


class Section(NamedTuple):
    """A cut through a finger: mm around it and square mm inside."""

    girth: float
    area: float


def section(vertices, faces, origin, normal) -> Section:
    """What a plane cuts from the faces of one finger."""
    segments = cross_section(vertices, faces, origin, normal) - origin
    cross = np.einsum("x,sx->s", normal, np.cross(segments[:, 0], segments[:, 1]))
    return Section(perimeter(segments), float(np.abs(cross).sum() / 2.0))
