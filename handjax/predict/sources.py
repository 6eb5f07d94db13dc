"""Where the hands of an image come from: a file of keypoints, or a detector."""

import threading
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from handjax.detect import Detector, without_duplicates
from handjax.inputs import Input
from handjax.keypoint_entries import ImageHands, KeypointError
from handjax.keypoint_files import Keypoints, hands_of_image, read_keypoints, resized
from handjax.predict.settings import PredictSettings

WAYS_ON = """other ways to say where the hands are:
  --keypoints=FILE        21 points a hand from any detector, JSON or npz (format: handjax/keypoint_files.py)
  --detector=mediapipe --detector_model=hand_landmarker.task
                          pip install "handjax[mediapipe]"; the model file is Google's, see
                          https://ai.google.dev/edge/mediapipe/solutions/vision/hand_landmarker
  predict_files(..., detector=your_function)
                          from Python: (H, W, 3) uint8 RGB -> list of handjax.detect.Detection"""


class Source(Protocol):
    """Both raise ValueError for one image without ending the job; a video's frames are asked for in order."""

    def of_image(self, path: Path, image: np.ndarray) -> ImageHands: ...

    def of_frame(self, path: Path, number: int, image: np.ndarray) -> ImageHands: ...


class DetectorSource:
    """A detector, asked by one thread at a time."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._lock = threading.Lock()

    def of_image(self, path: Path, image: np.ndarray) -> ImageHands:
        with self._lock:
            found = list(self._detector(image))
        return ImageHands(found, None, [None] * len(found))

    def of_frame(self, path: Path, number: int, image: np.ndarray) -> ImageHands:
        return self.of_image(path, image)


class KeypointSource(NamedTuple):
    """Keypoints by image name; by video, each with its frames."""

    label: str
    keypoints: Keypoints
    videos: dict[Path, Keypoints]

    def of_image(self, path: Path, image: np.ndarray) -> ImageHands:
        hands = hands_of_image(self.keypoints, path, image.shape[1], image.shape[0])
        if hands is None:
            raise KeypointError(f"{path}: no entry for this image in {self.label}")
        return hands

    def of_frame(self, path: Path, number: int, image: np.ndarray) -> ImageHands:
        frames = self.videos[path].frames if path in self.videos else self.keypoints.frames
        if not frames:
            raise KeypointError(f"{path}: no entry for this video in {self.label}")
        if number >= len(frames):
            return ImageHands([], None, [])
        return resized(frames[number], image.shape[1], image.shape[0], f"{path}: frame {number}")


def distinct_hands(hands: ImageHands) -> ImageHands:
    """Best first and each once, with their checks."""
    checks = hands.checks or [None] * len(hands.detections)
    check_of = {id(hand): check for hand, check in zip(hands.detections, checks, strict=True)}
    kept = without_duplicates(hands.detections)
    return ImageHands(kept, hands.size, [check_of[id(hand)] for hand in kept])


def open_source(settings: PredictSettings, inputs: list[Input], detector: Detector | None) -> Source:
    """Raises ValueError or OSError that says what is missing or wrong, ImportError for a missing extra."""
    given = [detector is not None, settings.keypoints is not None, settings.detector is not None]
    if sum(given) > 1:
        raise ValueError("--keypoints and --detector must not both be given")
    other = any(given[:2]) or settings.detector == "mediapipe"
    if other and (settings.min_score is not None or settings.small_hands):
        raise ValueError("--min_score and --small_hands are of --detector=handjax, which was not given")
    if detector is not None:
        return DetectorSource(detector)
    if settings.keypoints is not None:
        return _keypoint_source(settings, Path(settings.keypoints), inputs)
    if settings.detector == "mediapipe":
        if settings.detector_model is None:
            raise ValueError("--detector=mediapipe needs --detector_model=hand_landmarker.task")
        # Imported here: the extra is optional, and importing it takes a second.
        from handjax.mediapipe_detector import mediapipe_detector

        return DetectorSource(mediapipe_detector(settings.detector_model))
    if settings.detector_model is not None:
        raise ValueError("--detector_model is of --detector=mediapipe, which was not given")
    return DetectorSource(_own_detector(settings))


def _own_detector(settings: PredictSettings) -> Detector:
    # Imported here: reading keypoints needs no networks.
    from handjax.detector import default_detector

    chosen: dict[str, Any] = {} if settings.min_score is None else {"threshold": settings.min_score}
    try:
        return default_detector(scales=2 if settings.small_hands else 1, **chosen)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}\n{WAYS_ON}") from error


def _keypoint_source(settings: PredictSettings, path: Path, inputs: list[Input]) -> KeypointSource:
    if not path.is_dir():
        keypoints = read_keypoints(path, settings.side)
        if len(inputs) > 1 and (keypoints.frames or "" in keypoints.images):
            raise KeypointError(f"{path}: is for a single image or video, but there are {len(inputs)}")
        return KeypointSource(str(path), keypoints, {})
    videos = {}
    for item in inputs:
        file = _video_file(path, item.path.stem) if item.kind == "video" else None
        if file is not None:
            videos[item.path] = read_keypoints(file, settings.side)
    if all(item.kind == "video" for item in inputs):
        return KeypointSource(str(path), Keypoints({}, ()), videos)
    return KeypointSource(str(path), read_keypoints(path, settings.side), videos)


def _video_file(folder: Path, stem: str) -> Path | None:
    names = (f"{stem}{middle}.{suffix}" for middle in ("", ".landmarks") for suffix in ("npz", "json"))
    return next((folder / name for name in names if (folder / name).is_file()), None)
