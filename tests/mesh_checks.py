"""What a sound mesh is: counts, rims and crossings of its own faces."""

import numpy as np
from scipy.spatial import cKDTree


def euler_characteristic(faces) -> int:
    return len(np.unique(faces)) - len(undirected_edges(faces)) + len(faces)


def undirected_edges(faces) -> np.ndarray:
    return np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)


def self_crossings(vertices, faces) -> np.ndarray:
    """(C, 2) pairs of faces that share no vertex and pass through each other."""
    corners = vertices[faces]
    centres = corners.mean(axis=1)
    radii = np.linalg.norm(corners - centres[:, None], axis=2).max(axis=1)
    pairs = cKDTree(centres).query_pairs(2.0 * radii.max(), output_type="ndarray")
    first, second = pairs.T
    near = np.linalg.norm(centres[first] - centres[second], axis=1) < radii[first] + radii[second]
    apart = (corners[first].max(axis=1) < corners[second].min(axis=1)).any(axis=1)
    apart |= (corners[second].max(axis=1) < corners[first].min(axis=1)).any(axis=1)
    pairs = pairs[near & ~apart]
    shared = (faces[pairs[:, 0]][:, :, None] == faces[pairs[:, 1]][:, None]).any(axis=(1, 2))
    pairs = pairs[~shared]
    crossing = np.zeros(len(pairs), bool)
    for own, other in (pairs.T, pairs.T[::-1]):
        for corner in range(3):
            start, end = corners[own, corner], corners[own, (corner + 1) % 3]
            crossing |= pierces(start, end, corners[other])
    return pairs[crossing]


def pierces(start, end, triangles) -> np.ndarray:
    """(N,) whether segments cross triangles (N, 3, 3) (Moeller and Trumbore 1997)."""
    edge1, edge2 = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    along = end - start
    across = np.cross(along, edge2)
    volume = (edge1 * across).sum(axis=1)
    scale = 1.0 / np.where(np.abs(volume) > 1e-12, volume, np.inf)
    offset = start - triangles[:, 0]
    u = (offset * across).sum(axis=1) * scale
    turned = np.cross(offset, edge1)
    v = (along * turned).sum(axis=1) * scale
    t = (edge2 * turned).sum(axis=1) * scale
    return (np.abs(volume) > 1e-12) & (u >= 0.0) & (v >= 0.0) & (u + v <= 1.0) & (t >= 0.0) & (t <= 1.0)
