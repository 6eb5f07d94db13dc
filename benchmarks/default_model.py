"""Speed of the default model: from a file to hands in camera space, where the time goes, and the first call.

python -m benchmarks.default_model [--random] [--cores=2] [--rounds=20] [--no-first]

Pictures of 640 x 480: one hand of the demo's, and six of them. --random: networks of the same sizes that learnt
nothing; what they compute is thrown away for the hands that are known, so that as many are cut out and fitted as
trained networks would find. First calls are new processes, with an empty compilation cache and with what the first left
there. Processor seconds are told beside the wall's, which a busy machine makes longer.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np

from benchmarks import machine
from benchmarks.predict import make_images
from handjax import weights
from handjax.compilation_cache import VARIABLE, use_compilation_cache
from handjax.demo import HEIGHT, WIDTH
from handjax.detect import RIGHT, Detection, box_side
from handjax.detector.default import CROP_SIZE, FINDER_SIZE, detector_of, find_hands, read_crops
from handjax.detector.views import to_picture, whole
from handjax.images import read_image
from handjax.keypoint_entries import make_detection
from handjax.keypoint_files import hands_of_image, read_keypoints
from handjax.models import crop_hand, hand_finder
from handjax.models.crop_hand import CropKeypoints
from handjax.models.hand_finder import FoundHands
from handjax.predict import predict_image
from handjax.torch_weights import template

IMAGE_MS, HAND_MS, FIRST_S = 150, 20, 20
COLUMNS, ROWS = 3, 2
WHOLE = 4
"""Its place in `Spent`."""
NAMES = {1: "one.jpg", COLUMNS * ROWS: "six.jpg"}


class Spent(NamedTuple):
    """Milliseconds of one picture; processor: of all threads."""

    decode: float
    finder: float
    crops: float
    fit: float
    whole: float
    processor: float


class Stopwatch:
    """Adds up what a function takes, its results being waited for."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any) -> Any:
        before = time.perf_counter()
        result = jax.block_until_ready(self.function(*arguments))
        self.seconds += time.perf_counter() - before
        return result


class Model:
    """The detector and the fit, timed. known: the hands that random networks are said to have found."""

    def __init__(self, networks: Sequence[tuple[Any, Any]], known: list[Detection] | None) -> None:
        (finder, finder_weights), (crop, crop_weights) = networks
        find = partial(find_hands, finder, jax.device_put(finder_weights), count=20)
        read = partial(read_crops, crop, jax.device_put(crop_weights))
        self.known = known
        self.find = Stopwatch(find if known is None else lambda picture: placed(find(picture), known))
        self.read = Stopwatch(read if known is None else lambda crops: of_the_right(read(crops)))
        self.detect = detector_of(self.find, self.read, **({} if known is None else {"threshold": 0.0}))

    def hands(self, path: Path) -> tuple[int, Spent]:
        """-> how many, and what they took."""
        self.find.seconds = self.read.seconds = 0.0
        worked, times = time.process_time(), [time.perf_counter()]
        image = read_image(path)
        times.append(time.perf_counter())
        found = self.detect(image)
        times.append(time.perf_counter())
        hands = predict_image(image, found if self.known is None else self.known)
        times.append(time.perf_counter())
        decode, detect, fit = 1000 * np.diff(times)
        finder = 1000 * self.find.seconds
        worked = 1000 * (time.process_time() - worked)
        return len(hands.side), Spent(decode, finder, detect - finder, fit, decode + detect + fit, worked)


def placed(found: FoundHands, known: list[Detection]) -> FoundHands:
    view = whole(WIDTH, HEIGHT)
    zoom = FINDER_SIZE / view.side
    centers = [(hand.box[:2] + hand.box[2:]) / 2 for hand in known]
    offset = to_picture(np.zeros(2), view, FINDER_SIZE)
    count = len(known)
    found = FoundHands(*(np.array(field) for field in found))
    found.valid[:] = np.arange(len(found.valid)) < count
    found.scores[:count] = 0.9
    found.centers[:count] = (np.array(centers) - offset) * zoom
    found.sides_px[:count] = [box_side(hand.box) * zoom for hand in known]
    found.right[:count] = [hand.side == RIGHT for hand in known]
    return found


def of_the_right(seen: CropKeypoints) -> CropKeypoints:
    """As crops of right hands are read: no mirror image is asked for."""
    return seen._replace(right=np.ones(len(seen.right), np.float32))


def make_pictures(folder: Path) -> None:
    """one.jpg and six.jpg with their keypoints beside them."""
    make_images(folder / "made", 1, deep=True)
    one = read_image(folder / "made" / "00000.jpg")
    cell = WIDTH // COLUMNS, HEIGHT // COLUMNS
    small = cv2.resize(one, cell, interpolation=cv2.INTER_AREA)
    six = np.zeros_like(one)
    for row in range(ROWS):
        for column in range(COLUMNS):
            y, x = row * HEIGHT // ROWS, column * cell[0]
            six[y : y + cell[1], x : x + cell[0]] = small
    for name, picture in zip(NAMES.values(), (one, six), strict=True):
        cv2.imwrite(str(folder / name), picture[..., ::-1])


def known_hands(folder: Path, count: int) -> list[Detection]:
    entry = hands_of_image(read_keypoints(folder / "made" / "keypoints.json"), "00000.jpg", WIDTH, HEIGHT)
    assert entry is not None
    (hand,) = entry.detections
    if count == 1:
        return [hand]
    scale = (WIDTH // COLUMNS) / WIDTH
    corners = [(x * (WIDTH // COLUMNS), y * HEIGHT // ROWS) for y in range(ROWS) for x in range(COLUMNS)]
    return [
        make_detection((hand.keypoints_2d * scale + corner).astype(np.float32), hand.keypoints_3d, hand.side, 0.9, None)
        for corner in corners
    ]


def networks(random: bool) -> list[tuple[Any, Any]]:
    if not random:
        return [weights.hand_finder(), weights.crop_hand()]
    draw = np.random.default_rng(0)

    def filled(leaf: Any) -> np.ndarray:
        if leaf.ndim < 2:
            return np.ones(leaf.shape, np.float32)
        return (draw.normal(size=leaf.shape) * np.sqrt(1 / np.prod(leaf.shape[:-1]))).astype(np.float32)

    pairs = (hand_finder.PRESETS["small"], FINDER_SIZE), (crop_hand.PRESETS["small"], CROP_SIZE)
    return [
        (network, jax.tree.map(filled, template(network, np.zeros((1, size, size, 3), np.float32))))
        for network, size in pairs
    ]


def first_call(folder: Path, random: bool) -> dict[str, float]:
    """In a new process, from nothing compiled in it to one hand: seconds by the names of `Spent`."""
    use_compilation_cache()
    made, known = networks(random), known_hands(folder, 1) if random else None
    _, spent = Model(made, known).hands(folder / NAMES[1])
    return {name: value / 1000 for name, value in spent._asdict().items()}


def first_calls(folder: Path, random: bool) -> list[list[str]]:
    command = [sys.executable, "-m", "benchmarks.default_model", f"--once={folder}", *(["--random"] if random else [])]
    environment = os.environ | {VARIABLE: str(folder / "cache")}
    rows = []
    for name in ("first call, nothing compiled before", "first call, compiled by an earlier process"):
        before = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        whole_s, told = time.perf_counter() - before, json.loads(done.stdout.splitlines()[-1])
        met = machine.verdict(told["whole"] <= FIRST_S)
        parts = ", ".join(f"{part} {told[part]:.1f}" for part in ("finder", "crops", "fit", "processor"))
        figures = f"{told['whole']:.1f} s ({parts}; with start and imports {whole_s:.1f} s)"
        rows.append([name, figures, f"<= {FIRST_S} s", met])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", action="store_true", help="networks that learnt nothing")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--no-first", action="store_true", help="without first calls, which take a minute")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    if arguments.once:
        print(json.dumps(first_call(arguments.once, arguments.random)))
        return
    print(f"{machine.describe('jax')}; {arguments.cores} of the cores\n")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make_pictures(folder)
        report(folder, arguments.random, arguments.rounds, not arguments.no_first)


def report(folder: Path, random: bool, rounds: int, first: bool) -> None:
    """Prints the tables. The pictures take turns, so that a busy machine slows both."""
    firsts = first_calls(folder, random) if first else []
    # What was compiled for the first calls, if they were made.
    use_compilation_cache(str(folder / "cache") if first else None)
    loaded = networks(random)
    models = {count: Model(loaded, known_hands(folder, count) if random else None) for count in NAMES}
    taken: dict[int, list[Spent]] = {count: [] for count in NAMES}
    found: dict[int, int] = {}
    for number in range(rounds + 1):
        for count, name in NAMES.items():
            found[count], spent = models[count].hands(folder / name)
            if number:
                taken[count].append(spent)
    medians = {count: np.median(np.array(spent), axis=0) for count, spent in taken.items()}
    rows = [
        [f"{name}, {found[count]} hands", *(f"{value:.1f}" for value in medians[count])]
        for count, name in NAMES.items()
    ]
    headings = ["ms, median", "decode", "finder", "crops and reading them", "fit and mesh", "whole", "processor"]
    print(machine.table(headings, rows), end="\n\n")
    one = medians[1][WHOLE]
    more = (medians[max(NAMES)][WHOLE] - one) / max(found[max(NAMES)] - found[1], 1)
    wanted = [
        ["one hand, file to mesh", f"{one:.0f} ms", f"<= {IMAGE_MS} ms", machine.verdict(one <= IMAGE_MS)],
        ["each further hand", f"{more:.1f} ms", f"<= {HAND_MS} ms", machine.verdict(more <= HAND_MS)],
        *firsts,
    ]
    print(machine.table(["", "measured", "asked", ""], wanted))


if __name__ == "__main__":
    main()
