"""Isotropic remeshing to a size field: split, collapse, flip, relax on the implicit surface.

Botsch and Kobbelt 2004, A remeshing approach to multiresolution modeling. Boundary vertices are never moved.
"""

from collections.abc import Callable

import numpy as np

from launch.freehand.implicit import gradient, project
from launch.freehand.topology import (
    boundary_vertices,
    compact,
    edges,
    face_normals,
    faces_of_edges,
    neighbour_mean,
    neighbour_sets,
    without_slivers,
)

Field = Callable[[np.ndarray], np.ndarray]


def remesh(vertices, faces, surface: Field, edge_length: Field, rounds: int):
    """(V, 3), (F, 3) -> the same of edges about `edge_length` (a function of position, mm) on `surface`."""
    for _ in range(rounds):
        for _ in range(3):
            vertices, faces = split_long_edges(vertices, faces, edge_length)
        vertices, faces = collapse_short_edges(vertices, faces, edge_length)
        for _ in range(3):
            faces = flip_to_delaunay(vertices, faces)
        vertices = relax(vertices, faces, surface, iterations=4)
    return vertices, faces


def relax(vertices, faces, surface: Field, iterations: int, strength: float = 0.5) -> np.ndarray:
    """Slides vertices along the surface to the middle of their neighbours."""
    mean, fixed = neighbour_mean(faces, len(vertices)), boundary_vertices(faces)
    for _ in range(iterations):
        normal = gradient(surface, vertices)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        slide = mean @ vertices - vertices
        slide -= normal * (slide * normal).sum(axis=1, keepdims=True)
        slide[fixed] = 0.0
        moved = project(surface, vertices + strength * slide, iterations=2, limit=2.0)
        moved[fixed] = vertices[fixed]
        vertices = moved
    return vertices


def relative_lengths(vertices, pairs, edge_length: Field) -> np.ndarray:
    wanted = edge_length(vertices[pairs].mean(axis=1))
    return np.linalg.norm(vertices[pairs[:, 0]] - vertices[pairs[:, 1]], axis=1) / wanted


def split_long_edges(vertices, faces, edge_length: Field):
    """Halves every edge that is 1.34 times too long, longest first, no face twice."""
    pairs, counts = edges(faces)
    relative = relative_lengths(vertices, pairs, edge_length) * (counts == 2)
    owners = faces_of_edges(faces)
    split, added_faces, midpoints = set(), [], []
    for index in np.argsort(-relative, kind="stable")[: int((relative > 1.34).sum())]:
        first, second = pairs[index].tolist()
        both = owners[first, second]
        if split.intersection(both):
            continue
        middle = len(vertices) + len(midpoints)
        midpoints.append(vertices[[first, second]].mean(axis=0))
        for face in both:
            split.add(face)
            corners = faces[face].tolist()
            apex = next(corner for corner in corners if corner not in (first, second))
            start = corners.index(apex)
            following, last = corners[start - 2], corners[start - 1]
            added_faces += [[apex, following, middle], [apex, middle, last]]
    if not midpoints:
        return vertices, faces
    kept = np.delete(faces, sorted(split), axis=0)
    return np.concatenate([vertices, midpoints]), np.concatenate([kept, added_faces])


def collapse_short_edges(vertices, faces, edge_length: Field):
    """Merges the ends of every inner edge shorter than 0.72 of what is wanted, shortest first."""
    while True:
        pairs, _ = edges(faces)
        relative = relative_lengths(vertices, pairs, edge_length)
        inner = ~np.isin(pairs, boundary_vertices(faces)).any(axis=1)
        short = np.flatnonzero((relative < 0.72) & inner)
        order = short[np.argsort(relative[short], kind="stable")]
        vertices, merged = collapse_independent(vertices, faces, pairs, order)
        if merged is None:
            return compact(vertices, faces)
        faces = merged


def collapse_independent(vertices, faces, pairs, order):
    """Collapses edges of `order` whose surroundings do not meet; returns None for faces if none was legal."""
    neighbours, locked = neighbour_sets(pairs), set()
    incident = incident_faces(faces)
    vertices, renamed = vertices.copy(), np.arange(len(vertices))
    for index in order:
        first, second = pairs[index].tolist()
        around = {first, second} | neighbours[first] | neighbours[second]
        legal = len(neighbours[first] & neighbours[second]) == 2  # link condition: stays a manifold
        if locked & around or not legal:
            continue
        middle = vertices[[first, second]].mean(axis=0)
        if flips_a_face(vertices, faces, incident, first, second, middle):
            continue
        locked |= around
        renamed[second], vertices[first] = first, middle
    if not locked:
        return vertices, None
    return vertices, without_slivers(renamed[faces])


def incident_faces(faces) -> dict[int, list[int]]:
    incident: dict[int, list[int]] = {}
    for index, corners in enumerate(faces.tolist()):
        for corner in corners:
            incident.setdefault(corner, []).append(index)
    return incident


def flips_a_face(vertices, faces, incident, first: int, second: int, middle) -> bool:
    """Whether moving both ends of an edge to `middle` turns a face of either by more than 80 degrees."""
    touched = faces[sorted(set(incident[first]) ^ set(incident[second]))]
    corners = vertices[touched]
    moved = np.where(np.isin(touched, (first, second))[..., None], middle, corners)
    before = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    after = np.cross(moved[:, 1] - moved[:, 0], moved[:, 2] - moved[:, 0])
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return bool(((before * after).sum(axis=1) < 0.17 * lengths).any())


def flip_to_delaunay(vertices, faces):
    """Flips edges whose opposite angles exceed 180 degrees, each face at most once."""
    owners, faces = faces_of_edges(faces), faces.copy()
    existing, touched = set(owners), set()
    for (first, second), both in owners.items():
        if len(both) != 2 or touched.intersection(both):
            continue
        left, right = (faces[face].tolist() for face in both)
        apex = next(corner for corner in left if corner not in (first, second))
        other = next(corner for corner in right if corner not in (first, second))
        crossing = (min(apex, other), max(apex, other))
        if crossing in existing or angle_sum(vertices, first, second, apex, other) <= np.pi + 0.05:
            continue
        start = left.index(apex)
        following, last = left[start - 2], left[start - 1]
        flipped = np.array([[apex, following, other], [apex, other, last]])
        if (face_normals(vertices, flipped) @ face_normals(vertices, faces[both]).sum(axis=0) <= 0.0).any():
            continue
        faces[both] = flipped
        touched.update(both)
        existing.add(crossing)
    return faces


def angle_sum(vertices, first: int, second: int, apex: int, other: int) -> float:
    total = 0.0
    for corner in (apex, other):
        to_first, to_second = vertices[[first, second]] - vertices[corner]
        total += np.arctan2(np.linalg.norm(np.cross(to_first, to_second)), to_first @ to_second)
    return total


def collapse_to_count(vertices, faces, count: int, edge_length: Field):
    """Merges the relatively shortest legal inner edges until `count` vertices are left."""
    while len(vertices) > count:
        pairs, _ = edges(faces)
        relative = relative_lengths(vertices, pairs, edge_length)
        inner = ~np.isin(pairs, boundary_vertices(faces)).any(axis=1)
        for index in np.argsort(np.where(inner, relative, np.inf), kind="stable")[: int(inner.sum())]:
            moved, merged = collapse_independent(vertices, faces, pairs, [index])
            if merged is not None:
                vertices, faces = compact(moved, merged)
                break
        else:
            raise RuntimeError(f"no edge can be collapsed at {len(vertices)} vertices, {count} wanted")
    return vertices, faces
