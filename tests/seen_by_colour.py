"""Stand-ins for the default model's networks, which know the hands of a picture, and see where they look by colours."""

import numpy as np

from handjax.detect import RIGHT, keypoint_box
from handjax.detector.crops import BATCH_SIZES
from handjax.models.crop_hand import CropKeypoints
from handjax.models.hand_finder import FoundHands

WIDTH, HEIGHT = 255, 170
LEVELS, BACK = 1.0, 0.6
"""By how much red grows with x and green with y, a pixel, and blue falls with both."""
SHAPE = np.array(
    [[0, 0], [-22, -14], [-36, -30], [-44, -46], [-50, -60], [-14, -50], [-18, -72], [-20, -86], [-22, -98]]
    + [[0, -52], [-1, -78], [-2, -94], [-2, -108], [13, -48], [16, -72], [18, -86], [20, -98], [25, -40]]
    + [[32, -56], [36, -68], [40, -78]],
    float,
)
DEPTHS = np.linspace(-0.4, 0.5, 21)


def ramp(width=WIDTH, height=HEIGHT):
    """A picture whose colours say where each of its pixels is."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    picture = np.stack([LEVELS * x, LEVELS * y, 255 - BACK * (x + y)], -1)
    noise = np.random.default_rng(0).uniform(size=picture.shape)
    # Rounded by chance, so that means over many pixels know fractions of a level.
    return np.clip(np.floor(picture + noise), 0, 255).astype(np.uint8)


def affine_seen(crop):
    """(2, 3): px of the crop -> px of the picture, upright or mirrored, from nothing but the crop's colours.

    Of their differences: averages of 2 x 2 pixels are rounded up, by the same in each colour.
    """
    size = crop.shape[0]
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    there = np.pad(crop.any(-1), 1, mode="edge")
    inside = np.all([there[i : i + size, j : j + size] for i in range(3) for j in range(3)], axis=0)
    red, green, blue = np.moveaxis(crop[inside].astype(float), -1, 0)
    difference, total = (red - green) / LEVELS, ((red + green) / 2 - blue + 255) / (LEVELS / 2 + BACK)
    seen = np.stack([total + difference, total - difference], -1) / 2
    placed = np.stack([x[inside], y[inside]], -1)
    middle, seen_middle = placed.mean(0), seen.mean(0)
    signs = np.array([np.sign(((placed - middle) * (seen - seen_middle))[:, 0].sum()), 1.0])
    zoom = ((placed - middle) * (seen - seen_middle) * signs).sum() / np.square(placed - middle).sum()
    return np.column_stack([zoom * np.diag(signs), seen_middle - zoom * signs * middle])


def into(affine, points):
    """px of the picture -> px of the crop."""
    return (points - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T


class Hand:
    """A hand at a known place of a picture: a shape by a scale and a turn, or points (21, 2) px and space (21, 3)."""

    def __init__(self, place, scale=1.0, turn=0.3, side=RIGHT, score=0.81, guess=None, points=None, space=None):
        shape = SHAPE * [1 if side == RIGHT else -1, 1]
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        self.points = np.array(place) + scale * shape @ rotation.T if points is None else points
        self.side, self.score = side, score
        self.depths, self.bone = DEPTHS, np.linalg.norm(self.points[0] - self.points[9])
        if space is not None:
            # As scaled orthography sees it: pixels of a metre, times the bone.
            metres = np.linalg.norm(space[0] - space[9])
            flat, seen = space[:, :2] - space[9, :2], self.points - self.points[9]
            self.depths, self.bone = (
                (space[:, 2] - space[9, 2]) / metres,
                metres * (flat * seen).sum() / (flat**2).sum(),
            )
        self.guess = side if guess is None else guess
        box = keypoint_box(self.points).astype(float)
        self.center, self.length = (box[:2] + box[2:]) / 2, max(box[2:] - box[:2])


class Networks:
    """Functions that see where they look by the picture's colours, and know the hands."""

    def __init__(self, *hands, shift=0.0, grow=1.0):
        self.hands, self.shift, self.grow = hands, shift, grow
        self.shown, self.batches = [], []

    def find(self, picture):
        affine = affine_seen(picture)
        self.shown.append(affine)
        zoom = 1 / abs(affine[0, 0])
        size = picture.shape[0]
        centers = np.array([into(affine, hand.center + self.shift * hand.length) for hand in self.hands]).reshape(-1, 2)
        inside = ((centers > 0) & (centers < size)).all(-1)
        return FoundHands(
            inside,
            np.array([hand.score for hand in self.hands]),
            centers,
            np.array([hand.length * zoom * self.grow for hand in self.hands]),
            np.array([0.9 if hand.guess == RIGHT else 0.1 for hand in self.hands]),
        )

    def read(self, crops):
        assert len(crops) in BATCH_SIZES
        self.batches.append(len(crops))
        rows = [self.row(crop) for crop in crops]
        return CropKeypoints(*map(np.array, zip(*rows, strict=True)))

    def row(self, crop):
        affine = affine_seen(crop)
        size = crop.shape[0]
        middle = affine[:, :2] @ [size / 2, size / 2] + affine[:, 2]
        hand = min(self.hands, key=lambda hand: np.linalg.norm(hand.center - middle))
        points = into(affine, hand.points)
        looks_right = (np.linalg.det(affine[:, :2]) > 0) == (hand.side == RIGHT)
        zoom = 1 / abs(affine[0, 0])
        joints = np.column_stack([(points - points[9]) / (zoom * hand.bone), hand.depths])
        confidence = np.full(21, 0.64 if looks_right else 0.3)
        return points, confidence, joints, 0.9 if looks_right else 0.1
