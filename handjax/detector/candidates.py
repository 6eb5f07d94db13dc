"""Where hands may be: what the finder sees in the whole picture, and for small hands in parts of it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from handjax.detector.views import View, cut_out, to_picture, whole
from handjax.models.hand_finder import FoundHands

Find = Callable[[np.ndarray], FoundHands]
"""(S, S, 3) uint8 -> its hands, in px of that picture."""

TILE = 0.6
"""Of the longer side of a picture, which two tiles beside each other cover with a third of each shared."""
SAME_CENTER, SAME_SIZE = 0.2, 1.5
"""Two boxes are of one hand if their centres are closer than this part of the larger one's side, and their sides differ
by no larger factor."""


class Candidate(NamedTuple):
    """A hand's square box in a picture, px: center (2,), side; score and right in [0, 1]."""

    score: float
    center: np.ndarray
    side: float
    right: float


def candidates(image: np.ndarray, find: Find, size: int, *, threshold: float, tiled: bool) -> list[Candidate]:
    """(H, W, 3) uint8 -> what may be hands, best first and each once; `find` is shown squares of `size` px.

    tiled: the tiles of the picture are searched as well.
    """
    height, width = image.shape[:2]
    views = [whole(width, height), *(tiles(width, height) if tiled else [])]
    found = []
    for view in views:
        valid, scores, centers, sides, rights = (np.asarray(field) for field in find(cut_out(image, view, size)))
        for slot in np.flatnonzero(valid & (scores >= threshold)):
            center = to_picture(centers[slot].astype(np.float64), view, size)
            side = float(sides[slot]) * view.side / size
            one = Candidate(float(scores[slot]), center, max(side, 1.0), float(rights[slot]))
            if not _cut(one, view, (width, height)):
                found.append(one)
    kept: list[Candidate] = []
    for one in sorted(found, key=lambda one: -one.score):
        if not any(_same(one, better) for better in kept):
            kept.append(one)
    return kept


def tiles(width: int, height: int) -> list[View]:
    """Squares of `TILE` of the longer side that overlap and together show the whole picture: two or four."""
    side = TILE * max(width, height)
    xs, ys = (
        [side / 2, length - side / 2] if length > side else [length / 2] for length in (float(width), float(height))
    )
    return [View(np.array([x, y]), side) for y in ys for x in xs]


def _cut(one: Candidate, view: View, frame: tuple[int, int]) -> bool:
    """Whether a box leaves its view where the picture goes on: the hand is seen in another view, and whole."""
    low, high = one.center - one.side / 2, one.center + one.side / 2
    left, right = view.center - view.side / 2, view.center + view.side / 2
    return bool(((low < left) & (left > 0.5)).any() or ((high > right) & (right < np.array(frame) - 0.5)).any())


def _same(one: Candidate, other: Candidate) -> bool:
    small, large = sorted([one.side, other.side])
    return large <= SAME_SIZE * small and float(np.linalg.norm(one.center - other.center)) < SAME_CENTER * large
