"""What a hand detector returns, and the removal of hands that it found twice."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

LEFT, RIGHT = 0, 1
SIDE_NAMES = ("left", "right")


class Detection(NamedTuple):
    """One hand in an image. Pixels are continuous: the image spans [0, W] x [0, H].

    box (4,) x0 y0 x1 y1; side 0 left, 1 right; score in [0, 1]; keypoints_2d (21, 2);
    keypoints_3d (21, 3) metres in camera axes up to a translation, or None; confidence (21,) in [0, 1].
    """

    box: np.ndarray
    side: int
    score: float
    keypoints_2d: np.ndarray
    keypoints_3d: np.ndarray | None
    confidence: np.ndarray


Detector = Callable[[np.ndarray], list[Detection]]
"""image (H, W, 3) uint8 RGB -> the hands in it, best first."""


def keypoint_box(keypoints_2d: np.ndarray, confidence: np.ndarray | None = None) -> np.ndarray:
    """(21, 2) -> (4,) x0 y0 x1 y1: the smallest box around the keypoints, those of confidence 0 left out."""
    seen = keypoints_2d if confidence is None or not np.any(confidence > 0) else keypoints_2d[confidence > 0]
    return np.concatenate([seen.min(0), seen.max(0)]).astype(np.float32)


def box_side(box: np.ndarray) -> float:
    """Longer side of x0 y0 x1 y1, pixels."""
    return float(max(box[2] - box[0], box[3] - box[1]))


def largest_side(detections: Sequence[Detection]) -> float:
    """Longer side of the largest hand's box in pixels; 0 without a hand."""
    return max((box_side(detection.box) for detection in detections), default=0.0)


def keypoint_distance(a: Detection, b: Detection) -> float:
    """Mean distance of the 21 keypoints over the longer box side of the larger hand; 0 where they coincide."""
    side = max(box_side(a.box), box_side(b.box), 1e-6)
    return float(np.linalg.norm(a.keypoints_2d - b.keypoints_2d, axis=-1).mean()) / side


def without_duplicates(detections: Sequence[Detection], min_distance: float = 0.15) -> list[Detection]:
    """Best score first, without the hands that lie closer than `min_distance` to a better one.

    The distance is `keypoint_distance`; sides are not compared, so of one hand found once as left and once as
    right the better score decides. Two hands that touch or cross differ by more, unless one hides the other.
    """
    kept: list[Detection] = []
    for candidate in sorted(detections, key=lambda detection: -detection.score):
        if all(keypoint_distance(candidate, better) >= min_distance for better in kept):
            kept.append(candidate)
    return kept
