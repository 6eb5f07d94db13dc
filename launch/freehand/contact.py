"""How deep a posed hand enters itself, how much flesh each part keeps, and how wide a joint is."""

from typing import NamedTuple

import numpy as np
import trimesh
from scipy.spatial import KDTree

from launch.freehand.measure import cross_section, perimeter
from launch.freehand.topology import edges, face_normals

REACH = 12.0  # mm; nothing that a limit allows enters deeper than this
CHUNK = 2_000_000  # solid angles at a time


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
    near, facing = approached(vertices, faces, rest, reach)
    inside = winding_number(vertices[near], *capped(vertices, faces)) > 1.0 if len(near) else np.zeros(0, bool)
    face, weights, distance = np.zeros(len(near), int), np.zeros((len(near), 3)), np.zeros(len(near))
    for index, (vertex, others) in enumerate(zip(near, facing, strict=True)):
        triangles = vertices[faces[others]]
        closest = trimesh.triangles.closest_point(triangles, np.broadcast_to(vertices[vertex], (len(others), 3)))
        lengths = np.linalg.norm(closest - vertices[vertex], axis=1)
        nearest = lengths.argmin()
        corner = trimesh.triangles.points_to_barycentric(triangles[nearest, None], closest[nearest, None])
        face[index], weights[index], distance[index] = others[nearest], corner[0], lengths[nearest]
    return Contacts(near, face, weights, np.where(inside, -distance, distance))


def approached(vertices, faces, rest, reach: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """The vertices near which the pose has brought skin that faces them, and the faces of that skin for each."""
    centres, rest_centres = vertices[faces].mean(axis=1), rest[faces].mean(axis=1)
    normals = face_normals(vertices, faces)
    own = vertex_normals(vertices, faces)
    pairs = KDTree(vertices).query_ball_tree(KDTree(centres), reach)
    near, facing = [], []
    for vertex, candidates in enumerate(pairs):
        others = np.array(candidates, int)
        came = np.linalg.norm(rest_centres[others] - rest[vertex], axis=1) - 2.0
        came -= np.linalg.norm(centres[others] - vertices[vertex], axis=1)
        opposed = normals[others] @ own[vertex] < 0.0
        if (opposed & (came > 0.0)).any():
            near.append(vertex)
            facing.append(others[opposed])
    return np.array(near, int), facing


def vertex_normals(vertices, faces) -> np.ndarray:
    """(V, 3) of unit length, outwards."""
    normals = np.zeros((len(vertices), 3))
    np.add.at(normals, faces, face_normals(vertices, faces)[:, None])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def winding_number(points, vertices, faces) -> np.ndarray:
    """(N,) solid angle over 4 pi (Van Oosterom and Strackee 1983): 1 inside a closed mesh, 0 outside."""
    corners = vertices[faces].astype(np.float32)
    step = max(1, CHUNK // len(faces))
    chunks = [points[start : start + step].astype(np.float32) for start in range(0, len(points), step)]
    return np.concatenate([solid_angles(chunk, corners).sum(axis=1) for chunk in chunks]) / (2.0 * np.pi)


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


def boundary_loops(faces: np.ndarray) -> list[list[int]]:
    """Every rim of an open mesh, in the direction of its faces' edges."""
    pairs, counts = edges(faces)
    lonely = {tuple(pair) for pair in pairs[counts == 1].tolist()}
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    following: dict[int, list[int]] = {}
    for start, end in directed:
        if (min(start, end), max(start, end)) in lonely:
            following.setdefault(start, []).append(end)
    loops = []
    while following:
        loop = [min(following)]
        while loop[-1] in following:
            ends = following[loop[-1]]
            end = ends.pop()
            if not ends:
                del following[loop[-1]]
            if end == loop[0]:
                break
            loop.append(end)
        loops.append(loop)
    return loops


def capped(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with a fan over each rim."""
    points, closed = [vertices], [faces]
    for loop in boundary_loops(faces):
        centre = len(vertices) + len(points) - 1
        points.append(vertices[loop].mean(axis=0, keepdims=True))
        closed.append(np.array([[end, start, centre] for start, end in zip(loop, [*loop[1:], loop[0]], strict=True)]))
    return np.concatenate(points), np.concatenate(closed)


def part_volumes(vertices: np.ndarray, faces: np.ndarray, owner: np.ndarray, parts: int = 16) -> np.ndarray:
    """(parts,) cubic mm inside the skin that each part owns (V,), its rims closed by fans."""
    of_face = np.sort(owner[faces], axis=1)[:, 1]  # the part that has two of three corners, if one has
    volumes = np.zeros(parts)
    for part in np.unique(of_face):
        points, closed = capped(vertices, faces[of_face == part])
        corners = points[closed]
        volumes[part] = np.einsum("fx,fx->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0
    return volumes


class Section(NamedTuple):
    """A cut through a finger: mm around it and square mm inside."""

    girth: float
    area: float


def section(vertices, faces, origin, normal) -> Section:
    """What a plane cuts from the faces of one finger."""
    segments = cross_section(vertices, faces, origin, normal) - origin
    cross = np.einsum("x,sx->s", normal, np.cross(segments[:, 0], segments[:, 1]))
    return Section(perimeter(segments), float(np.abs(cross).sum() / 2.0))
