"""Photographs of real hands with 2D landmarks: six small public sets, for training and measuring.

The folder holds each set's files below its name and `landmarks/NAME.npz` with name (n,), keypoints_px (n, 21, 3), right
(n,) and disagreement_flip (n,): what a landmark tool made of each picture, and how far it disagrees with itself about
the mirror image. Pictures that `benchmarks/photo_hands.json` names as (nearly) the same as a photograph that we measure
on are left out.
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

TRAINING = ("sign_digits", "ti1k", "hands_dataset", "custom_gesture", "rf100_hand_gestures")
"""Sets whose photographers gave their pictures away, so that weights trained on them may be shared."""

MEASURING = ("hands_3d_benchmark",)
"""The photographer is not known: to measure on, not to train with."""

SETS = TRAINING + MEASURING
HANDS_IN_A_PICTURE = {
    "sign_digits": 1,
    "ti1k": 1,
    "hands_dataset": 1,
    "rf100_hand_gestures": 2,
    "hands_3d_benchmark": 1,
}
"""At most so many are to be seen; custom_gesture shows groups of people, and not all their hands are listed."""

FLAWED = frozenset(
    {
        ("ti1k/train/TI1K_IMAGE_0651.jpg", True),
        ("ti1k/train/TI1K_IMAGE_0663.jpg", True),
        ("rf100_hand_gestures/test/images/a_105_jpg.rf.dcebe4c1617026ca30b38f97593c0915.jpg", False),
        ("rf100_hand_gestures/test/images/a_380_jpg.rf.c1d05b6da6d52815986526d52ccccf84.jpg", False),
        ("rf100_hand_gestures/train/images/a_15_jpg.rf.0ea7168cde95bd41e872e4b3790a7bc3.jpg", True),
        ("rf100_hand_gestures/train/images/a_192_jpg.rf.b374bef38c9bf92c992e500964cbb13a.jpg", False),
    }
)
"""(name, right) of hands whose side or fingers are wrong, found by looking at all hands of the sets but sign_digits."""

HELD_OUT_FROM = {"sign_digits": ("IMG_", 5440), "ti1k": ("IMAGE_", 699), "rf100_hand_gestures": ("/a_", 600)}
"""Pictures are numbered as they were taken: later ones show other students, another scene, later frames."""

HELD_OUT_NAMES = {"hands_dataset": ("/35_",), "custom_gesture": ("/take_off/", "/up/", "/video/", "/video_pause/")}
"""Parts of names: one of four rooms, four of fifteen gestures (of the same people)."""

PARTS = ("all", "training", "held_out")
MAX_DISAGREEMENT = 0.05
MEASURED_ON = Path(__file__).resolve().parents[1] / "benchmarks" / "photo_hands.json"


class RealHand(NamedTuple):
    """One hand of a picture: keypoints_px (21, 2) float32, `right` as it appears in the pixels."""

    path: Path
    keypoints_px: np.ndarray
    right: bool
    set_name: str


class Picture(NamedTuple):
    """The hands of one picture. complete: no hand is to be seen that is not listed."""

    path: Path
    hands: list[RealHand]
    complete: bool


def read(
    folder: str | os.PathLike,
    sets: Sequence[str] = TRAINING,
    *,
    part: str = "all",
    measured_on: Path | None = MEASURED_ON,
) -> list[RealHand]:
    """Hands whose landmarks can be trusted, in the order of the sets' landmark files.

    part: "training" or "held_out" for those of which `held_out` is False or True. measured_on: a file of pictures to
    leave out (`pictures_measured_on`); None keeps them all. A picture may show more hands than are listed. Raises
    ValueError for an unknown set or part, FileNotFoundError naming a missing file or picture.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    folder = Path(folder)
    left_out = pictures_measured_on(measured_on) if measured_on else frozenset()
    hands = []
    for set_name in sets:
        if set_name not in SETS:
            raise ValueError(f"sets must be of {', '.join(SETS)}, got {set_name!r}")
        hands += _read_set(folder, set_name, left_out)
    return [hand for hand in hands if part == "all" or held_out(hand) == (part == "held_out")]


def held_out(hand: RealHand) -> bool:
    """Whether a hand is of the part, about a seventh, that is kept for measuring; all of a set not trained on is."""
    name = hand.path.as_posix()
    if hand.set_name in HELD_OUT_FROM:
        before, first = HELD_OUT_FROM[hand.set_name]
        number = re.search(rf"{before}(\d+)", name)
        return number is not None and int(number[1]) >= first
    return any(part in name for part in HELD_OUT_NAMES.get(hand.set_name, ("",)))


def pictures(hands: Sequence[RealHand]) -> list[Picture]:
    """The hands of `read`, picture by picture, in the order of their first hands."""
    together: dict[Path, list[RealHand]] = {}
    for hand in hands:
        together.setdefault(hand.path, []).append(hand)
    return [
        Picture(path, found, len(found) == HANDS_IN_A_PICTURE.get(found[0].set_name))
        for path, found in together.items()
    ]


def pictures_measured_on(file: str | os.PathLike) -> frozenset[str]:
    """Paths below the folder of all `same_as` lists of `benchmarks/photo_hands.json`."""
    photos = json.loads(Path(file).read_text(encoding="utf-8"))["photos"]
    return frozenset(name for photo in photos.values() for name in photo.get("same_as", ()))


def _read_set(folder: Path, set_name: str, left_out: frozenset[str]) -> list[RealHand]:
    with np.load(folder / "landmarks" / f"{set_name}.npz", allow_pickle=False) as stored:
        names, keypoints, right = stored["name"], stored["keypoints_px"][..., :2], stored["right"]
        # Nothing found in the mirror image is nan, which is not below.
        trusted = stored["disagreement_flip"] < MAX_DISAGREEMENT
    hands = [
        RealHand(folder / str(names[row]), keypoints[row].astype(np.float32), bool(right[row]), set_name)
        for row in np.flatnonzero(trusted)
        if str(names[row]) not in left_out and (str(names[row]), bool(right[row])) not in FLAWED
    ]
    for hand in hands:
        if not hand.path.is_file():
            raise FileNotFoundError(f"{hand.path}: has landmarks, but there is no such picture")
    return hands
