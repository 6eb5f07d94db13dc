"""Edges, neighbours and smoothing of a triangle mesh."""

import numpy as np
from scipy import sparse


def edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Undirected edges (E, 2), lower vertex first, and how many faces each has (E,)."""
    every = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(every, axis=0, return_counts=True)


def boundary_vertices(faces: np.ndarray) -> np.ndarray:
    pairs, counts = edges(faces)
    return np.unique(pairs[counts == 1])


def neighbour_sets(pairs: np.ndarray) -> dict[int, set[int]]:
    neighbours: dict[int, set[int]] = {}
    for first, second in pairs.tolist():
        neighbours.setdefault(first, set()).add(second)
        neighbours.setdefault(second, set()).add(first)
    return neighbours


def faces_of_edges(faces: np.ndarray) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for index, corners in enumerate(faces.tolist()):
        for corner in range(3):
            edge = tuple(sorted((corners[corner], corners[corner - 2])))
            found.setdefault(edge, []).append(index)
    return found


def compact(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drops vertices that no face uses."""
    used, renumbered = np.unique(faces, return_inverse=True)
    return vertices[used], renumbered.reshape(-1, 3)


def without_slivers(faces: np.ndarray) -> np.ndarray:
    """Drops faces that name a vertex twice."""
    first, second, third = faces.T
    return faces[(first != second) & (second != third) & (third != first)]


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3), twice the face's area long."""
    corners = vertices[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def neighbour_mean(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """(V, V) matrix that replaces each vertex by the mean of its neighbours."""
    pairs, _ = edges(faces)
    rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
    adjacency = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count)).tocsr()
    return sparse.diags(1.0 / np.asarray(adjacency.sum(axis=1)).ravel()) @ adjacency


def triangle_quality(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) 1 for an equilateral triangle, 0 for a sliver."""
    corners = vertices[faces]
    squared = ((corners - np.roll(corners, 1, axis=1)) ** 2).sum(axis=(1, 2))
    return 2.0 * np.sqrt(3.0) * np.linalg.norm(face_normals(vertices, faces), axis=1) / squared
