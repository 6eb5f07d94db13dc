"""Pictures without hands, and how often a detector sees one in them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.photo_hands import HandFree, read_crop
from datasets.synthetic import batch, frame
from handjax.detect import Detection, Detector

SEED = 2026
AT_ONCE = 16


class Empty(NamedTuple):
    """A picture (H, W, 3) uint8 without a hand, what it shows, and what a detector found all the same."""

    name: str
    shows: str
    picture: np.ndarray
    detections: list[Detection]


def search_crops(detect: Detector, crops: Sequence[HandFree]) -> list[Empty]:
    """The hand-free rectangles of photographs, each as a picture of its own."""
    found = []
    for crop in crops:
        picture = read_crop(crop)
        corners = " ".join(map(str, crop.box))
        found.append(Empty(f"{crop.path.name} {corners}", crop.shows, picture, list(detect(picture))))
    return found


def search_scenes(detect: Detector, count: int, size: tuple[int, int] = (288, 384)) -> list[Empty]:
    """Rendered scenes with people, things and bare arms, but no hand."""
    return [
        Empty(f"scene {index}", "scene", scene, list(detect(scene))) for index, scene in enumerate(scenes(count, size))
    ]


def scenes(count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """The first `count` frames (H, W, 3) uint8 of a fixed seed that show no pixel of a hand."""
    settings, empty, key = frame(size, hands=(0, 1)), [], jax.random.key(SEED)
    while len(empty) < count:
        key, draw = jax.random.split(key)
        drawn = batch(draw, AT_ONCE, settings)
        blank = ~np.asarray(drawn["valid"]).any(1) & (np.asarray(drawn["mask"]) == 0).all((1, 2))
        empty += list(np.asarray(drawn["image"])[blank])
    return empty[:count]


def quiet_share(searched: Sequence[Empty]) -> float:
    """Share of the pictures in which nothing was found; nan of none."""
    return float(np.mean([not empty.detections for empty in searched])) if searched else np.nan
