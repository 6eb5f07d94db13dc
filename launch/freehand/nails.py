"""The fingernail: a curved plate in the back of a fingertip, free at its end, and the fold of skin around its root."""

import numpy as np

from launch.freehand.implicit import smooth_max, smoothstep

LENGTH, BREADTH = 0.80, 0.78  # of the plate over the tip's breadth
FREE_EDGE = 0.015  # how far it ends before the tip, over the tip's breadth
HEIGHT, SLOPE = 0.43, 0.07  # of its middle above the bone's line over the tip's depth, and how it falls to the end
ACROSS_RADIUS, ALONG_RADIUS = 0.60, 2.0  # of its curves over the tip's breadth
THICKNESS, BEVEL = 1.2, 0.25  # mm; most of the plate lies in the skin
RECESS, FOLD = 0.18, 0.32  # mm: the plate below the skin, and the skin's fold around it


def nail_plate(local: np.ndarray, breadth: float, depth: float) -> np.ndarray:
    """(N, 3) side, distal and dorsal mm from the fingertip's end -> (N,), negative in the plate."""
    along = local[:, 1] + (FREE_EDGE + 0.5 * LENGTH) * breadth
    curve = local[:, 0] ** 2 / (2.0 * ACROSS_RADIUS * breadth) + along**2 / (2.0 * ALONG_RADIUS * breadth)
    below = HEIGHT * depth - SLOPE * along - curve - local[:, 2]
    sheet = np.abs(below - 0.5 * THICKNESS) - 0.5 * THICKNESS
    return smooth_max(sheet, outside_outline(local, breadth), BEVEL)


def fold_relief(local: np.ndarray, breadth: float, depth: float) -> np.ndarray:
    """(N,) mm to add to the skin: up around the nail's root and sides, and down on the plate."""
    outside = outside_outline(local, breadth)
    rooted = smoothstep((-0.12 * breadth - local[:, 1]) / (0.3 * breadth))
    fold = FOLD * np.exp(-0.5 * ((outside - 0.9) / 0.8) ** 2)
    plate = RECESS * smoothstep(-outside / 0.8 + 0.3)
    return rooted * (fold - plate) * smoothstep(local[:, 2] / (0.2 * depth) + 0.2)


def outside_outline(local: np.ndarray, breadth: float) -> np.ndarray:
    """(N,) mm, about, from the plate's outline seen from the back; the root is rounder than the free edge."""
    half_length, half_breadth = 0.5 * LENGTH * breadth, 0.5 * BREADTH * breadth
    across = local[:, 0] / half_breadth
    along = (local[:, 1] + FREE_EDGE * breadth + half_length) / half_length
    outline = np.abs(across) ** 3.0 + np.abs(along) ** np.where(along < 0.0, 2.4, 4.0)
    return (np.cbrt(outline) - 1.0) * half_breadth
