"""Isotropic remeshing to a size field: split, collapse, flip, relax on the implicit surface.

Botsch and Kobbelt 2004, A remeshing approach to multiresolution modeling. Every pass treats all edges at once: of
those that would meet, the most urgent goes first and the others wait for the next pass. Rim vertices never move.
"""

from collections.abc import Callable

import numpy as np

from launch.freehand.implicit import gradient
from launch.freehand.topology import (
    EdgeTable,
    adjacency,
    boundary_vertices,
    compact,
    edge_table,
    face_normals,
    neighbour_mean,
    without_slivers,
)

Field = Callable[[np.ndarray], np.ndarray]
GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
TOO_LONG, TOO_SHORT = 1.34, 0.72  # of the wanted length; splitting one never makes the other


def remesh(vertices, faces, surface: Field, edge_length: Field, rounds: int):
    """(V, 3), (F, 3) -> the same of edges about `edge_length` (a function of position, mm) on `surface`."""
    for _ in range(rounds):
        vertices, faces = split_long_edges(vertices, faces, edge_length)
        vertices, faces = collapse_short_edges(vertices, faces, edge_length)
        faces = flip_to_delaunay(vertices, faces)
        vertices = relax(vertices, faces, surface, iterations=3)
    return vertices, faces


def relax(vertices, faces, surface: Field, iterations: int, strength: float = 0.5, limit: float = 2.0) -> np.ndarray:
    """Slides vertices along the surface to the middle of their neighbours, each step within `limit` mm."""
    mean, fixed = neighbour_mean(faces, len(vertices)), boundary_vertices(faces)
    for _ in range(iterations):
        slope = gradient(surface, vertices)
        steepness = np.maximum((slope**2).sum(axis=1, keepdims=True), 0.25)
        slide = mean @ vertices - vertices
        slide = strength * (slide - slope * (slide * slope).sum(axis=1, keepdims=True) / steepness)
        moved = vertices + shortened(slide, limit)
        moved -= shortened(surface(moved)[:, None] * slope / steepness, limit)
        moved[fixed] = vertices[fixed]
        vertices = moved
    return vertices


def shortened(steps: np.ndarray, limit: float) -> np.ndarray:
    return steps * np.minimum(1.0, limit / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-9))


def relative_lengths(vertices, ends, edge_length: Field) -> np.ndarray:
    wanted = edge_length(vertices[ends].mean(axis=1))
    return np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1) / wanted


def split_long_edges(vertices, faces, edge_length: Field, passes: int = 6):
    """Halves every inner edge that is too long, until none is."""
    for _ in range(passes):
        table = edge_table(faces)
        long = (relative_lengths(vertices, table.ends, edge_length) > TOO_LONG) & table.inner
        if not long.any():
            break
        vertices, faces = split(vertices, faces, table, long)
    return vertices, faces


def split(vertices, faces, table, halved: np.ndarray):
    """Puts a vertex on the middle of each edge of `halved` (E,); the faces beside them become two, three or four."""
    middle = np.full(len(halved), -1)
    middle[halved] = len(vertices) + np.arange(halved.sum())
    vertices = np.concatenate([vertices, vertices[table.ends[halved]].mean(axis=1)])
    marked, cuts = halved[table.of_faces], halved[table.of_faces].sum(axis=1)
    # Turned so that a lone cut edge comes first, and a lone whole one last.
    first = np.where(cuts == 1, marked.argmax(axis=1), np.where(cuts == 2, marked.argmin(axis=1) + 1, 0))
    turn = (first[:, None] + np.arange(3)) % 3
    a, b, c = np.take_along_axis(faces, turn, axis=1).T
    ab, bc, ca = middle[np.take_along_axis(table.of_faces, turn, axis=1)].T

    def cut(which, *triangles):
        return [np.stack([corner[which] for corner in triangle], axis=1) for triangle in triangles]

    two = cuts == 2
    across = np.linalg.norm(vertices[a] - vertices[bc], axis=1) < np.linalg.norm(vertices[ab] - vertices[c], axis=1)
    pieces = [
        faces[cuts == 0],
        *cut(cuts == 1, (a, ab, c), (ab, b, c)),
        *cut(two, (ab, b, bc)),
        *cut(two & across, (a, ab, bc), (a, bc, c)),
        *cut(two & ~across, (a, ab, c), (ab, bc, c)),
        *cut(cuts == 3, (a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)),
    ]
    return vertices, np.concatenate(pieces)


def collapse_short_edges(vertices, faces, edge_length: Field):
    """Merges the ends of inner edges that are too short, the much too short first."""
    while True:
        ends = edge_table(faces).ends
        relative = relative_lengths(vertices, ends, edge_length)
        # Along a strip of edges in order of length only the first could go; shuffled, a third of them can.
        urgency = np.ceil(5.0 * relative) + np.modf(GOLDEN * np.arange(len(relative)))[0]
        vertices, faces, merged = collapse(vertices, faces, np.where(relative < TOO_SHORT, urgency, np.inf))
        if merged < 0.005 * len(vertices):
            return vertices, faces


def collapse_to_count(vertices, faces, count: int, edge_length: Field):
    """Merges the relatively shortest legal inner edges until `count` vertices are left."""
    while len(vertices) > count:
        ends = edge_table(faces).ends
        relative = relative_lengths(vertices, ends, edge_length)
        vertices, faces, merged = collapse(vertices, faces, relative, most=len(vertices) - count)
        if not merged:
            raise RuntimeError(f"no edge can be collapsed at {len(vertices)} vertices, {count} wanted")
    return vertices, faces


def collapse(vertices, faces, urgency: np.ndarray, most: int | None = None):
    """Collapses edges of the lowest finite `urgency` (E,) whose surroundings do not meet, at most `most` of them.

    Returns the mesh and how many there were. The link condition keeps it a manifold; no face may turn by 80 degrees.
    """
    table = edge_table(faces)
    ends = table.ends
    rim = np.zeros(len(vertices), bool)
    rim[ends[~table.inner]] = True
    beside = adjacency(faces, len(vertices))
    legal = np.isfinite(urgency) & ~rim[ends].any(axis=1)
    candidates = np.flatnonzero(legal)
    shared = beside[ends[candidates, 0]].multiply(beside[ends[candidates, 1]]).sum(axis=1)
    candidates = candidates[np.asarray(shared).ravel() == 2]
    rank = np.argsort(np.argsort(urgency[candidates], kind="stable"), kind="stable")
    merged = 0
    while len(candidates):
        chosen = apart(candidates, rank, table, faces, len(vertices))
        good = chosen & ~turns_a_face(vertices, faces, ends[candidates], chosen)
        if good.any():
            picked = candidates[good]
            if most is not None:
                picked = picked[np.argsort(rank[good], kind="stable")[:most]]
            kept, dropped = ends[picked].T
            vertices = vertices.copy()
            vertices[kept] = vertices[ends[picked]].mean(axis=1)
            renamed = np.arange(len(vertices))
            renamed[dropped] = kept
            merged = len(picked)
            return *compact(vertices, without_slivers(renamed[faces])), merged
        candidates, rank = candidates[~chosen], rank[~chosen]
    return vertices, faces, merged


def apart(candidates: np.ndarray, rank: np.ndarray, table: EdgeTable, faces: np.ndarray, count: int) -> np.ndarray:
    """(C,) edges of lower rank than any whose ends touch its own, or who would take a face from the same vertex."""
    lowest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(lowest, table.ends[candidates].ravel(), np.repeat(rank, 2))
    spread = lowest.copy()
    np.minimum.at(spread, table.ends[:, 0], lowest[table.ends[:, 1]])
    np.minimum.at(spread, table.ends[:, 1], lowest[table.ends[:, 0]])
    alone = (spread[table.ends[candidates]] == rank[:, None]).all(axis=1)
    apexes = faces[table.owners[candidates], (table.corners[candidates] + 2) % 3]
    # On the rim there is only one face, and so one apex.
    apexes[:, 1] = np.where(table.inner[candidates], apexes[:, 1], apexes[:, 0])
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, apexes[alone].ravel(), np.repeat(rank[alone], 2))
    return alone & (first[apexes] == rank[:, None]).all(axis=1)


def turns_a_face(vertices, faces, candidates: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(C,) whether moving both ends of a chosen edge to its middle turns a face of either by more than 80 degrees."""
    edge_of_vertex = np.full(len(vertices), -1)
    picked = np.flatnonzero(chosen)
    edge_of_vertex[candidates[picked]] = picked[:, None]
    moved = vertices.copy()
    moved[candidates[picked]] = vertices[candidates[picked]].mean(axis=1)[:, None]
    of_corner = edge_of_vertex[faces]
    # The two faces on the edge itself vanish.
    touched = ((of_corner >= 0).sum(axis=1)) == 1
    before, after = face_normals(vertices, faces[touched]), face_normals(moved, faces[touched])
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    turned = (before * after).sum(axis=1) < 0.17 * lengths
    bad = np.zeros(len(candidates), bool)
    bad[of_corner[touched].max(axis=1)[turned]] = True
    return bad


def flip_to_delaunay(vertices, faces, passes: int = 8):
    """Flips inner edges whose opposite angles exceed 180 degrees, each face at most once a pass."""
    for _ in range(passes):
        table = edge_table(faces)
        inner = np.flatnonzero(table.inner)
        owners, corners = table.owners[inner], table.corners[inner]
        start, end, apex = (faces[owners[:, 0], (corners[:, 0] + step) % 3] for step in range(3))
        other = faces[owners[:, 1], (corners[:, 1] + 2) % 3]
        angle = angle_sum(vertices, start, end, apex, other)
        flipped = np.stack([np.stack([apex, start, other], 1), np.stack([apex, other, end], 1)], axis=1)
        normals = face_normals(vertices, flipped.reshape(-1, 3)).reshape(-1, 2, 3)
        old = face_normals(vertices, faces[owners.ravel()]).reshape(-1, 2, 3).sum(axis=1, keepdims=True)
        sound = ((normals * old).sum(axis=2) > 0.0).all(axis=1)
        new = np.sort(np.stack([apex, other], axis=1), axis=1)
        width = len(vertices)
        existing = np.isin(new[:, 0] * width + new[:, 1], table.ends[:, 0] * width + table.ends[:, 1])
        wanted = np.flatnonzero((angle > np.pi + 0.05) & sound & ~existing)
        if not len(wanted):
            break
        rank = np.argsort(np.argsort(-angle[wanted], kind="stable"), kind="stable")
        first = np.full(len(faces), len(rank))
        np.minimum.at(first, owners[wanted].ravel(), np.repeat(rank, 2))
        alone = wanted[(first[owners[wanted]] == rank[:, None]).all(axis=1)]
        # Two flips may want the same new edge.
        _, unique = np.unique(new[alone] @ [width, 1], return_index=True)
        alone = alone[unique]
        faces = faces.copy()
        faces[owners[alone]] = flipped[alone]
    return faces


def angle_sum(vertices, start, end, apex, other) -> np.ndarray:
    total = np.zeros(len(start))
    for corner in (apex, other):
        to_start, to_end = vertices[start] - vertices[corner], vertices[end] - vertices[corner]
        crossed = np.linalg.norm(np.cross(to_start, to_end), axis=1)
        total += np.arctan2(crossed, (to_start * to_end).sum(axis=1))
    return total
