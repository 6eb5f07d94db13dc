"""From one JSON entry to checked detections; every error names the file and the field."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handjax.detect import SIDE_NAMES, Detection, keypoint_box

KEYPOINTS = 21
LARGEST_NUMBER = 1e9


class KeypointError(ValueError):
    """A keypoint file that cannot be used; the message names the file, the field and what is wrong."""


class ImageHands(NamedTuple):
    """The hands of one image or frame: detections, the (width, height) they refer to or None, and their checks.

    checks[h] is what a reader noted of detections[h], such as "good" or "bad", or None; the list may be empty.
    """

    detections: list[Detection]
    size: tuple[int, int] | None
    checks: list[str | None]


class EntryReader(NamedTuple):
    """Reads the fields of a file: `path` for the messages, `side` for hands that name none."""

    path: Path
    side: str | None

    def entry(self, entry, where: str) -> ImageHands:
        """{"width", "height", "hands"} -> the hands. A bare list of points is accepted too."""
        if isinstance(entry, list):
            return self.plain_lists(entry, where)
        fields = self.mapping(entry, where or "the document")
        place = where + "." if where else ""
        if "hands" not in fields:
            raise self.error(place + "hands", "is missing")
        hands = self.sequence(fields["hands"], place + "hands")
        detections = [self.hand(hand, f"{place}hands[{i}]") for i, hand in enumerate(hands)]
        checks = [self.text(hand.get("check"), f"{place}hands[{i}].check") for i, hand in enumerate(hands)]
        return ImageHands(detections, self.size(fields, place), checks)

    def hand(self, hand, where: str) -> Detection:
        fields = self.mapping(hand, where)
        if "keypoints_2d" in fields:
            keypoints_2d = self.points(fields["keypoints_2d"], (2,), where + ".keypoints_2d")
        elif "keypoints_px" in fields:
            keypoints_2d = self.points(fields["keypoints_px"], (2, 3), where + ".keypoints_px")[:, :2]
        else:
            raise self.error(where + ".keypoints_2d", "is missing")
        name_3d = "keypoints_3d" if "keypoints_3d" in fields else "keypoints_world_m"
        points_3d = fields.get(name_3d)
        confidence = fields.get("confidence")
        return make_detection(
            keypoints_2d,
            None if points_3d is None else self.points(points_3d, (3,), f"{where}.{name_3d}"),
            self.side_of(fields, where),
            self.unit(fields.get("score", fields.get("handedness_score", 1.0)), where + ".score"),
            None if confidence is None else self.confidence(confidence, where + ".confidence"),
        )

    def plain_lists(self, lists, where: str = "") -> ImageHands:
        """(21, 2) or (N, 21, 2) nested lists."""
        label = where or "the document"
        outer = self.sequence(lists, label)
        if not outer:
            return ImageHands([], None, [])
        side = self.side_of({}, label)
        if all(isinstance(hand, list) and hand and isinstance(hand[0], list) for hand in outer):
            hands = [self.points(hand, (2,), f"{label}[{i}]") for i, hand in enumerate(outer)]
        else:
            hands = [self.points(outer, (2,), label)]
        detections = [make_detection(hand, None, side, 1.0, None) for hand in hands]
        return ImageHands(detections, None, [None] * len(detections))

    def points(self, value, columns: tuple[int, ...], where: str) -> np.ndarray:
        rows = self.sequence(value, where)
        if len(rows) != KEYPOINTS:
            raise self.error(where, f"must have {KEYPOINTS} points, got {len(rows)}")
        wanted = " or ".join(map(str, columns))
        for k, row in enumerate(rows):
            if not isinstance(row, list) or len(row) not in columns or len(row) != len(rows[0]):
                raise self.error(f"{where}[{k}]", f"must be a list of {wanted} numbers, got {_short(row)}")
            for number in row:
                self.number(number, f"{where}[{k}]")
        return np.asarray(rows, np.float32)

    def confidence(self, value, where: str) -> np.ndarray:
        numbers = self.sequence(value, where)
        if len(numbers) != KEYPOINTS:
            raise self.error(where, f"must have {KEYPOINTS} numbers, got {len(numbers)}")
        return np.asarray([self.unit(c, f"{where}[{k}]") for k, c in enumerate(numbers)], np.float32)

    def side_of(self, fields: Mapping, where: str) -> int:
        for name in ("side", "handedness_checked", "handedness"):
            if fields.get(name) is not None:
                side = str(fields[name]).lower()
                if side not in SIDE_NAMES:
                    raise self.error(f"{where}.{name}", f"must be left or right, got {_short(fields[name])}")
                return SIDE_NAMES.index(side)
        if self.side is None:
            raise self.error(where, "names no side; say whether the hands are left or right")
        return SIDE_NAMES.index(self.side)

    def size(self, fields: Mapping, place: str) -> tuple[int, int] | None:
        if "width" not in fields and "height" not in fields:
            return None
        return self.length(fields.get("width"), place + "width"), self.length(fields.get("height"), place + "height")

    def length(self, value, where: str) -> int:
        if self.number(value, where) != int(value) or value <= 0:
            raise self.error(where, f"must be a whole positive number, got {_short(value)}")
        return int(value)

    def unit(self, value, where: str) -> float:
        if not 0 <= self.number(value, where) <= 1:
            raise self.error(where, f"must lie in [0, 1], got {_short(value)}")
        return float(value)

    def number(self, value, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(where, f"must be a number, got {_short(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(where, f"must be finite, got {value}")
        if abs(value) > LARGEST_NUMBER:
            raise self.error(where, f"must be below {LARGEST_NUMBER:g} in size, got {_short(value)}")
        return value

    def mapping(self, value, where: str) -> Mapping:
        if not isinstance(value, dict):
            raise self.error(where, f"must be an object, got {_short(value)}")
        return value

    def sequence(self, value, where: str) -> Sequence:
        if not isinstance(value, list):
            raise self.error(where, f"must be a list, got {_short(value)}")
        return value

    def text(self, value, where: str) -> str | None:
        if value is not None and not isinstance(value, str):
            raise self.error(where, f"must be a text, got {_short(value)}")
        return value

    def error(self, where: str, problem: str) -> KeypointError:
        return KeypointError(f"{self.path}: {where} {problem}")


def make_detection(
    keypoints_2d: np.ndarray,
    keypoints_3d: np.ndarray | None,
    side: int,
    score: float,
    confidence: np.ndarray | None,
) -> Detection:
    """A Detection with its box drawn around the keypoints; confidence defaults to ones."""
    confidence = np.ones(KEYPOINTS, np.float32) if confidence is None else confidence
    box = keypoint_box(keypoints_2d, confidence)
    return Detection(box, side, score, keypoints_2d, keypoints_3d, confidence)


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
