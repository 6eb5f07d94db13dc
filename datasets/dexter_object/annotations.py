"""The text files of Dexter+Object and EgoDexter, and which way their axes point."""

import numpy as np
import scipy.stats
from etils import epath

TIPS = 5
NO_DEPTH_MM = 32001
"""In place of z where Dexter+Object's depth camera saw nothing."""
LEAST_TIPS, LEAST_CORRELATION = 8, 0.5


def read_tips(path: epath.Path, axes: int) -> np.ndarray:
    """(frames, 5, axes) from lines `x, y, z; x, y, z; ...`: thumb, index, middle, ring, little; NaN for empty fields.

    Fields behind the fifth are of objects and are not read. Raises ValueError naming the line.
    """
    lines = path.read_text().rstrip().splitlines()
    return np.array([_tips(line, axes, f"{path}, line {number}") for number, line in enumerate(lines, 1)]).reshape(
        -1, TIPS, axes
    )


def known_points(points: np.ndarray) -> np.ndarray:
    """(..., 3) mm -> (...) bool: neither empty nor 32001 (Dexter+Object) nor at the origin (EgoDexter)."""
    there = np.isfinite(points).all(-1) & (np.abs(points) > 1e-6).any(-1)
    return np.asarray(there & (points[..., 2] != NO_DEPTH_MM))


def known_pixels(pixels: np.ndarray) -> np.ndarray:
    """(..., 2) px -> (...) bool: neither empty nor (-1, -1) or (0, 0), which stand for none."""
    return np.asarray(np.isfinite(pixels).all(-1) & (pixels > 0).all(-1))


def axis_signs(pixels: np.ndarray, points: np.ndarray, name: str) -> np.ndarray:
    """Whether x and y grow with u and v: (2,) of 1 or -1, from both label files of one sequence.

    Args:
      pixels: (frames, 5, 2) in the depth picture; points: (frames, 5, 3) mm.
      name: the sequence's, for the error.

    A pinhole camera has u = fx x / z + cx, so the rank correlation of u and x / z tells the sign without its
    calibration, and gross errors of a few labels do not change it. Raises ValueError where the files do not agree.
    """
    both = known_points(points) & known_pixels(pixels)
    if np.count_nonzero(both) < LEAST_TIPS:
        raise ValueError(f"{name} must have {LEAST_TIPS} fingertips in 2D and 3D, got {np.count_nonzero(both)}")
    slopes = points[both, :2] / points[both, 2:]
    ranks = scipy.stats.rankdata(np.concatenate([pixels[both], slopes], 1), axis=0)
    correlations = np.corrcoef(ranks.T)
    fits = correlations[[0, 1], [2, 3]]
    if not (np.abs(fits) >= LEAST_CORRELATION).all():
        raise ValueError(f"{name}: the 2D and 3D fingertips do not belong together, rank correlations {fits.round(2)}")
    return np.sign(fits)


def _tips(line: str, axes: int, place: str) -> list[list[float]]:
    fields = [field.split(",") for field in line.split(";")[:TIPS]]
    try:
        tips = [[float(value) if value.strip() else np.nan for value in field] for field in fields]
    except ValueError:
        raise ValueError(f"{place}: must be numbers between commas and semicolons, got {line[:80]!r}") from None
    if len(tips) != TIPS or any(len(tip) not in (1, axes) for tip in tips):
        raise ValueError(f"{place}: must have {TIPS} fields of {axes} numbers, got {line[:80]!r}")
    # An empty field is one empty word.
    return [tip if len(tip) == axes else [np.nan] * axes for tip in tips]
