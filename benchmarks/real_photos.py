"""How well a detector sees the hands of real photographs, and whether it sees hands where there are none.

python -m benchmarks.real_photos --photos=DIR --out=DIR [--set=scales=2 --set=max_hands=20]
python -m benchmarks.real_photos --photos=DIR --out=DIR --detector=package.module:make [--set=NAME=VALUE ...]
python -m benchmarks.real_photos --photos=DIR --out=DIR --mediapipe=hand_landmarker.task

DIR is the folder of the photographs that `photo_hands.json` marks. `make` is called with what `--set` says, and gives a
`handjax.detect.Detector`. A hand is found if the box of the keypoints (grown by 0.06 of its longer side) overlaps the
marked one by an IoU of at least 0.5, best score first, one detection a hand; `near` counts hands of which the centres
of the boxes are closer than half of the marked box's longer side. Side: of those found. PCK: keypoints within 0.1 and
0.2 of the longer side of the landmarks' box, of hands whose landmarks are good, over those found and over all, those
missed counting as wrong. The landmarks are of a tool, MediaPipe: its own PCK means nothing. Photographs from the source
of a set that was trained on (never these very pictures) are reported apart, and so are hands of those sets
(`--real_hands=DIR`; by default those that `launch.real_hands.read(part="training")` leaves out), hand-free rectangles
of the photographs, and rendered scenes. What failed is in OUT/index.html, worst first; all figures are in
OUT/scores.json.
"""

import argparse
import ast
import importlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import hand_free, machine
from benchmarks.photo_hands import GOOD, MARKS, MarkedHand, MarkedPhoto, read_marked
from benchmarks.photo_scores import Judged, Scores, joint_scores, judge, precision, score
from benchmarks.photo_sheet import write_failures
from benchmarks.real_hand_photos import read_set
from handjax.detect import Detector
from handjax.export.files import write_bytes
from handjax.images import read_image
from launch.real_hands import PARTS, SETS, TRAINING

DEFAULT = "handjax.detector.default:default_detector"
ASKED = {"recall": 0.85, "side": 0.9, "0.1": 0.65, "0.2": 0.85, "quiet": 0.95}
HEADINGS = ("hands", "n", "recall", "near", "side", "landmarks", "@0.1", "@0.2", "@0.1 all", "@0.2 all", "median")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What a detector makes of real photographs")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--marks", type=Path, default=MARKS, help="where the hands of the photographs are marked")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--detector", default=DEFAULT, help="package.module:function, which gives a detector")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="for that function")
    parser.add_argument("--mediapipe", type=Path, help="a hand_landmarker.task, in place of --detector")
    parser.add_argument("--min_score", type=float, default=0.0, help="of the detections that count")
    parser.add_argument("--trained_on", default=",".join(TRAINING), help="sets trained on, separated by commas")
    parser.add_argument("--real_hands", type=Path)
    parser.add_argument("--part", default="held_out", choices=PARTS, help="of the sets of real hands")
    parser.add_argument("--most", type=int, default=200, help="pictures of each set of real hands")
    parser.add_argument("--scenes", type=int, default=50)
    arguments = parser.parse_args(argv)
    detect = _confident(_detector(parser, arguments), arguments.min_score)
    photos, crops = read_marked(arguments.photos, arguments.marks)
    print(machine.describe("jax"))
    judged, seconds = run(detect, photos)
    print(f"\n{len(photos)} photographs, {1e3 * np.median(seconds):.0f} ms in the middle, {max(seconds):.1f} s at most")
    groups = photo_rows(judged, [name for name in arguments.trained_on.split(",") if name])
    scores: dict[str, Any] = {"photos": report(groups), "joints": report_joints(judged)}
    scores["precision"], scores["average_precision"] = precision(judged)
    print(f"\nprecision {scores['precision']:.3f}, average precision {scores['average_precision']:.3f}")
    print("\n" + verdict(groups["all hands"]))
    if arguments.real_hands is not None:
        sets = {
            name: run(detect, read_set(arguments.real_hands, name, arguments.most, arguments.part))[0] for name in SETS
        }
        print(f"\nreal hands, part {arguments.part}")
        scores["real_hands"] = report({name: score(of_set) for name, of_set in sets.items()})
    searched = hand_free.search_crops(detect, crops) + hand_free.search_scenes(detect, arguments.scenes)
    scores["quiet"] = report_quiet(searched)
    shown = write_failures(arguments.out, judged, searched)
    write_bytes(arguments.out / "scores.json", json.dumps(_plain(scores), indent=1).encode())
    print(f"\n{shown} failures: {arguments.out / 'index.html'}")


def run(detect: Detector, photos: Sequence[MarkedPhoto]) -> tuple[list[Judged], list[float]]:
    """What the detector makes of each photograph, and in how many seconds."""
    judged, seconds = [], []
    for photo in photos:
        image = read_image(photo.path)
        start = time.perf_counter()
        detections = detect(image)
        seconds.append(time.perf_counter() - start)
        judged.append(judge(photo, detections))
    return judged, seconds


def photo_rows(judged: Sequence[Judged], trained_on: Sequence[str]) -> dict[str, Scores]:
    """Scores of all hands, of easy and hard ones, and by the source of the photographs."""
    easy = [one for one in judged if one.photo.set_name in trained_on]
    other = [one for one in judged if one.photo.set_name not in trained_on]
    plain: Callable[[MarkedHand], bool] = lambda hand: hand.hard is None  # noqa: E731
    rows = {
        "all hands": score(judged),
        "all hands, landmarks good or minor": score(judged, checks=(GOOD, "minor")),
        "plain hands": score(judged, plain),
        "hard hands": score(judged, lambda hand: hand.hard is not None),
        "source trained on": score(easy),
        "source never trained on": score(other),
        "source never trained on, plain hands": score(other, plain),
    }
    names = Counter(one.photo.set_name for one in judged if one.photo.set_name)
    return rows | {name: score([one for one in judged if one.photo.set_name == name]) for name in names}


def report(rows: dict[str, Scores]) -> dict[str, dict]:
    """Prints a table of them; -> the same as plain dicts."""
    print("\n" + machine.table(HEADINGS, [[name, *_cells(scores)] for name, scores in rows.items()]))
    return {name: scores._asdict() for name, scores in rows.items()}


def report_joints(judged: Sequence[Judged]) -> dict[str, np.ndarray]:
    """Prints PCK by kind of joint, of hands found."""
    rows = dict(joint_scores(judged))
    print("\n" + machine.table(("joints", "@0.1", "@0.2"), [[name, *map(_number, row)] for name, row in rows.items()]))
    return rows


def report_quiet(searched: Sequence[hand_free.Empty]) -> dict[str, float]:
    """Prints in what share of the pictures without hands nothing is found, by what they show."""
    kinds = list(dict.fromkeys(empty.shows for empty in searched))
    crops = [empty for empty in searched if empty.shows != "scene"]
    groups = {"hand-free crops": crops} | {kind: [e for e in searched if e.shows == kind] for kind in kinds}
    rows = {kind: hand_free.quiet_share(group) for kind, group in groups.items()}
    asked = {kind: rows[kind] >= ASKED["quiet"] for kind in ("hand-free crops", "scene") if kind in rows}
    table = [
        [kind, str(len(groups[kind])), _number(share), machine.verdict(asked.get(kind))] for kind, share in rows.items()
    ]
    print("\n" + machine.table(("without hands", "pictures", "nothing found", f"asked {ASKED['quiet']}"), table))
    return rows


def verdict(scores: Scores) -> str:
    """What is asked for of all hands, beside what was reached."""
    reached = {"recall": scores.recall, "side": scores.side}
    reached |= {at: float(value) for at, value in zip(("0.1", "0.2"), scores.pck_found, strict=True)}
    rows = [[at, _number(value), f"{ASKED[at]}", machine.verdict(value >= ASKED[at])] for at, value in reached.items()]
    return machine.table(("all hands", "reached", "asked", ""), rows)


def _detector(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Detector:
    if arguments.mediapipe is not None:
        from handjax.mediapipe_detector import mediapipe_detector

        return mediapipe_detector(arguments.mediapipe, max_hands=20)
    module, _, name = arguments.detector.partition(":")
    if not name:
        parser.error(f"--detector must be package.module:function, got {arguments.detector!r}")
    if not all("=" in setting for setting in arguments.set):
        parser.error(f"--set must be NAME=VALUE, got {arguments.set}")
    settings = dict(setting.split("=", 1) for setting in arguments.set)
    return getattr(importlib.import_module(module), name)(**{key: _value(text) for key, text in settings.items()})


def _value(text: str) -> Any:
    """A number, or whatever else Python writes so; other text is itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _confident(detect: Detector, min_score: float) -> Detector:
    return lambda image: [detection for detection in detect(image) if detection.score >= min_score]


def _cells(scores: Scores) -> list[str]:
    shares = [scores.recall, scores.near, scores.side]
    errors = [*scores.pck_found, *scores.pck_all, scores.median]
    return [str(scores.hands), *map(_number, shares), str(scores.landmarks), *map(_number, errors)]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _plain(value: Any) -> Any:
    """For JSON, which knows neither arrays nor nan."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else round(float(value), 4)
    return value


if __name__ == "__main__":
    main()
