"""A tape measure for hand meshes: the dimensions that surveys report, in mm."""

from typing import NamedTuple

import numpy as np
from scipy.spatial import ConvexHull

from launch.freehand.anatomy import INDEX, LITTLE, MIDDLE, RING, THUMB


class Measures(NamedTuple):
    length: float  # wrist crease to middle fingertip, along the hand
    breadth: float  # across the knuckles of index to little finger
    palm: float  # wrist crease to the crease at the base of the middle finger
    circumference: float  # around the knuckles, without the thumb, by a taut tape
    wrist: float  # around the wrist crease, likewise


def measure(vertices, faces, weights, joints) -> Measures:
    """(V, 3) mm, (F, 3), (V, 16), (16, 3) of a flat hand in the generator's axes."""
    of_thumb = weights[:, 1 + 3 * THUMB :].sum(axis=1) > 0.5
    palm_faces = faces[~of_thumb[faces].any(axis=1)]
    index, little = joints[1 + 3 * INDEX], joints[1 + 3 * LITTLE]
    across = little - index
    normal = np.array([-across[1], across[0], 0.0]) / np.hypot(across[0], across[1])
    ring = cross_section(vertices, palm_faces, index, normal)
    middle = weights[:, 1 + 3 * MIDDLE : 4 + 3 * MIDDLE].sum(axis=1) > 0.5
    return Measures(
        length=vertices[middle, 1].max(),
        breadth=np.ptp(ring.reshape(-1, 3) @ (across / np.linalg.norm(across))),
        palm=float(np.mean([web_height(vertices, faces, joints, MIDDLE, other) for other in (INDEX, RING)])),
        circumference=taut(ring),
        wrist=taut(cross_section(vertices, faces, np.zeros(3), np.array([0.0, 1.0, 0.0]))),
    )


def web_height(vertices, faces, joints, first: int, second: int) -> float:
    """How far along the hand the skin reaches half way between two fingers."""
    bases = joints[[1 + 3 * first, 1 + 3 * second]].mean(axis=0)
    along = joints[[2 + 3 * first, 2 + 3 * second]].mean(axis=0) - bases
    return cross_section(vertices, faces, bases, np.array([along[1], -along[0], 0.0]))[..., 1].max()


def cross_section(vertices, faces, origin, normal) -> np.ndarray:
    """(S, 2, 3) segments in which a plane cuts the faces."""
    height = (vertices - origin) @ normal
    corners, sides = vertices[faces], height[faces]
    cut = sides.min(axis=1) * sides.max(axis=1) < 0.0
    corners, sides = corners[cut], sides[cut]
    # The corner alone on its side: its two edges are the ones cut.
    alone = np.where((sides > 0.0).sum(axis=1) == 1, sides.argmax(axis=1), sides.argmin(axis=1))
    rows = np.arange(len(alone))
    points = []
    for step in (1, 2):
        other = (alone + step) % 3
        share = sides[rows, alone] / (sides[rows, alone] - sides[rows, other])
        points.append(corners[rows, alone] + share[:, None] * (corners[rows, other] - corners[rows, alone]))
    return np.stack(points, axis=1)


def perimeter(segments: np.ndarray) -> float:
    return float(np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum())


def taut(points: np.ndarray) -> float:
    """The perimeter of the convex hull of (..., 3) points in a plane."""
    points = points.reshape(-1, 3) - points.reshape(-1, 3).mean(axis=0)
    plane = np.linalg.svd(points, full_matrices=False)[2][:2]
    return float(ConvexHull(points @ plane.T).area)
