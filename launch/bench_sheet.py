"""The worst hands of a method on one picture: what was found in colours, the true keypoints as rings."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from handjax.detector.views import View, cut_out
from handjax.skeleton import draw_keypoints, draw_rings
from launch.bench_figures import Tested, pa_error_mm
from launch.bench_pictures import Picture

CELL, CAPTION = 224, 22
COLUMNS = 8
SHOWN = 16
"""Of each part."""
NOT_FOUND = 4
"""At most so many of these were not found at all, or a part might show nothing else."""
AROUND = 1.5
"""Side of what is shown over the longer side of the hand's box."""
INK = (30, 30, 30)


class Shown(NamedTuple):
    """One hand: its name, error in mm (inf if it was not found), picture, true and found keypoints (21, 2) px."""

    name: str
    error_mm: float
    image: np.ndarray
    true: np.ndarray
    found: np.ndarray


def shown(picture: Picture, hands: Tested) -> list[Shown]:
    """All hands of a picture that was tested."""
    name, errors = f"{picture.part} {picture.number}", pa_error_mm(hands)
    return [
        Shown(f"{name}.{hand}", float(error), picture.image, picture.keypoints_2d[hand], hands.keypoints_2d[hand])
        for hand, error in enumerate(errors)
    ]


def worst(hands: Iterable[Shown]) -> list[Shown]:
    """At most `SHOWN`, the worst first, those not found before all."""
    order = sorted(hands, key=lambda hand: -hand.error_mm)
    missed = [hand for hand in order if np.isinf(hand.error_mm)][:NOT_FOUND]
    return [*missed, *(hand for hand in order if np.isfinite(hand.error_mm))][:SHOWN]


def sheet(hands: Sequence[Shown]) -> np.ndarray:
    """(H, W, 3) uint8 RGB of at least one hand, each with a line of text below."""
    columns = min(COLUMNS, len(hands))
    rows = -(-len(hands) // columns)
    page = np.full((rows * (CELL + CAPTION), columns * CELL, 3), 255, np.uint8)
    for place, hand in enumerate(hands):
        y, x = (place // columns) * (CELL + CAPTION), (place % columns) * CELL
        page[y : y + CELL, x : x + CELL] = _cell(hand)
        error = f"{hand.error_mm:.1f} mm" if np.isfinite(hand.error_mm) else "not found"
        text, where = f"{hand.name}: {error}", (x + 4, y + CELL + CAPTION - 7)
        cv2.putText(page, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    return page


def _cell(hand: Shown) -> np.ndarray:
    low, high = hand.true.min(0), hand.true.max(0)
    view = View((low + high) / 2, AROUND * float(max((high - low).max(), 1.0)))
    picture = cut_out(hand.image, view, CELL)
    if np.isfinite(hand.error_mm):
        draw_keypoints(picture, _in_view(hand.found, view))
    draw_rings(picture, _in_view(hand.true, view))
    return picture


def _in_view(points: np.ndarray, view: View) -> np.ndarray:
    return ((points - view.center) * (CELL / view.side) + CELL / 2).astype(np.float32)
