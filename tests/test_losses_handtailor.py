"""HandTailor's terms: values by hand, gradients against differences, and what is not valid."""

import numpy as np
import pytest

from handjax import losses
from handjax.losses import handtailor
from tests.loss_checks import assert_finite, assert_gradient_of_differences, assert_nothing, hand, mean

RNG = np.random.default_rng(2)
JOINTS, OTHER = hand(1), hand(2)
MAPS, MAP_TARGET = RNG.uniform(size=(2, 3, 3, 21)), RNG.uniform(size=(3, 3, 21))
QUATERNIONS = RNG.normal(size=(16, 4))
IDENTITY = np.tile([1.0, 0.0, 0.0, 0.0], (16, 1))
DEPTH, DEPTH_TARGET = RNG.uniform(0.4, 0.6, size=(2, 3, 4))
MASK, MASK_TARGET = RNG.uniform(size=(2, 3, 4))


def test_heatmap_loss_is_the_pixelwise_mean_square_summed_over_stacks():
    heatmaps = np.stack([MAP_TARGET, MAP_TARGET + 0.5])
    assert mean(handtailor.heatmap, heatmaps, MAP_TARGET) == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize("term", [handtailor.joint_3d, handtailor.mano])
def test_joint_losses_are_mean_squares_of_coordinates(term):
    moved = JOINTS.copy()
    moved[2] += [0.3, 0.0, 0.4]
    assert mean(term, moved, JOINTS) == pytest.approx(0.25 / 63, rel=1e-4)
    assert mean(term, moved, JOINTS, np.arange(21) < 3) == pytest.approx(0.25 / 9, rel=1e-4)
    assert mean(term, JOINTS, JOINTS) == 0


def test_root_and_shape_losses_are_squares():
    assert mean(handtailor.root, 5.5, 5.0) == pytest.approx(0.25)
    assert mean(handtailor.root, 5.0, 5.0) == 0
    assert mean(handtailor.betas, [3.0, -4.0]) == pytest.approx(25.0)
    assert mean(handtailor.betas, np.zeros(10)) == 0


def test_ik_loss_is_cosine_plus_distance_plus_norm():
    # A quarter turn of length 3: 1 - cos 45 degrees, 2 - 2 cos 45 degrees, and 2^2.
    quarter = np.tile(3 * np.array([1.0, 0.0, 1.0, 0.0]) / np.sqrt(2), (16, 1))
    assert mean(handtailor.ik, quarter, IDENTITY) == pytest.approx(3 * (1 - np.sqrt(0.5)) + 4, rel=1e-5)
    assert mean(handtailor.ik, IDENTITY, IDENTITY) == 0


def test_shape_branch_compares_depths_that_both_have():
    depth, target = np.array([[0.5, 0.0, 0.6, np.nan]]), np.array([[0.52, 0.5, 0.6, 0.5]])
    assert mean(handtailor.shape_depth, depth, target) == pytest.approx(0.0004 / 2, rel=1e-4)
    assert mean(handtailor.shape_depth, target, target) == 0
    assert mean(handtailor.shape_silhouette, [[0.0, 0.5]], [[1.0, 1.0]]) == pytest.approx(1.25 / 2)
    assert mean(handtailor.shape_silhouette, MASK, MASK) == 0


def test_the_weights_are_those_of_equations_6_and_7():
    terms = {
        "heatmap": handtailor.heatmap(MAP_TARGET[None] + 0.1, MAP_TARGET),
        "root": handtailor.root(1.0, 0.0),
        "mano": handtailor.mano(JOINTS + 1.0, JOINTS),
        "shape_depth": handtailor.shape_depth(DEPTH, DEPTH_TARGET),
    }
    total = losses.weighted(losses.means_of(terms), handtailor.PAPER)
    assert total == pytest.approx(100 * 0.01 + 0.1 * 1.0 + 0.1 * 1.0, rel=1e-4)


GRADIENTS = [
    (handtailor.heatmap, MAPS, MAP_TARGET),
    (handtailor.joint_3d, JOINTS, OTHER),
    (handtailor.root, np.array(5.5), 5.0),
    (handtailor.betas, QUATERNIONS[0]),
    (handtailor.ik, QUATERNIONS, IDENTITY),
    (handtailor.shape_depth, DEPTH, DEPTH_TARGET),
    (handtailor.shape_silhouette, MASK, MASK_TARGET),
]


@pytest.mark.parametrize("case", GRADIENTS, ids=lambda case: case[0].__name__)
def test_gradients_are_those_of_differences(case):
    assert_gradient_of_differences(*case)


def test_gradients_are_finite_where_everything_is_zero_or_at_the_target():
    assert_finite(handtailor.ik, np.zeros((16, 4)), IDENTITY)
    assert_finite(handtailor.ik, IDENTITY, IDENTITY)


def test_what_is_not_valid_may_hold_anything():
    nothing = np.float32(0)
    assert_nothing(handtailor.heatmap, MAPS, np.full(MAP_TARGET.shape, np.nan), np.zeros(21))
    assert_nothing(handtailor.joint_3d, JOINTS, np.full((21, 3), np.nan), np.zeros(21))
    assert_nothing(handtailor.root, np.array(1.0), np.nan, nothing)
    assert_nothing(handtailor.betas, QUATERNIONS[0], nothing)
    assert_nothing(handtailor.ik, QUATERNIONS, np.full((16, 4), np.nan), nothing)
    assert_nothing(handtailor.shape_depth, DEPTH, np.zeros((3, 4)))
    assert_nothing(handtailor.shape_depth, DEPTH, np.full((3, 4), np.inf))
    assert_nothing(handtailor.shape_silhouette, MASK, np.full((3, 4), np.nan), nothing)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: handtailor.heatmap(MAP_TARGET, MAP_TARGET), "heatmaps must have shape"),
        (lambda: handtailor.joint_3d(JOINTS[:20], JOINTS[:20]), r"joints must have shape \(21, 3\)"),
        (lambda: handtailor.mano(JOINTS, JOINTS[None]), "target must have shape"),
        (lambda: handtailor.root(np.zeros(2), np.zeros(2)), r"root_depth must have shape \(\)"),
        (lambda: handtailor.betas(np.zeros((1, 10))), "betas must have shape"),
        (lambda: handtailor.ik(np.zeros(48), IDENTITY), "quaternions must have shape"),
        (lambda: handtailor.shape_depth(DEPTH, DEPTH.T), "target must have shape"),
        (lambda: handtailor.shape_silhouette(MASK[None], MASK), "mask must have shape"),
    ],
)
def test_bad_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
