"""Detections: boxes, duplicates, and MediaPipe as a detector (with a stand-in where it is not installed)."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handjax.detect import LEFT, RIGHT, Detection, keypoint_box, keypoint_distance, without_duplicates
from handjax.images import read_image
from handjax.keypoint_entries import make_detection
from handjax.keypoint_files import hands_of_image, read_keypoints
from handjax.mediapipe_detector import mediapipe_detector

SHARED = Path(__file__).resolve().parents[2] / "shared"
MODEL = SHARED / "models" / "hand_landmarker.task"
GRID = np.stack(np.meshgrid(np.arange(7.0), np.arange(3.0)), -1).reshape(21, 2).astype(np.float32)


def hand(x: float = 0.0, y: float = 0.0, size: float = 100.0, side: int = RIGHT, score: float = 0.9) -> Detection:
    """A hand of box side `size` whose first keypoint lies at (x, y)."""
    return make_detection(GRID * np.float32(size / 6) + np.float32([x, y]), None, side, score, None)


def test_box_holds_the_keypoints_that_were_seen():
    np.testing.assert_allclose(hand(5, 7).box, [5, 7, 105, 7 + 100 / 3], rtol=1e-6)
    seen = np.ones(21, np.float32)
    seen[[0, 7, 14]] = 0
    np.testing.assert_allclose(keypoint_box(GRID, seen), [1, 0, 6, 2])
    np.testing.assert_allclose(keypoint_box(GRID, np.zeros(21)), [0, 0, 6, 2])


def test_distance_is_a_part_of_the_larger_box():
    assert keypoint_distance(hand(), hand(x=10)) == pytest.approx(0.1)
    assert keypoint_distance(hand(size=200), hand(x=10, size=200)) == pytest.approx(0.05)
    assert keypoint_distance(hand(size=0), hand(size=0)) == 0


def test_of_two_near_hands_the_better_score_stays_and_gives_the_side():
    worse, better = hand(side=LEFT, score=0.6), hand(x=4, side=RIGHT, score=0.8)
    assert [h.side for h in without_duplicates([worse, better])] == [RIGHT]
    assert [h.side for h in without_duplicates([worse._replace(score=0.95), better])] == [LEFT]


def test_hands_side_by_side_both_stay_best_first():
    hands = [hand(score=0.5), hand(x=40, score=0.7)]
    assert [h.score for h in without_duplicates(hands)] == [0.7, 0.5]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 300), st.integers(0, 100)), max_size=8))
def test_kept_hands_are_apart_and_every_dropped_one_is_near_a_better_one(places):
    hands = [hand(x, y, score=score / 100) for x, y, score in places]
    kept = without_duplicates(hands)
    for i, a in enumerate(kept):
        assert all(keypoint_distance(a, b) >= 0.15 for b in kept[:i])
    for candidate in hands:
        if not any(candidate is k for k in kept):
            assert any(k.score >= candidate.score and keypoint_distance(candidate, k) < 0.15 for k in kept)


class StandInLandmarker:
    """Finds what `answer(pixels)` says: tuples of 21 normalised points, a side name and a score."""

    def __init__(self, answer: Callable[[np.ndarray], list]):
        self.answer = answer
        self.shapes: list[tuple[int, ...]] = []
        self.closed = False

    def detect(self, image):
        self.shapes.append(image.pixels.shape)
        found = self.answer(image.pixels)
        return SimpleNamespace(
            hand_landmarks=[[SimpleNamespace(x=x, y=y) for x, y in points] for points, _, _ in found],
            hand_world_landmarks=[[SimpleNamespace(x=0.01, y=0.02, z=0.03 * k) for k in range(21)] for _ in found],
            handedness=[[SimpleNamespace(category_name=side, score=score)] for _, side, score in found],
        )

    def close(self):
        self.closed = True


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Returns make(answer) -> (detector, landmarker), with a module that stands in for mediapipe."""
    model = tmp_path / "hand_landmarker.task"
    model.write_bytes(b"model")

    def make(answer, **settings):
        landmarker = StandInLandmarker(answer)
        vision = ModuleType("mediapipe.tasks.python.vision")
        vision.HandLandmarkerOptions = SimpleNamespace
        vision.HandLandmarker = SimpleNamespace(create_from_options=lambda options: landmarker)
        mediapipe = ModuleType("mediapipe")
        mediapipe.tasks = SimpleNamespace(BaseOptions=SimpleNamespace)
        mediapipe.ImageFormat = SimpleNamespace(SRGB="srgb")
        mediapipe.Image = lambda image_format, data: SimpleNamespace(pixels=data)
        python = ModuleType("mediapipe.tasks.python")
        python.vision = vision
        for module in (mediapipe, ModuleType("mediapipe.tasks"), python, vision):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        return mediapipe_detector(model, **settings), landmarker

    return make


def points_at(pixels: np.ndarray, x: float, y: float, size: float = 20.0) -> list:
    """21 points of a hand with its first keypoint at pixel (x, y), normalised as MediaPipe does."""
    height, width = pixels.shape[:2]
    return [((x + size * u / 6) / width, (y + size * v / 6) / height) for u, v in GRID]


def test_normalised_points_become_pixels_of_the_image(stand_in):
    detect, landmarker = stand_in(lambda pixels: [(points_at(pixels, 30, 40), "Left", 0.99)])
    (found,) = detect(np.zeros((100, 200, 3), np.uint8))
    np.testing.assert_allclose(found.keypoints_2d[0], [30, 40], rtol=1e-6)
    np.testing.assert_allclose(found.box, [30, 40, 50, 40 + 20 / 3], rtol=1e-6)
    np.testing.assert_allclose(found.keypoints_3d[2], [0.01, 0.02, 0.06], rtol=1e-6)
    assert found.side == LEFT and found.score == pytest.approx(0.99)
    assert landmarker.shapes == [(100, 200, 3)]


def test_border_is_added_until_a_hand_is_found_and_taken_off_again(stand_in):
    def answer(pixels):
        return [(points_at(pixels, 230, 240), "Right", 0.99)] if len(pixels) > 400 else []

    detect, landmarker = stand_in(answer)
    (found,) = detect(np.zeros((100, 200, 3), np.uint8))
    assert landmarker.shapes == [(100, 200, 3), (234, 334, 3), (500, 600, 3)]
    np.testing.assert_allclose(found.keypoints_2d[0], [30, 40], rtol=1e-5)


def test_no_hand_is_an_empty_list(stand_in):
    detect, _ = stand_in(lambda pixels: [])
    assert detect(np.zeros((10, 10, 3), np.uint8)) == []


@pytest.mark.parametrize(
    ("mirrored_answer", "side", "score"), [(("Right", 0.9), LEFT, 0.75), (("Left", 0.7), RIGHT, 0.55)]
)
def test_unsure_side_is_averaged_with_the_mirror_image(stand_in, mirrored_answer, side, score):
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, 0] = 255

    def answer(pixels):
        points = points_at(pixels, 30, 40)
        if pixels[0, 0, 0] == 255:
            return [(points, "Left", 0.6)]
        return [([(1 - x, y) for x, y in points], *mirrored_answer)]

    detect, landmarker = stand_in(answer)
    (found,) = detect(image)
    assert len(landmarker.shapes) == 2
    assert (found.side, found.score) == (side, pytest.approx(score))
    np.testing.assert_allclose(found.keypoints_2d[0], [30, 40], rtol=1e-6)


def test_sure_side_costs_no_second_run(stand_in):
    detect, landmarker = stand_in(lambda pixels: [(points_at(pixels, 30, 40), "Left", 0.97)])
    detect(np.zeros((100, 200, 3), np.uint8))
    assert len(landmarker.shapes) == 1


def test_landmarker_is_closed_with_its_detector(stand_in):
    detect, landmarker = stand_in(lambda pixels: [])
    assert not landmarker.closed
    del detect
    assert landmarker.closed


def test_wrong_images_and_settings_are_refused(stand_in, tmp_path):
    detect, _ = stand_in(lambda pixels: [])
    with pytest.raises(ValueError, match=r"image must have shape \(H, W, 3\), got \(10, 10\)"):
        detect(np.zeros((10, 10), np.uint8))
    with pytest.raises(TypeError, match="image must be uint8, got float32"):
        detect(np.zeros((10, 10, 3), np.float32))
    with pytest.raises(ValueError, match="max_hands must be at least 1, got 0"):
        stand_in(lambda pixels: [], max_hands=0)
    with pytest.raises(ValueError, match=r"min_confidence must lie in \[0, 1\], got 2"):
        stand_in(lambda pixels: [], min_confidence=2)
    with pytest.raises(FileNotFoundError, match="missing.task: no such file; .*ai.google.dev"):
        mediapipe_detector(tmp_path / "missing.task")


def test_missing_package_is_named_with_the_way_to_install_it(monkeypatch, tmp_path):
    model = tmp_path / "hand_landmarker.task"
    model.write_bytes(b"model")
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ImportError, match=r'pip install "handjax\[mediapipe\]"'):
        mediapipe_detector(model)


@pytest.mark.skipif(not MODEL.is_file(), reason="hand_landmarker.task is not beside the repository")
@pytest.mark.filterwarnings("default")
def test_mediapipe_finds_the_hands_of_photos_with_their_sides():
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    detect = mediapipe_detector(MODEL)
    stored = read_keypoints(SHARED / "photos" / "landmarks")
    for name in ("two_left_hands.jpg", "asl_phone_b.jpg", "cutout_0101001_v2.png", "pexels_natalie_wave.jpg"):
        path = SHARED / "photos" / name
        image = read_image(path)
        hands = hands_of_image(stored, path, image.shape[1], image.shape[0])
        found = detect(image)
        assert hands is not None and len(found) == len(hands.detections)
        for wanted in hands.detections:
            nearest = min(found, key=lambda candidate: keypoint_distance(candidate, wanted))
            assert keypoint_distance(nearest, wanted) < 0.1 and nearest.side == wanted.side


@pytest.mark.skipif(not MODEL.is_file(), reason="hand_landmarker.task is not beside the repository")
def test_file_that_is_no_model_is_named(tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    path = tmp_path / "hand_landmarker.task"
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="hand_landmarker.task: not a hand landmarker model"):
        mediapipe_detector(path)
