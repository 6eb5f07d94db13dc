"""How much flesh each bone keeps: the volume inside skin that is cut at the same places however the hand bends."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from launch.freehand.anatomy import PARENTS
from launch.freehand.skeleton import carried_by
from launch.freehand.topology import boundary_loops


class Part(NamedTuple):
    """The closed skin of one bone: points (N, V), sparse, make its corners from a mesh's vertices; faces (F, 3)."""

    points: sparse.csr_array
    faces: np.ndarray


def parts_of(faces: np.ndarray, weights: np.ndarray) -> list[Part]:
    """Of each joint the bone after it, cut where turns are shared half and half: through faces, not along edges.

    Where that is depends on the skin alone, so that it is the same flesh in every pose and at every resolution.
    """
    whole = Part(sparse.csr_array(sparse.eye_array(len(weights))), faces)
    shares = np.stack([weights @ carried_by(joint) for joint in range(len(PARENTS))], axis=1)
    parts = []
    for joint in range(len(PARENTS)):
        part = cut(whole, shares[:, joint] - 0.5)
        for child in [other for other, parent in enumerate(PARENTS) if parent == joint]:
            part = cut(part, 0.5 - np.asarray(part.points @ shares[:, child]))
        parts.append(closed(part))
    return parts


def cut(part: Part, values: np.ndarray) -> Part:
    """What is left of a part where `values` (N,), linear on each face, are positive."""
    inside = values[part.faces] > 0.0
    count = inside.sum(axis=1)
    crossings: dict[tuple[int, int], int] = {}

    def crossing(first: int, second: int) -> int:
        edge = min(first, second), max(first, second)
        return crossings.setdefault(edge, len(values) + len(crossings))

    kept = part.faces[count == 3].tolist()
    for face, within in zip(part.faces[count % 3 > 0], inside[count % 3 > 0], strict=True):
        alone = int(np.flatnonzero(within == (within.sum() == 1))[0])
        first, second, third = np.roll(face, -alone).tolist()
        towards, back = crossing(first, second), crossing(first, third)
        if within[alone]:
            kept.append([first, towards, back])
        else:
            kept += [[towards, second, third], [towards, third, back]]
    edges = np.array(list(crossings), int).reshape(-1, 2)
    share = values[edges[:, 0]] / (values[edges[:, 0]] - values[edges[:, 1]])
    between = mixing(edges, np.stack([1.0 - share, share], axis=1), len(values))
    points = sparse.csr_array(sparse.vstack([part.points, between @ part.points]))
    used, renumbered = np.unique(np.array(kept, int), return_inverse=True)
    return Part(points[used], renumbered.reshape(-1, 3))


def closed(part: Part) -> Part:
    """With a fan over each rim."""
    points, faces, count = [part.points], [part.faces], int(part.faces.max(initial=-1)) + 1
    for number, loop in enumerate(boundary_loops(part.faces) if len(part.faces) else []):
        middle = mixing(np.array([loop]), np.full((1, len(loop)), 1.0 / len(loop)), count)
        points.append(middle @ part.points)
        following = [*loop[1:], loop[0]]
        faces.append(np.array([[end, start, count + number] for start, end in zip(loop, following, strict=True)]))
    return Part(sparse.csr_array(sparse.vstack(points)), np.concatenate(faces))


def mixing(columns: np.ndarray, shares: np.ndarray, width: int) -> sparse.csr_array:
    """(R, width) whose rows have `shares` (R, K) at `columns` (R, K)."""
    starts = np.arange(len(columns) + 1) * columns.shape[1]
    return sparse.csr_array((shares.ravel(), columns.ravel(), starts), (len(columns), width))


def volume(part: Part, vertices: np.ndarray) -> float:
    """Cubic mm."""
    first, second, third = np.moveaxis((part.points @ vertices)[part.faces], 1, 0)
    return float(np.einsum("fx,fx->", first, np.cross(second, third)) / 6.0)


def part_volumes(parts: list[Part], vertices: np.ndarray) -> np.ndarray:
    """(parts,) cubic mm."""
    return np.array([volume(part, vertices) for part in parts])
