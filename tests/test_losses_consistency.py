"""Keypoints of the maps are given to the hands they belong to, and compared with those of the meshes."""

import jax
import numpy as np
import pytest

from handjax.losses import consistency as module
from handjax.losses import multihand
from handjax.losses.multihand import consistency
from tests.loss_checks import assert_finite, assert_gradient_of_differences, assert_nothing, mean

SIDE, STRIDE = 24, 2.0
keypoints_of_hands = jax.jit(multihand.keypoints_of_hands)


def drawn(*hands: np.ndarray, height: float = 0.9) -> np.ndarray:
    """(24, 24, 21) Gaussians of 1 cell at the keypoints (21, 2) pixels of hands."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    maps = np.full((SIDE, SIDE, 21), 1e-4)
    for keypoints in hands:
        for k, (x, y) in enumerate(keypoints / STRIDE):
            maps[..., k] = np.maximum(maps[..., k], height * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2)))
    return maps


def small_hand(x: float, y: float) -> np.ndarray:
    """(21, 2) pixels on a grid 8 wide and 12 high."""
    places = np.arange(21)
    return np.stack([x + 2.0 * (places % 5), y + 3.0 * (places // 5)], -1)


LEFT, RIGHT = small_hand(10.3, 14.6), small_hand(28.9, 17.2)
MAPS = drawn(LEFT, RIGHT)


def test_keypoints_are_found_to_a_part_of_a_cell():
    found, seen = keypoints_of_hands(MAPS, np.stack([LEFT, RIGHT]) + 1.0)
    assert np.all(np.asarray(seen) == 1)
    np.testing.assert_allclose(found, np.stack([LEFT, RIGHT]), atol=0.15)


def test_keypoints_go_to_their_own_hand_in_either_order():
    pixels = np.stack([RIGHT, LEFT]) - 1.5
    found, _ = keypoints_of_hands(MAPS, pixels)
    np.testing.assert_allclose(found, np.stack([RIGHT, LEFT]), atol=0.15)


def test_loss_is_the_mean_distance_in_pixels():
    pixels = np.stack([LEFT, RIGHT]) + [3.0, -4.0]
    assert mean(consistency, MAPS, pixels) == pytest.approx(5.0, abs=0.1)
    found, _ = keypoints_of_hands(MAPS, pixels)
    assert mean(consistency, MAPS, np.asarray(found)) == pytest.approx(0, abs=1e-4)


def test_an_empty_slot_takes_no_keypoints_and_counts_for_nothing():
    pixels = np.stack([LEFT + 2.0, LEFT])
    alone = mean(consistency, MAPS, pixels[:1])
    assert mean(consistency, MAPS, pixels, np.array([1, 0])) == pytest.approx(alone, rel=1e-6)
    pixels[1] = np.nan
    assert mean(consistency, MAPS, pixels, np.array([1, 0])) == pytest.approx(alone, rel=1e-6)
    assert_nothing(lambda p: consistency(MAPS, p, np.zeros(2)), pixels)
    assert_nothing(consistency, MAPS, np.stack([LEFT, RIGHT]), np.zeros(2))


def test_a_map_without_a_peak_is_not_compared():
    maps = MAPS.copy()
    maps[..., 3:] = 0.9 * module.LEAST_SCORE
    sums = consistency(maps, np.stack([LEFT, RIGHT]))
    assert sums.number == 6
    assert_nothing(consistency, np.zeros_like(MAPS), np.stack([LEFT, RIGHT]))
    assert_finite(lambda p: consistency(np.zeros_like(MAPS), p), np.zeros((2, 21, 2)))


def test_keypoints_far_from_a_hand_are_not_its_own():
    _, seen = keypoints_of_hands(drawn(RIGHT), np.stack([LEFT, RIGHT - 100]))
    assert not np.any(seen)


def test_both_the_maps_and_the_meshes_have_a_gradient():
    pixels = np.stack([LEFT, RIGHT]) + 1.3
    assert_gradient_of_differences(consistency, MAPS, pixels)
    assert_gradient_of_differences(lambda moved, maps: consistency(maps, moved), pixels, MAPS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: consistency(MAPS[..., :20], LEFT[None]), r"maps must have shape \(H, W, 21\)"),
        (lambda: consistency(MAPS, LEFT), r"pixels must have shape \(N, 21, 2\)"),
        (lambda: consistency(MAPS, LEFT[None], np.ones(2)), r"valid must have shape \(1,\)"),
    ],
)
def test_bad_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
