"""A job without pictures: keypoints alone, each image or frame of the file taking part as a blank sheet."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from handjax.images import Photo
from handjax.inputs import Input
from handjax.keypoint_entries import ImageHands, KeypointError
from handjax.keypoint_files import read_keypoints
from handjax.predict.image_camera import known_camera
from handjax.predict.job import JobReport, run_job
from handjax.predict.progress import Progress
from handjax.predict.settings import PredictSettings
from handjax.predict.sources import KeypointSource
from handjax.predict.work import PAPER


def fit_file(path: str | os.PathLike, settings: PredictSettings, progress: Progress | None = None) -> JobReport:
    """`predict_files` for a keypoint file or folder without its images.

    An entry that names no width and height needs `settings.intrinsics`, whose principal point is then taken for the
    middle. Raises ValueError or OSError where the job cannot start.
    """
    keypoints = read_keypoints(path, settings.side)
    if keypoints.frames:
        raise KeypointError(f"{path}: holds video frames; use predict with the video")
    center = known_camera(settings.intrinsics, settings.focal).intrinsics
    sizes = {name: _size(path, name, hands, center) for name, hands in keypoints.images.items()}
    named = {Path(name or Path(path).stem): size for name, size in sizes.items()}
    inputs = [Input(name, "image") for name in named]
    source = KeypointSource(str(path), keypoints, {})
    # Named in the settings too, so that a file that changed is seen to be newer than the results.
    settings = dataclasses.replace(settings, keypoints=str(path))
    return run_job(inputs, source, str(path), lambda name: _blank(named, Path(name)), settings, progress)


def _size(path: str | os.PathLike, name: str, hands: ImageHands, intrinsics: np.ndarray | None) -> tuple[int, int]:
    if hands.size is not None:
        return hands.size
    if intrinsics is None:
        raise KeypointError(f"{path}: {name or 'the entry'} has no width and height; give --intrinsics=fx,fy,cx,cy")
    width, height = np.ceil(2 * intrinsics[2:]).astype(int).tolist()
    return max(width, 1), max(height, 1)


def _blank(sizes: Mapping[Path, tuple[int, int]], name: Path) -> Photo:
    width, height = sizes[name]
    return Photo(np.full((height, width, 3), PAPER, np.uint8), None)
