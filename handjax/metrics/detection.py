"""Detected hands against true ones: overlap, matching in the order of scores, precision, recall and their area.

Matching is NumPy: pictures hold few hands, and their number differs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from handjax.checks import check_last_axes
from handjax.metrics.arrays import length, mask_like, masked_mean, same_kind

# COCO-WholeBody's spread of annotators for the keypoints of a hand, in shares of the root of its area.
HAND_SIGMAS = np.array(
    [2.9, 2.2, 3.5, 3.7, 4.7, 2.6, 2.5, 2.4, 3.5, 1.8, 2.4, 2.2, 2.6, 1.7, 2.1, 2.1, 3.2, 2.0, 1.9, 2.2, 3.1]
) / 100  # fmt: skip
RECALLS = np.linspace(0, 1, 101)
"""Where COCO reads the precision."""


class Matches(NamedTuple):
    """What became of the hands of one picture, detections (P,) by falling score.

    score (P,); correct (P,) bool, matched with a true hand; true (P,) its number or -1; hands: how many there are in
    truth.
    """

    score: np.ndarray
    correct: np.ndarray
    true: np.ndarray
    hands: int


def box_iou(predicted, true):
    """(P, 4), (T, 4) boxes x0 y0 x1 y1 -> (P, T) intersection over union; 0 where both are empty."""
    check_last_axes("predicted", predicted, (4,))
    check_last_axes("true", true, (4,))
    xp, (predicted, true) = same_kind(predicted, true)
    low = xp.maximum(predicted[:, None, :2], true[None, :, :2])
    high = xp.minimum(predicted[:, None, 2:], true[None, :, 2:])
    both = xp.prod(xp.maximum(high - low, 0.0), axis=-1)
    areas = [xp.prod(xp.maximum(box[:, 2:] - box[:, :2], 0.0), axis=-1) for box in (predicted, true)]
    either = areas[0][:, None] + areas[1][None, :] - both
    return xp.where(either > 0, both / xp.where(either > 0, either, 1.0), 0.0)


def keypoint_distance(predicted, true, valid=None):
    """(P, N, d), (T, N, d), valid (T, N) -> (P, T) mean distance over the valid keypoints of the true hand; inf if it
    has none. `match` takes larger for better: hand it the negative."""
    xp, (predicted, true) = same_kind(predicted, true)
    valid = mask_like(xp, valid, true.shape[:-1])
    apart = length(xp, predicted[:, None] - true[None])
    mean = masked_mean(xp, apart, xp.broadcast_to(valid[None], apart.shape))
    return xp.where(xp.isnan(mean), xp.inf, mean)


def keypoint_similarity(predicted, true, area, valid=None, sigmas=HAND_SIGMAS):
    """(P, N, 2), (T, N, 2) px, areas (T,) px^2 of the true hands, valid (T, N) -> (P, T) COCO's OKS; 0 without any
    valid keypoint."""
    xp, (predicted, true, area, sigmas) = same_kind(predicted, true, area, sigmas)
    valid = mask_like(xp, valid, true.shape[:-1])
    squared = xp.sum((predicted[:, None] - true[None]) ** 2, axis=-1)
    spread = 2 * xp.maximum(area, 1e-12)[None, :, None] * (2 * sigmas)[None, None] ** 2
    similar = masked_mean(xp, xp.exp(-squared / spread), xp.broadcast_to(valid[None], squared.shape))
    return xp.where(xp.isnan(similar), 0.0, similar)


def match(similarity, scores, threshold: float) -> Matches:
    """Gives each detection, best score first, the most similar true hand that is left: COCO's greedy matching.

    similarity (P, T), larger is better, e.g. of `box_iou`; scores (P,); a pair needs a similarity >= threshold. Equal
    scores keep their order. Raises ValueError for shapes that do not fit and for nan.
    """
    similarity, scores = np.asarray(similarity, np.float64), np.asarray(scores, np.float64)
    if similarity.ndim != 2 or scores.shape != similarity.shape[:1]:
        raise ValueError(f"similarity must have shape (P, T) and scores (P,), got {similarity.shape}, {scores.shape}")
    if np.isnan(similarity).any() or np.isnan(scores).any():
        raise ValueError("similarity and scores must be numbers, got nan")
    order = np.argsort(-scores, kind="stable")
    left = np.ones(similarity.shape[1], bool)
    true = np.full(len(order), -1)
    for place, detection in enumerate(order):
        allowed = left & (similarity[detection] >= threshold)
        if allowed.any():
            true[place] = np.argmax(np.where(allowed, similarity[detection], -np.inf))
            left[true[place]] = False
    return Matches(scores[order], true >= 0, true, len(left))


def precision_recall(matches: Sequence[Matches], score_threshold: float = -np.inf) -> tuple[float, float]:
    """Over all pictures, of the detections that score at least so much: the share that is right, and the share of true
    hands that they find. nan where there is nothing to divide by."""
    kept = [pictured.correct[pictured.score >= score_threshold] for pictured in matches]
    correct, detected = sum(int(one.sum()) for one in kept), sum(one.size for one in kept)
    count = sum(pictured.hands for pictured in matches)
    return correct / detected if detected else np.nan, correct / count if count else np.nan


def average_precision(matches: Sequence[Matches]) -> float:
    """Area under precision over recall as COCO computes it: the best precision at or beyond each of 101 recalls, mean.

    Of matches at one threshold; COCO's AP is the mean over 0.5, 0.55 ... 0.95. nan if there are no true hands.
    """
    count = sum(pictured.hands for pictured in matches)
    if count == 0:
        return np.nan
    score = np.concatenate([pictured.score for pictured in matches])
    correct = np.concatenate([pictured.correct for pictured in matches])[np.argsort(-score, kind="stable")]
    found = np.cumsum(correct)
    recall, precision = found / count, found / np.arange(1, len(found) + 1)
    best_beyond = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(best_beyond[np.searchsorted(recall, RECALLS, side="left")].mean())
