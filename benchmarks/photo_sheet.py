"""The photographs in which a detector went wrong, worst first, as one HTML page with its pictures beside it."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from benchmarks.hand_free import Empty
from benchmarks.photo_hands import GOOD
from benchmarks.photo_scores import Judged, finders, hand_box, keypoint_errors
from handjax.detect import SIDE_NAMES, Detection
from handjax.export.files import write_bytes
from handjax.images import read_image
from handjax.skeleton import draw_keypoints

PAGE = "index.html"
LONGER_SIDE = 720
FOUND, MISSED, EXTRA = (60, 190, 90), (230, 50, 50), (250, 170, 40)
"""Colours of marked hands found, marked hands missed, and detections that are no marked hand."""

OFF, MANY_OFF = 0.2, 0.2
"""A keypoint is off by more than so much of the box, and a hand is wrong if more than so many of its keypoints are."""

STYLE = "body{font:15px sans-serif;margin:2em}figure{display:inline-block;margin:1em;vertical-align:top;max-width:45em}"


class Fault(NamedTuple):
    """What is wrong with one photograph: how bad (number of hands, parts of hands), and in words."""

    weight: float
    words: list[str]


def fault(judged: Judged) -> Fault:
    """Missed hands weigh 1, hands of the wrong side and detections of nothing a half, keypoints their share of one."""
    weight, words = 0.0, []
    for number, (hand, finder) in enumerate(zip(judged.photo.hands, finders(judged), strict=True)):
        what = f"hand {number}" + (f" ({hand.hard})" if hand.hard else "")
        if finder is None:
            weight, words = weight + 1.0, [*words, f"{what} missed"]
            continue
        if hand.side is not None and finder.side != hand.side:
            weight, words = weight + 0.5, [*words, f"{what} is {SIDE_NAMES[hand.side]}, not {SIDE_NAMES[finder.side]}"]
        if hand.check == GOOD:
            errors = keypoint_errors(hand, finder)
            share = float((errors > OFF).mean())
            if share > MANY_OFF:
                weight += share
                words = [*words, f"{what}: {share:.0%} of keypoints off, median {np.median(errors):.2f} of the box"]
    extra = int((~judged.by_overlap.correct).sum())
    return Fault(weight + 0.5 * extra, [*words, f"{extra} found that are no marked hand"] if extra else words)


def write_failures(folder: Path, judged: Sequence[Judged], searched: Sequence[Empty]) -> int:
    """Writes the page and its pictures into the folder, made if need be; -> how many pictures are on it."""
    folder.mkdir(parents=True, exist_ok=True)
    faults = sorted(((fault(one), one) for one in judged), key=lambda pair: -pair[0].weight)
    shown = [(one.photo.name, words, draw_judged(one)) for (weight, words), one in faults if weight > 0]
    shown += [
        (empty.name, [f"{len(empty.detections)} found in a picture without hands ({empty.shows})"], _draw_empty(empty))
        for empty in searched
        if empty.detections
    ]
    cards = []
    for number, (name, words, picture) in enumerate(shown):
        file = f"{number:03d}.jpg"
        write_bytes(folder / file, _jpeg(picture))
        caption = html.escape(f"{name}: {'; '.join(words)}")
        cards.append(f'<figure><img src="{file}" alt="{html.escape(name)}"><figcaption>{caption}</figcaption></figure>')
    head = f"<!doctype html><meta charset=utf-8><title>Failures</title><style>{STYLE}</style><h1>Failures</h1>"
    key = "<p>Marked hands: green found, red missed. Amber: what is no marked hand. Worst first.</p>"
    write_bytes(folder / PAGE, "\n".join([head, key, *cards]).encode())
    return len(shown)


def draw_judged(judged: Judged) -> np.ndarray:
    """(h, w, 3) uint8: the photograph at `LONGER_SIDE` with marked boxes and found keypoints."""
    picture, scale = _resized(read_image(judged.photo.path))
    for number, (hand, finder) in enumerate(zip(judged.photo.hands, finders(judged), strict=True)):
        side = "?" if hand.side is None else SIDE_NAMES[hand.side][0]
        _rectangle(picture, hand.box * scale, MISSED if finder is None else FOUND, f"{number}{side}")
    for detection, correct in zip(judged.detections, judged.by_overlap.correct, strict=True):
        _draw_detection(picture, detection, scale, None if correct else hand_box(detection, judged.photo.size))
    return picture


def _draw_empty(empty: Empty) -> np.ndarray:
    picture, scale = _resized(empty.picture)
    for detection in empty.detections:
        _draw_detection(picture, detection, scale, detection.box)
    return picture


def _draw_detection(picture: np.ndarray, detection: Detection, scale: float, box: np.ndarray | None) -> None:
    draw_keypoints(picture, detection.keypoints_2d * scale, detection.confidence)
    if box is not None:
        _rectangle(picture, box * scale, EXTRA, f"{SIDE_NAMES[detection.side][0]} {detection.score:.2f}")


def _rectangle(picture: np.ndarray, box: np.ndarray, color: tuple[int, int, int], words: str) -> None:
    left, top, right, bottom = np.round(box).astype(int).tolist()
    cv2.rectangle(picture, (left, top), (right, bottom), color, 2)
    cv2.putText(picture, words, (left + 3, top + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, 1, cv2.LINE_AA)


def _resized(image: np.ndarray) -> tuple[np.ndarray, float]:
    scale = LONGER_SIDE / max(image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=method), scale


def _jpeg(picture: np.ndarray) -> bytes:
    ok, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not ok:
        raise RuntimeError("the picture could not be encoded as JPEG")
    return data.tobytes()
