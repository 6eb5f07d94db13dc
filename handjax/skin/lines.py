"""Curves drawn on the hand: lines of the palm, creases of the wrist, veins and tendons of the back.

Coordinates are millimetres across (ulnar) and along the mean hand from the wrist crease, as a right hand's back shows
them; knuckles lie at (-21, 84), (0, 83.5), (17, 76.5) and (33, 69).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Curve(NamedTuple):
    """points (M, 2) mm, width_mm and strength in [0, 1]; it fades over the last `fade` of its length at either end."""

    points: tuple[tuple[float, float], ...]
    width_mm: float
    strength: float
    fade: tuple[float, float] = (0.15, 0.3)


PALM_LINES = (
    Curve(((-37, 66), (-30, 67), (-20, 64), (-10, 56), (-3, 44), (-2, 30), (-6, 17), (-12, 8)), 0.8, 0.9, (0.05, 0.35)),
    Curve(((-37, 67), (-28, 68), (-16, 64), (0, 57), (14, 50), (25, 42), (32, 35)), 0.75, 0.85, (0.05, 0.4)),
    Curve(((45, 56), (36, 58), (24, 61), (10, 66), (0, 73), (-6, 81), (-10, 87)), 0.8, 0.9, (0.05, 0.35)),
)
MINOR_PALM_LINES = (
    Curve(((6, 12), (5, 28), (6, 44), (4, 62), (2, 74)), 0.7, 0.5, (0.3, 0.4)),
    Curve(((34, 18), (27, 34), (22, 46), (20, 60)), 0.6, 0.35, (0.3, 0.4)),
    Curve(((-28, 58), (-20, 52), (-14, 44), (-12, 32), (-15, 20)), 0.6, 0.4, (0.3, 0.4)),
    Curve(((-34, 50), (-24, 42), (-17, 32)), 0.6, 0.35, (0.4, 0.4)),
    Curve(((-24, 22), (-16, 28), (-6, 32), (4, 36)), 0.5, 0.3, (0.3, 0.4)),
    Curve(((-22, 34), (-10, 40), (2, 46)), 0.5, 0.25, (0.3, 0.4)),
    Curve(((12, 22), (20, 26), (32, 28), (42, 28)), 0.55, 0.35, (0.4, 0.2)),
    Curve(((16, 34), (26, 36), (36, 38), (44, 38)), 0.5, 0.3, (0.4, 0.2)),
    Curve(((8, 84), (16, 80), (24, 72)), 0.6, 0.35, (0.3, 0.3)),
    Curve(((-14, 76), (-16, 84), (-20, 90)), 0.5, 0.3, (0.3, 0.3)),
    Curve(((-4, 18), (8, 26), (18, 38), (24, 50)), 0.45, 0.25, (0.3, 0.4)),
)
WRIST_LINES = (
    Curve(((-34, 3), (-20, -0.5), (-4, 1.5), (10, 0.5), (22, 1), (34, 4)), 1.0, 1.0, (0.1, 0.1)),
    Curve(((-32, -8), (-16, -10), (0, -8.5), (14, -9.5), (32, -7)), 0.8, 0.6, (0.15, 0.15)),
    Curve(((-26, 8), (-14, 6), (2, 7.5), (16, 6)), 0.6, 0.4, (0.3, 0.3)),
)
VEINS = (
    Curve(
        ((-11, 92), (-9, 80), (-7, 66), (-12, 50), (-16, 34), (-22, 18), (-26, 0), (-26, -30)), 2.6, 0.9, (0.12, 0.05)
    ),
    Curve(((8, 88), (9, 76), (11, 62), (5, 48), (2, 34), (-6, 20), (-14, 6), (-18, -30)), 2.8, 0.85, (0.12, 0.05)),
    Curve(((25, 80), (26, 68), (24, 54), (18, 42), (12, 30), (14, 14), (18, -4), (16, -30)), 2.8, 1.0, (0.12, 0.05)),
    Curve(((-7, 66), (2, 60), (11, 62)), 2.2, 0.7, (0.1, 0.1)),
    Curve(((11, 62), (17, 56), (24, 54)), 2.2, 0.7, (0.1, 0.1)),
    Curve(((5, 48), (12, 44), (18, 42)), 2.0, 0.5, (0.1, 0.1)),
    Curve(((-12, 50), (-22, 52), (-30, 58)), 2.0, 0.45, (0.1, 0.3)),
    Curve(((24, 54), (32, 56), (36, 62)), 2.0, 0.5, (0.1, 0.3)),
    Curve(((12, 30), (2, 34)), 2.0, 0.5, (0.1, 0.1)),
    Curve(((-26, 0), (-38, 16), (-46, 34), (-52, 48)), 2.2, 0.5, (0.1, 0.3)),
)
TENDONS = (
    Curve(((-7, 12), (-12, 40), (-19, 70), (-21, 82)), 4.2, 0.8, (0.35, 0.12)),
    Curve(((-2, 12), (-1.5, 40), (-0.5, 70), (0, 82)), 4.4, 1.0, (0.35, 0.12)),
    Curve(((3, 12), (8, 40), (14.5, 64), (17, 75)), 4.2, 0.95, (0.35, 0.12)),
    Curve(((7, 12), (16, 36), (27, 58), (33, 67)), 3.8, 0.7, (0.35, 0.12)),
    Curve(((-20, 4), (-26, 18), (-36, 38), (-44, 52)), 4.0, 0.55, (0.2, 0.3)),
)

SAMPLES = 5
"""Straight pieces between two points of a curve."""


def drawn(curves: tuple[Curve, ...], plane: Array, broad: float = 1.0) -> Array:
    """(N, 2) -> (N,) in [0, 1]: how much of a line is there. `broad` widens all of them."""
    pieces = jnp.asarray(np.concatenate([_pieces(curve) for curve in curves]), jnp.float32)

    def darker(dark: Array, piece: Array) -> tuple[Array, None]:
        start, end, (first, last, width) = piece[:2], piece[2:4], piece[4:]
        along = end - start
        share = jnp.clip(((plane - start[None]) * along[None]).sum(-1) / (along**2).sum(), 0.0, 1.0)
        square = ((plane - start[None] - share[:, None] * along[None]) ** 2).sum(-1)
        # Width is where the line has faded to a seventh; its flanks are those of a fold, not of a pen.
        line = jnp.exp(-2.0 * square / (broad * width) ** 2) * (first + share * (last - first))
        return jnp.maximum(dark, line), None

    dark, _ = jax.lax.scan(darker, jnp.zeros(plane.shape[0]), pieces)
    return dark


def _pieces(curve: Curve) -> np.ndarray:
    """(P, 7): start, end, strength at both, width."""
    points = np.array(curve.points, float)
    ends = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    share = np.arange(SAMPLES)[:, None] / SAMPLES
    smooth = [_catmull_rom(ends[k : k + 4], share) for k in range(len(points) - 1)]
    smooth = np.concatenate([*smooth, points[-1:]])
    place = np.linspace(0.0, 1.0, len(smooth))
    rise, fall = np.clip(place / curve.fade[0], 0.0, 1.0), np.clip((1.0 - place) / curve.fade[1], 0.0, 1.0)
    strength = curve.strength * rise * fall
    width = np.full(len(smooth) - 1, curve.width_mm)
    return np.column_stack([smooth[:-1], smooth[1:], strength[:-1], strength[1:], width])


def _catmull_rom(points: np.ndarray, share: np.ndarray) -> np.ndarray:
    before, start, end, after = points
    square, cube = share**2, share**3
    return 0.5 * (
        2.0 * start
        + (end - before) * share
        + (2.0 * before - 5.0 * start + 4.0 * end - after) * square
        + (3.0 * (start - end) + after - before) * cube
    )
