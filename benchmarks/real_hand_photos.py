"""Real hands with the landmarks of a tool, as photographs with marked hands."""

import os

import numpy as np

from benchmarks.photo_hands import GOOD, MarkedHand, MarkedPhoto
from benchmarks.photo_scores import hand_box
from handjax.detect import LEFT, RIGHT
from handjax.images import read_image
from handjax.keypoint_entries import make_detection
from launch import real_hands


def read_set(folder: str | os.PathLike, set_name: str, most: int, part: str = "held_out") -> list[MarkedPhoto]:
    """At most so many pictures of a part of the set, spread over it evenly, with the hands whose landmarks are good.

    Boxes are those around the landmarks. A picture may show more hands than are listed, so precision says nothing.
    """
    pictures = real_hands.pictures(real_hands.read(folder, (set_name,), part=part))
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(most, len(pictures))).round().astype(int))
    return [_marked(pictures[index]) for index in chosen]


def _marked(picture: real_hands.Picture) -> MarkedPhoto:
    height, width = read_image(picture.path).shape[:2]
    hands = []
    for hand in picture.hands:
        side = RIGHT if hand.right else LEFT
        box = hand_box(make_detection(hand.keypoints_px, None, side, 1.0, None), (width, height))
        hands.append(MarkedHand(box, side, None, hand.keypoints_px, GOOD))
    return MarkedPhoto(picture.path.name, picture.path, (width, height), picture.hands[0].set_name, hands)
