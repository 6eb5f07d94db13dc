"""Camera, 3D and 2D labels agree after every augmentation, in 1,000 draws for each kind of picture."""

import dataclasses
import math

import numpy as np
import pytest

from datasets.augment import PRESETS, Augmentation, Change, draw_change, generator
from datasets.placing import place_labels
from datasets.synthetic.labels import LEFT, RIGHT

DRAWS, SIZE, HEIGHT, WIDTH = 1000, 256, 480, 640
WILD = Augmentation(
    fill=(0.2, 1.2), side_spread=0.3, shift=0.3, rotation=math.pi, zoom=(0.5, 2.0), mirror=0.5, hue=(-0.1, 0.1)
)
AUGMENTATIONS = [*PRESETS.values(), WILD, dataclasses.replace(WILD, rotation=0.0)]


def projected(matrix, points):
    """(C, 3, 3), (C, ..., 3) -> (C, ..., 2), float64."""
    matrix = matrix.astype(np.float64).reshape(len(matrix), *[1] * (points.ndim - 2), 3, 3)
    homogeneous = np.einsum("...ij,...j->...i", matrix, points.astype(np.float64))
    return homogeneous[..., :2] / homogeneous[..., 2:]


@pytest.fixture(scope="module")
def drawn():
    """Labels of pictures with a right and a left hand, focal lengths that differ by up to a fifth, and changes."""
    random = np.random.default_rng(0)
    matrix = np.zeros((DRAWS, 3, 3), np.float32)
    matrix[:, 0, 0] = random.uniform(300, 900, DRAWS)
    matrix[:, 1, 1] = matrix[:, 0, 0] * random.uniform(0.9, 1.1, DRAWS)
    matrix[:, :2, 2] = random.uniform(-60, 60, (DRAWS, 2)) + [WIDTH / 2, HEIGHT / 2]
    matrix[:, 2, 2] = 1
    points = random.uniform(-0.09, 0.09, (DRAWS, 2, 21, 3)) + random.uniform(-0.1, 0.1, (DRAWS, 2, 1, 3))
    points = (points + [0, 0, 0.8]).astype(np.float32)
    pixels = projected(matrix, points).astype(np.float32)
    every, hands = np.ones((DRAWS, 2, 21), bool), np.ones((DRAWS, 2), bool)
    labels = {
        "valid": hands,
        "side": np.tile(np.array([RIGHT, LEFT], np.int32), (DRAWS, 1)),
        "side_valid": hands,
        "box": np.concatenate([pixels.min(2), pixels.max(2)], -1),
        "keypoints_2d": pixels,
        "keypoints_2d_valid": every,
        "keypoints_3d": points,
        "keypoints_3d_valid": every,
        "keypoints_visible": every,
        "keypoints_visible_valid": every,
        "betas": np.zeros((DRAWS, 2, 10), np.float32),
        "global_orient": random.normal(size=(DRAWS, 2, 3)).astype(np.float32),
        "hand_pose": np.zeros((DRAWS, 2, 45), np.float32),
        "transl": points[:, :, 0],
        "mano_valid": hands,
        "vertices_valid": hands,
        "intrinsics": matrix,
        "intrinsics_valid": np.ones(DRAWS, bool),
        "mask_valid": np.zeros(DRAWS, bool),
        "depth_valid": np.zeros(DRAWS, bool),
    }
    changes = [draw_change(AUGMENTATIONS[i % len(AUGMENTATIONS)], generator(0, 0, 0, i)) for i in range(DRAWS)]
    return labels, Change(*map(np.stack, zip(*changes, strict=True)))


def placed(drawn, per_hand):
    labels, changes = drawn
    slots = (np.arange(DRAWS) % 2).astype(np.int32)
    if per_hand:
        # To the right hand, but for every third.
        changes = changes._replace(mirror=np.arange(DRAWS) % 3 != 0)
    frames = np.tile(np.array([WIDTH, HEIGHT], np.float32), (DRAWS, 1))
    moved, affines = place_labels(labels, frames, slots, changes, SIZE, per_hand)
    pixels = labels["keypoints_2d"]
    if per_hand:
        pixels = pixels[np.arange(DRAWS), slots]
    return moved, affines, pixels


@pytest.mark.parametrize("per_hand", [True, False])
def test_projected_3d_is_2d_within_a_twentieth_of_a_pixel_and_the_picture_moves_as_they_do(drawn, per_hand):
    moved, affines, pixels = placed(drawn, per_hand)
    kept = moved["valid"]
    # A whole picture that is moved far may leave a hand outside.
    assert kept.mean() > (0.99 if per_hand else 0.8)
    assert {LEFT, RIGHT} == set(moved["side"][kept])
    found = projected(moved["intrinsics"], moved["keypoints_3d"] + [0, 0, 1] * ~kept[..., None, None])
    distances = np.linalg.norm(found - moved["keypoints_2d"], axis=-1)[kept]
    assert distances.max() < 0.05, f"{distances.max():.3f} px"
    shape = (DRAWS, *[1] * (pixels.ndim - 2), 2, 3)
    affines = affines.astype(np.float64).reshape(shape)
    # As OpenCV counts pixels, from the first one's centre.
    drawn_at = np.einsum("...ij,...j->...i", affines[..., :2], pixels - 0.5) + affines[..., 2] + 0.5
    assert np.abs(drawn_at - moved["keypoints_2d"])[kept].max() < 0.05


def test_single_hands_are_right_where_asked_for_and_as_they_were_where_not(drawn):
    moved, _, _ = placed(drawn, True)
    numbers = np.arange(DRAWS)
    expected = np.where((numbers % 3 != 0) | (numbers % 2 == 0), RIGHT, LEFT)
    np.testing.assert_array_equal(moved["side"][moved["valid"]], expected[moved["valid"]])


def test_bones_keep_their_lengths(drawn):
    moved, _, _ = placed(drawn, False)
    labels, kept = drawn[0], moved["valid"]
    before, after = (
        np.linalg.norm(np.diff(points[kept], axis=1), axis=-1)
        for points in (labels["keypoints_3d"], moved["keypoints_3d"])
    )
    np.testing.assert_allclose(after, before, atol=2e-6)
