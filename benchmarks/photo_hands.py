"""The hands of the photographs that we measure on, as `photo_hands.json` marks them, with their landmark files."""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handjax.detect import SIDE_NAMES, Detection
from handjax.images import read_image
from handjax.keypoint_files import hands_of_image, read_keypoints

MARKS = Path(__file__).with_name("photo_hands.json")
LANDMARKS = "landmarks"
GOOD = "good"


class MarkedHand(NamedTuple):
    """One hand that a person would mark.

    box (4,) x0 y0 x1 y1 px of what is seen of it; side 0 left, 1 right, None where nobody could tell; hard: why one
    has to look twice, or None; keypoints_2d (21, 2) px of a landmark tool, or None; check: whether those fit, "good",
    "minor" (some guessed) or "bad".
    """

    box: np.ndarray
    side: int | None
    hard: str | None = None
    keypoints_2d: np.ndarray | None = None
    check: str | None = None


class MarkedPhoto(NamedTuple):
    """A photograph of (width, height) px and its hands. set_name: the set of real hands from its source, or None."""

    name: str
    path: Path
    size: tuple[int, int]
    set_name: str | None
    hands: list[MarkedHand]


class HandFree(NamedTuple):
    """A rectangle x0 y0 x1 y1 px of a photograph in which no part of a hand is to be seen, and what is instead."""

    path: Path
    box: tuple[int, int, int, int]
    shows: str


def read_marked(
    folder: str | os.PathLike, marks: str | os.PathLike = MARKS
) -> tuple[list[MarkedPhoto], list[HandFree]]:
    """All marked photographs and hand-free rectangles of the folder, whose `landmarks` folder is read too.

    Raises FileNotFoundError for a photograph that is missing, ValueError for one that is not the file that was marked.
    """
    folder = Path(folder)
    stored = json.loads(Path(marks).read_text(encoding="utf-8"))
    keypoints = read_keypoints(folder / LANDMARKS)
    photos = []
    for name, entry in stored["photos"].items():
        path = folder / name
        if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            raise ValueError(f"{path} is not the photograph that was marked: another sha256")
        width, height = entry["size"]
        found = hands_of_image(keypoints, path, width, height)
        detections = [] if found is None else found.detections
        hands = [_marked(path, hand, detections) for hand in entry["hands"]]
        photos.append(MarkedPhoto(name, path, (width, height), entry["set"], hands))
    crops = [HandFree(folder / crop["photo"], tuple(crop["box"]), crop["shows"]) for crop in stored["hand_free"]]
    return photos, crops


def read_crop(crop: HandFree) -> np.ndarray:
    """(h, w, 3) uint8 RGB of the rectangle."""
    left, top, right, bottom = crop.box
    return np.ascontiguousarray(read_image(crop.path)[top:bottom, left:right])


def _marked(path: Path, hand: dict, detections: list[Detection]) -> MarkedHand:
    side = None if hand["side"] is None else SIDE_NAMES.index(hand["side"])
    box, index = np.asarray(hand["box"], np.float32), hand["landmarks"]
    if index is None:
        return MarkedHand(box, side, hand["hard"])
    if index >= len(detections):
        raise ValueError(f"{path} must have landmarks of hand {index}, got those of {len(detections)} hands")
    return MarkedHand(box, side, hand["hard"], detections[index].keypoints_2d, hand["check"])
