"""The hand in each candidate's box: cut out twice, the second time by what was seen the first."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from handjax.detect import LEFT, RIGHT, Detection
from handjax.detector.candidates import Candidate
from handjax.detector.views import View, cut_out, to_picture
from handjax.keypoint_entries import make_detection
from handjax.models.crop_hand import CropKeypoints

Read = Callable[[np.ndarray], CropKeypoints]
"""(N, S, S, 3) uint8 crops of right hands -> their keypoints, for each N of `BATCH_SIZES`."""

FILL = 0.69
"""Longer side of the box around the keypoints over that of the crop: the middle of what is shown in training."""
BATCH_SIZES = (1, 2, 4)
"""Of which functions are compiled. What is over is padding."""
STEP = (0.5, 1.6)
"""The second crop's side over the first's, so that stray keypoints do not lead far away."""
MIRROR = np.array([-1, 1, 1], np.float32)


class Seen(NamedTuple):
    """`CropKeypoints` in NumPy: keypoints_2d (N, 21, 2), confidence (N, 21), joints (N, 21, 3), right (N,)."""

    keypoints_2d: np.ndarray
    confidence: np.ndarray
    joints: np.ndarray
    right: np.ndarray


def hands_at(image: np.ndarray, found: Sequence[Candidate], read: Read, size: int, bone: float) -> list[Detection]:
    """The hand in the box of each candidate, whose score is the root of the candidate's times the mean confidence.

    read: of crops of `size` px. bone: metres of a reference bone. Of each crop the mirror image is read too: the larger
    probability of a right hand times mean confidence decides, since finders know sides less well than shapes.
    """
    if not found:
        return []
    views = [View(one.center, one.side / FILL, one.right < 0.5) for one in found]
    turned = [view._replace(mirrored=not view.mirrored) for view in views]
    both = look(image, views + turned, read, size)
    seen, again = (Seen(*(field[part] for field in both)) for part in np.split(np.arange(2 * len(views)), 2))
    for row in np.flatnonzero(_trust(again) > _trust(seen)):
        views[row] = turned[row]
        for field, other in zip(seen, again, strict=True):
            field[row] = other[row]
    views = [
        tighter(view, to_picture(points, view, size)) for view, points in zip(views, seen.keypoints_2d, strict=True)
    ]
    seen = look(image, views, read, size)
    return [
        detection(one, view, Seen(*(field[row] for field in seen)), size, bone)
        for row, (one, view) in enumerate(zip(found, views, strict=True))
    ]


def tighter(view: View, keypoints_2d: np.ndarray) -> View:
    """The view around the keypoints (21, 2) px that were found in one."""
    low, high = keypoints_2d.min(0), keypoints_2d.max(0)
    side = np.clip((high - low).max() / FILL, STEP[0] * view.side, STEP[1] * view.side)
    return View((low + high) / 2, float(side), view.mirrored)


def detection(one: Candidate, view: View, seen: Seen, size: int, bone: float) -> Detection:
    """What was seen in one crop, unmirrored and in the picture's px; points in space are metres from the root."""
    points = to_picture(seen.keypoints_2d.astype(np.float64), view, size).astype(np.float32)
    space = (bone * seen.joints).astype(np.float32) * (MIRROR if view.mirrored else np.float32(1))
    confidence = np.clip(seen.confidence.astype(np.float32), 0, 1)
    score = float(np.sqrt(one.score * confidence.mean()))
    return make_detection(points, space, LEFT if view.mirrored else RIGHT, score, confidence)


def look(image: np.ndarray, views: Sequence[View], read: Read, size: int) -> Seen:
    """`read` of all views, at least one, in batches of `BATCH_SIZES`; NumPy arrays that may be written to."""
    crops = [cut_out(image, view, size) for view in views]
    parts, first = [], 0
    while first < len(crops):
        left = len(crops) - first
        count = next((size for size in BATCH_SIZES if size >= left), BATCH_SIZES[-1])
        some = crops[first : first + count]
        batch = np.stack(some + [some[-1]] * (count - len(some)))
        parts.append([np.array(field)[: len(some)] for field in read(batch)])
        first += count
    return Seen(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))


def _trust(seen: Seen) -> np.ndarray:
    """(N,) how well the hands look like right ones."""
    return np.asarray(seen.right * seen.confidence.mean(1))
