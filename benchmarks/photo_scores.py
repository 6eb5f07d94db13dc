"""Detections in photographs against hands marked by eye: what is found, on which side, and where its keypoints are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.photo_hands import GOOD, MarkedHand, MarkedPhoto
from handjax.detect import Detection, box_side, keypoint_box
from handjax.metrics.curves import pck
from handjax.metrics.detection import Matches, average_precision, box_iou, match, precision_recall

PADDING = 0.06
"""By so much of its longer side a box of keypoints grows on every side: knuckles and fingertips lie inside the skin. Of
good landmarks that gives the best overlap with marked boxes (0.90 in the mean)."""

MIN_IOU = 0.5
NEAR = 0.5
"""A hand is near a marked one if the centres of their boxes are closer than so much of the marked box's longer side."""

PCK_AT = (0.1, 0.2)
JOINTS = {
    "wrist": (0,),
    "thumb": (1, 2, 3),
    "knuckles": (5, 9, 13, 17),
    "middles": (6, 7, 10, 11, 14, 15, 18, 19),
    "tips": (4, 8, 12, 16, 20),
}


class Judged(NamedTuple):
    """One photograph with what a detector found, best first.

    by_overlap: matches of which the boxes overlap by `MIN_IOU`; by_centre: of which the centres are `NEAR`.
    """

    photo: MarkedPhoto
    detections: list[Detection]
    by_overlap: Matches
    by_centre: Matches


class Scores(NamedTuple):
    """Of some marked hands: how many, and shares in [0, 1], nan where there is nothing to divide by.

    recall: hands found, by overlap; near: hands found, by centres. side: of the hands found whose side is known, those
    of the right side. landmarks: how many have landmarks to compare with. pck_found (T,): of the keypoints of those
    that were found, the share off by at most `PCK_AT` of the longer side of the landmarks' box; pck_all (T,): of all of
    them, the keypoints of missed hands being wrong. median: error of the keypoints of those found.
    """

    hands: int
    recall: float
    near: float
    side: float
    landmarks: int
    pck_found: np.ndarray
    pck_all: np.ndarray
    median: float


def judge(photo: MarkedPhoto, detections: Sequence[Detection]) -> Judged:
    """Matches detections and marked hands, greedily in the order of scores as COCO does.

    The box of a detection is that of its keypoints, grown by `PADDING` and cut at the photograph's border.
    """
    detections = sorted(detections, key=lambda detection: -detection.score)
    scores = np.array([detection.score for detection in detections])
    boxes = np.array([hand_box(detection, photo.size) for detection in detections]).reshape(-1, 4)
    marked = np.array([hand.box for hand in photo.hands]).reshape(-1, 4)
    centres, truth = 0.5 * (boxes[:, :2] + boxes[:, 2:]), 0.5 * (marked[:, :2] + marked[:, 2:])
    sides = (marked[:, 2:] - marked[:, :2]).max(-1, initial=0.0)
    apart = np.linalg.norm(centres[:, None] - truth[None], axis=-1) / np.maximum(sides, 1e-6)
    overlap = np.asarray(box_iou(boxes, marked))
    return Judged(photo, detections, match(overlap, scores, MIN_IOU), match(-apart, scores, -NEAR))


def hand_box(detection: Detection, size: tuple[int, int]) -> np.ndarray:
    """(4,) x0 y0 x1 y1 around what is seen of the hand in a photograph of (width, height)."""
    box = keypoint_box(detection.keypoints_2d, detection.confidence)
    grown = box + PADDING * box_side(box) * np.array([-1, -1, 1, 1], np.float32)
    return np.clip(grown, 0.0, np.array([*size, *size], np.float32))


def finders(judged: Judged) -> list[Detection | None]:
    """For each marked hand the detection that found it, by overlap, or None."""
    found: list[Detection | None] = [None] * len(judged.photo.hands)
    for detection, hand in zip(judged.detections, judged.by_overlap.true, strict=True):
        if hand >= 0:
            found[hand] = detection
    return found


def keypoint_errors(hand: MarkedHand, finder: Detection | None) -> np.ndarray:
    """(21,) distances to the landmarks over the longer side of their box; inf without a detection."""
    assert hand.keypoints_2d is not None
    if finder is None:
        return np.full(21, np.inf)
    side = box_side(keypoint_box(hand.keypoints_2d))
    return np.linalg.norm(finder.keypoints_2d - hand.keypoints_2d, axis=-1) / side


def score(
    judged: Iterable[Judged],
    of: Callable[[MarkedHand], bool] = lambda hand: True,
    checks: Sequence[str] = (GOOD,),
) -> Scores:
    """Over the hands for which `of` holds; keypoints only of those whose landmarks passed one of `checks`."""
    found, near, sides, errors = [], [], [], []
    for one in judged:
        close = set(one.by_centre.true.tolist())
        for index, (hand, finder) in enumerate(zip(one.photo.hands, finders(one), strict=True)):
            if not of(hand):
                continue
            found.append(finder is not None)
            near.append(index in close)
            if finder is not None and hand.side is not None:
                sides.append(finder.side == hand.side)
            if hand.keypoints_2d is not None and hand.check in checks:
                errors.append(keypoint_errors(hand, finder))
    shares = np.array(errors).reshape(-1, 21)
    seen = shares[np.isfinite(shares).all(-1)]
    median = float(np.median(seen)) if len(seen) else np.nan
    return Scores(len(found), _share(found), _share(near), _share(sides), len(shares), _pck(seen), _pck(shares), median)


def joint_scores(judged: Iterable[Judged], checks: Sequence[str] = (GOOD,)) -> Mapping[str, np.ndarray]:
    """(T,) PCK of the keypoints of hands found, for each group of `JOINTS`."""
    pairs = [(hand, finder) for one in judged for hand, finder in zip(one.photo.hands, finders(one), strict=True)]
    errors = [keypoint_errors(hand, finder) for hand, finder in pairs if finder is not None and hand.check in checks]
    shares = np.array(errors).reshape(-1, 21)
    return {name: _pck(shares[:, list(joints)]) for name, joints in JOINTS.items()}


def precision(judged: Sequence[Judged]) -> tuple[float, float]:
    """Share of the detections that found a hand, and the average precision; both by overlap."""
    matches = [one.by_overlap for one in judged]
    return precision_recall(matches)[0], average_precision(matches)


def _share(flags: Sequence[bool]) -> float:
    return float(np.mean(flags)) if flags else np.nan


def _pck(shares: np.ndarray) -> np.ndarray:
    if not shares.size:
        return np.full(len(PCK_AT), np.nan)
    # All keypoints are compared, so the mean over joints of the shares is the share of all.
    return np.asarray(pck(shares, np.array(PCK_AT)), np.float64)
