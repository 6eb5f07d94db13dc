"""The default detector: where a hand is in a picture comes out as it went in, through crops, mirrors and two passes."""

import re
from importlib import resources

import jax
import numpy as np
import pytest

from datasets.placing import place_image
from handjax import weights
from handjax.camera import to_opencv_affine
from handjax.detect import LEFT, RIGHT, keypoint_box
from handjax.detector import default_detector
from handjax.detector.candidates import tiles
from handjax.detector.default import detector_of, mean_bone
from handjax.detector.views import View, affine_of, cut_out, to_picture, whole
from handjax.models import crop_hand, hand_finder
from handjax.models.crop_hand import CropKeypoints
from handjax.models.hand_finder import FoundHands
from tests.cheap import filled, shapes
from tests.seen_by_colour import DEPTHS, HEIGHT, SHAPE, WIDTH, Hand, Networks, affine_seen, ramp


def detect(networks, image, **settings):
    settings = {"finder_size": 128, "crop_size": 96, "threshold": 0.1} | settings
    return detector_of(networks.find, networks.read, **settings)(image)


@pytest.fixture(scope="module")
def picture():
    return ramp()


@pytest.mark.parametrize("guess", [RIGHT, LEFT])
@pytest.mark.parametrize("side", [RIGHT, LEFT])
@pytest.mark.parametrize(("scale", "crop_size"), [(0.5, 96), (0.8, 96), (1.1, 64)])
def test_a_hand_comes_back_to_where_it_is_whatever_side_was_guessed(picture, side, guess, scale, crop_size):
    hand = Hand((120, 125), scale, side=side, guess=guess)
    networks = Networks(hand, shift=0.06, grow=1.15)
    (found,) = detect(networks, picture, crop_size=crop_size)
    assert np.abs(found.keypoints_2d - hand.points).max() < 0.05
    assert found.side == side
    np.testing.assert_allclose(found.box, keypoint_box(hand.points), atol=0.05)
    assert networks.batches == [2, 1], "both mirror images, then the better one"


@pytest.mark.parametrize("side", [RIGHT, LEFT])
def test_points_in_space_are_metres_of_the_hands_own_side(picture, side):
    hand = Hand((125, 125), 0.8, side=side)
    (found,) = detect(Networks(hand), picture)
    apparent = hand.points - hand.points[9]
    expected = mean_bone() * np.column_stack([apparent / np.linalg.norm(apparent[0]), DEPTHS])
    np.testing.assert_allclose(found.keypoints_3d, expected, atol=1e-4)
    assert 0.07 < mean_bone() < 0.11


def test_the_second_crop_is_drawn_around_the_keypoints_of_the_first(picture):
    hand = Hand((130, 120), 0.7)
    networks = Networks(hand, shift=0.08, grow=1.2)
    seen = []
    read = networks.read
    networks.read = lambda crops: seen.append(affine_seen(crops[0])) or read(crops)
    detect(networks, picture)
    sides = [96 * affine[0, 0] for affine in seen]
    centers = [affine[:, :2] @ [48, 48] + affine[:, 2] for affine in seen]
    assert sides[0] == pytest.approx(1.2 * hand.length / 0.69, rel=3e-3)
    assert sides[1] == pytest.approx(hand.length / 0.69, rel=3e-3)
    np.testing.assert_allclose(centers[0], hand.center + 0.08 * hand.length, atol=0.1)
    np.testing.assert_allclose(centers[1], hand.center, atol=0.1)


def test_the_score_is_the_root_of_the_finders_times_the_mean_confidence_and_a_threshold_holds(picture):
    networks = Networks(Hand((125, 125), 0.8, score=0.81))
    (found,) = detect(networks, picture)
    assert found.score == pytest.approx(np.sqrt(0.81 * 0.64))
    np.testing.assert_allclose(found.confidence, 0.64, rtol=1e-6)
    assert len(detect(networks, picture, threshold=0.7)) == 1
    assert not detect(networks, picture, threshold=0.73)


def test_what_the_finder_scores_too_low_to_pass_is_not_even_cut_out(picture):
    networks = Networks(Hand((125, 125), 0.8, score=0.2))
    assert not detect(networks, picture, threshold=0.5) and not networks.batches


def test_many_hands_are_found_in_batches_of_few_sizes_best_first(picture):
    hands = [Hand((30 + 38 * i, 95), 0.4, turn=0, side=i % 2, score=0.9 - 0.1 * i) for i in range(6)]
    networks = Networks(*hands)
    found = detect(networks, picture)
    assert networks.batches == [4, 4, 4, 4, 2]
    assert [one.side for one in found] == [hand.side for hand in hands]
    for one, hand in zip(found, hands, strict=True):
        assert np.abs(one.keypoints_2d - hand.points).max() < 0.1
    assert len(detect(networks, picture, max_hands=2)) == 2


def test_a_hand_that_was_found_twice_is_one(picture):
    networks = Networks(Hand((125, 125), 0.8, score=0.6), Hand((128, 126), 0.8, score=0.9))
    (found,) = detect(networks, picture)
    assert found.score == pytest.approx(np.sqrt(0.9 * 0.64))
    far = Networks(Hand((125, 125), 0.9, score=0.6), Hand((125, 110), 0.45, score=0.9))
    far.row = Networks(far.hands[0]).row
    assert len(detect(far, picture)) == 1 and far.batches == [4, 2]


def test_a_picture_without_a_hand_has_none(picture):
    networks = Networks()
    assert detect(networks, picture) == [] and detect(networks, picture, scales=2) == []


def test_a_hand_at_the_edge_is_cut_out_with_black_beyond(picture):
    hand = Hand((15, 70), 0.7)
    (found,) = detect(Networks(hand), picture)
    assert np.abs(found.keypoints_2d - hand.points).max() < 0.05


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (40, 2), (2000, 20)])
def test_pictures_of_any_size_are_looked_at(size):
    image = np.zeros((*size, 3), np.uint8)
    seen = []

    def find(picture):
        seen.append(picture.shape)
        return FoundHands(np.ones(1, bool), np.ones(1), np.full((1, 2), 60.0), np.ones(1) * 30, np.ones(1))

    def read(crops):
        points = np.broadcast_to(SHAPE / 4 + 48, (len(crops), 21, 2))
        return CropKeypoints(points, np.ones((len(crops), 21)), np.zeros((len(crops), 21, 3)), np.ones(len(crops)))

    for scales in (1, 2):
        found = detector_of(find, read, finder_size=128, scales=scales)(image)
        assert found and all(np.isfinite(one.keypoints_2d).all() for one in found)
    assert set(seen) == {(128, 128, 3)}


@pytest.mark.parametrize("shape", [(510, 340), (340, 510), (300, 300), (512, 100)])
def test_tiles_overlap_show_all_of_the_picture_and_stay_square(shape):
    width, height = shape
    shown = np.zeros((height, width), int)
    for view in tiles(width, height):
        assert view.side == 0.6 * max(shape)
        left, top = np.maximum(np.round(view.center - view.side / 2), 0).astype(int)
        right, bottom = np.round(view.center + view.side / 2).astype(int)
        shown[top:bottom, left:right] += 1
    assert shown.min() >= 1 and shown.max() >= 2


def test_small_hands_are_looked_for_in_tiles_and_each_counts_once(picture):
    hands = [Hand((60, 60), 0.3, score=0.9), Hand((200, 140), 0.3, side=LEFT, score=0.8)]
    networks = Networks(*hands)
    found = detect(networks, picture, scales=2)
    assert len(networks.shown) == 5 and len(found) == 2
    for one, hand in zip(found, hands, strict=True):
        assert np.abs(one.keypoints_2d - hand.points).max() < 0.1
    zooms = sorted(1 / affine[0, 0] for affine in networks.shown)
    np.testing.assert_allclose(zooms[1:], zooms[0] / 0.6, rtol=3e-3)


def test_the_whole_picture_is_shown_in_the_middle_and_not_squashed(picture):
    seen = cut_out(picture, whole(WIDTH, HEIGHT), 96)
    affine = affine_seen(seen)
    np.testing.assert_allclose(affine, [[WIDTH / 96, 0, 0], [0, WIDTH / 96, (HEIGHT - WIDTH) / 2]], atol=0.05)
    rows = np.flatnonzero(seen.any((1, 2)))
    assert rows[0] == 16 and rows[-1] == 79 and not seen[:15].any() and not seen[81:].any()


def test_what_shrinks_is_averaged():
    checks = np.indices((400, 400)).sum(0) % 2 * 255
    seen = cut_out(np.repeat(checks[..., None], 3, -1).astype(np.uint8), View(np.array([200.0, 200.0]), 320.0), 64)
    assert np.abs(seen.astype(int) - 127).max() <= 6


@pytest.mark.parametrize("side", [60.0, 130.0, 333.3, 700.0])
def test_crops_are_cut_as_the_training_pipeline_cuts_them(side):
    picture = np.random.default_rng(0).integers(0, 255, (340, 410, 3), np.uint8)
    for mirrored in (False, True):
        view = View(np.array([150.3, 170.8]), side, mirrored)
        trained = np.empty((64, 64, 3), np.uint8)
        place_image(
            np.ascontiguousarray(picture[..., ::-1]), np.asarray(to_opencv_affine(affine_of(view, 64))), trained
        )
        assert np.abs(cut_out(picture, view, 64).astype(int) - trained).max() <= 2


def test_points_of_a_view_come_back_to_the_picture():
    for mirrored in (False, True):
        view = View(np.array([30.0, 50.0]), 24.0, mirrored)
        np.testing.assert_allclose(to_picture(np.array([48.0, 48.0]), view, 96), view.center)
        np.testing.assert_allclose(to_picture(np.array([0.0, 0.0]), view, 96), [42 if mirrored else 18, 38])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": -0.1}, r"threshold must lie in \[0, 1\], got -0.1"),
        ({"max_hands": 0}, "max_hands must be at least 1, got 0"),
        ({"scales": 3}, "scales must be 1 or 2, got 3"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        default_detector((hand_finder.PRESETS["tiny"], {}), (crop_hand.PRESETS["tiny"], {}), **settings)


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (np.zeros((4, 4), np.uint8), ValueError, "image must have shape"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, "image must have shape"),
        (np.zeros((4, 4, 3), np.float32), TypeError, "image must be uint8, got float32"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, "image must have pixels"),
    ],
)
def test_what_is_no_picture_is_refused(image, kind, message):
    with pytest.raises(kind, match=message):
        detect(Networks(), image)


def test_networks_of_any_size_are_run():
    networks = []
    for network, size in (
        (hand_finder.HandFinder(widths=(4, 4, 4, 4), blocks=(0, 0, 0, 0)), 64),
        (crop_hand.CropHand(widths=(4, 4, 4), blocks=(0, 0, 0), whole=4), 32),
    ):
        networks.append((network, filled(shapes(network, np.zeros((1, size, size, 3), np.float32)))))
    picture = np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)
    found = default_detector(*networks, finder_size=64, crop_size=32, threshold=0.0, max_hands=2)(picture)
    assert 1 <= len(found) <= 2
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)
    assert all(np.isfinite(one.keypoints_2d).all() and np.isfinite(one.keypoints_3d).all() for one in found)
    assert all(((one.confidence >= 0) & (one.confidence <= 1)).all() for one in found)


@pytest.mark.parametrize("name", ["hand_finder", "crop_hand"])
def test_weights_that_are_not_installed_are_named_with_the_way_to_make_them(name, monkeypatch, tmp_path):
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    getattr(weights, name).cache_clear()
    with pytest.raises(FileNotFoundError, match=f"{name}.npz are not in this .* {re.escape(str(tmp_path))}"):
        getattr(weights, name)()


@pytest.mark.parametrize("name", ["hand_finder", "crop_hand"])
def test_shipped_weights_fit_their_network(name):
    try:
        network, variables = getattr(weights, name)()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    size = {"hand_finder": 64, "crop_hand": 96}[name]
    jax.eval_shape(network.apply, variables, jax.ShapeDtypeStruct((1, size, size, 3), np.float32))
