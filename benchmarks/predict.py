"""Speed of the command: images a second from JSON keypoints to files, and seconds from a cold start to the first mesh.

python -m benchmarks.predict [--images=128]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from handjax import mano
from handjax.camera import project
from handjax.demo import HEIGHT, SCENES, WIDTH, demo_camera, draw, scene_params
from handjax.detect import SIDE_NAMES
from handjax.keypoint_entries import ImageHands, make_detection
from handjax.keypoint_files import Keypoints, write_keypoints
from handjax.predict import PredictSettings, predict_files
from handjax.predict.files import Sides
from handjax.predict.progress import Progress

WANTED_IMAGES_A_SECOND, WANTED_START_SECONDS = 20, 10
FORMATS = {"overlay, glb": ("overlay", "glb"), "all": ("overlay", "obj", "ply", "glb", "page")}


class Row(NamedTuple):
    """value in `unit`; wanted: the figure asked for, or None; cpu: processor seconds an image, or None."""

    name: str
    value: float
    unit: str
    wanted: str
    cpu: float | None = None


def rows(images: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        for deep in (True, False):
            make_images(made / f"deep_{deep}", images, deep)
        found = []
        for deep, label in ((True, "2D and 3D keypoints"), (False, "2D keypoints alone")):
            for files, formats in FORMATS.items():
                found.append(_speed(made, f"{label}; {files}", deep, formats, images))
        return found + _starts(made)


def make_images(folder: Path, count: int, deep: bool, noise_px: float = 2.0) -> None:
    """`count` photos of 640 x 480 of the demo's hands as JPEG with some grain, one hand each, and keypoints.json."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    models = Sides(mano.default())
    drawn = []
    for scene in SCENES:
        model = models[scene.side]
        posed = mano.forward(model, scene_params(model, scene))
        joints = np.asarray(mano.keypoints_of(model, posed))
        drawn.append((draw(scene, model, posed.vertices), joints, np.asarray(project(demo_camera(), joints))))
    entries = {}
    for number in range(count):
        picture, joints, pixels = drawn[number % len(drawn)]
        grain = rng.normal(scale=6.0, size=picture.shape)
        noisy = np.clip(picture + grain, 0, 255).astype(np.uint8)
        name = f"{number:05d}.jpg"
        cv2.imwrite(str(folder / name), noisy[..., ::-1])
        seen = (pixels + rng.normal(scale=noise_px, size=pixels.shape)).astype(np.float32)
        guess = (joints + rng.normal(scale=0.005, size=joints.shape)).astype(np.float32) if deep else None
        side = SIDE_NAMES.index(SCENES[number % len(SCENES)].side)
        entries[name] = ImageHands([make_detection(seen, guess, side, 1.0, None)], (WIDTH, HEIGHT), [None])
    write_keypoints(folder / "keypoints.json", Keypoints(entries, ()))


def _speed(made: Path, name: str, deep: bool, formats: tuple[str, ...], images: int) -> Row:
    source = made / f"deep_{deep}"
    settings = PredictSettings(
        out=str(made / "out"), keypoints=str(source / "keypoints.json"), formats=formats, overwrite=True
    )
    with open(os.devnull, "w") as nowhere:
        # Twice: the first run compiles.
        for _ in range(2):
            wall, cpu = time.perf_counter(), time.process_time()
            report = predict_files(source, settings, progress=Progress(images, nowhere))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert report.hands == images and not report.problems, report
    wanted = f">= {WANTED_IMAGES_A_SECOND}" if formats == FORMATS["overlay, glb"] else ""
    return Row(name, images / wall, "images/s", wanted, cpu / images)


def _starts(made: Path) -> list[Row]:
    image = next((made / "deep_True").glob("*.jpg"))
    command = [sys.executable, "-m", "handjax", "predict", str(image), "--overwrite", f"--out={made / 'start'}"]
    command += [f"--keypoints={made / 'deep_True' / 'keypoints.json'}", "--formats="]
    environment = os.environ | {"HANDJAX_CACHE": str(made / "cache")}
    found = []
    for name in ("the command's first mesh, nothing compiled before", "the command's first mesh, second run"):
        seconds = _seconds(command, environment)
        found.append(Row(name, seconds, "s", f"<= {WANTED_START_SECONDS}"))
    everything = [part for part in command if part != "--formats="]
    _seconds(everything, environment)
    found.append(Row("one image with all files, second run", _seconds(everything, environment), "s", ""))
    return found


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=128)
    for name, value, unit, wanted, cpu in rows(parser.parse_args().images):
        processor = "" if cpu is None else f"{1000 * cpu:.0f} ms of processor time an image"
        print(f"{name:58} {value:8.2f} {unit:9} {wanted:8} {processor}")


if __name__ == "__main__":
    main()
