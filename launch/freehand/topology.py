"""Edges, neighbours and smoothing of a triangle mesh."""

from typing import NamedTuple

import numpy as np
from scipy import sparse


class EdgeTable(NamedTuple):
    """Undirected edges: ends (E, 2) lower vertex first, of_faces (F, 3) the edge from corner k to k + 1, owners (E, 2)
    the faces on both sides (the second -1 on the rim), corners (E, 2) which corner of its owner an edge starts at."""

    ends: np.ndarray
    of_faces: np.ndarray
    owners: np.ndarray
    corners: np.ndarray

    @property
    def inner(self) -> np.ndarray:
        """(E,) whether an edge has a face on both sides."""
        return self.owners[:, 1] >= 0


def edge_table(faces: np.ndarray) -> EdgeTable:
    directed = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    low, high = directed.min(axis=1), directed.max(axis=1)
    width = int(faces.max()) + 1
    keys, of_faces = np.unique(low.astype(np.int64) * width + high, return_inverse=True)
    order = np.argsort(of_faces, kind="stable")
    first = np.searchsorted(of_faces[order], np.arange(len(keys)))
    uses = np.bincount(of_faces, minlength=len(keys))
    if uses.max() > 2:
        raise ValueError(f"faces must form a manifold, an edge has {uses.max()} of them")
    slots = np.stack([order[first], order[np.minimum(first + 1, len(order) - 1)]], axis=1)
    owners = np.where(np.stack([uses > 0, uses > 1], axis=1), slots // 3, -1)
    return EdgeTable(np.stack([keys // width, keys % width], axis=1), of_faces.reshape(-1, 3), owners, slots % 3)


def edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Undirected edges (E, 2), lower vertex first, and how many faces each has (E,)."""
    table = edge_table(faces)
    return table.ends, np.where(table.inner, 2, 1)


def boundary_vertices(faces: np.ndarray) -> np.ndarray:
    pairs, counts = edges(faces)
    return np.unique(pairs[counts == 1])


def boundary_loop(faces: np.ndarray) -> np.ndarray:
    """The vertices of the one rim in order, along its faces."""
    table = edge_table(faces)
    rim = ~table.inner
    face, corner = table.owners[rim, 0], table.corners[rim, 0]
    following = dict(zip(faces[face, corner].tolist(), faces[face, (corner + 1) % 3].tolist(), strict=True))
    loop = [min(following)]
    while (vertex := following[loop[-1]]) != loop[0]:
        loop.append(vertex)
    if len(loop) != len(following):
        raise ValueError(f"the mesh must have one rim, the first found has {len(loop)} of {len(following)} vertices")
    return np.array(loop)


def adjacency(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """(V, V) ones between neighbours."""
    pairs, _ = edges(faces)
    rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))


def compact(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drops vertices that no face uses."""
    used, renumbered = np.unique(faces, return_inverse=True)
    return vertices[used], renumbered.reshape(-1, 3)


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


def without_slivers(faces: np.ndarray) -> np.ndarray:
    """Drops faces that name a vertex twice."""
    first, second, third = faces.T
    return faces[(first != second) & (second != third) & (third != first)]


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3), twice the face's area long."""
    corners = vertices[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit, the faces' mean by area."""
    normals, of_faces = np.zeros_like(vertices), face_normals(vertices, faces)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], of_faces)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def neighbour_mean(faces: np.ndarray, count: int) -> sparse.csr_matrix | sparse.csr_array:
    """(V, V) matrix that replaces each vertex by the mean of its neighbours."""
    beside = adjacency(faces, count)
    return sparse.diags(1.0 / np.asarray(beside.sum(axis=1)).ravel()) @ beside


def triangle_quality(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) 1 for an equilateral triangle, 0 for a sliver."""
    corners = vertices[faces]
    squared = ((corners - np.roll(corners, 1, axis=1)) ** 2).sum(axis=(1, 2))
    return 2.0 * np.sqrt(3.0) * np.linalg.norm(face_normals(vertices, faces), axis=1) / squared
