"""BiHand's terms: values by hand, gradients against differences, what is not valid, and the sums behind them."""

import jax
import numpy as np
import pytest

from handjax import losses
from handjax.losses import bihand, terms
from tests.loss_checks import assert_finite, assert_gradient_of_differences, assert_nothing, hand, mean

RNG = np.random.default_rng(0)
MAPS, MAP_TARGET = RNG.uniform(size=(2, 4, 5, 3)), RNG.uniform(size=(4, 5, 3))
IMAGES, IMAGE_TARGET = RNG.normal(size=(2, 4, 5)), RNG.uniform(size=(4, 5))
JOINTS = np.stack([hand(1), hand(2)])
QUATERNIONS = RNG.normal(size=(16, 4))
UNIT = RNG.normal(size=(16, 4))
UNIT /= np.linalg.norm(UNIT, axis=1, keepdims=True)


def test_heatmap_loss_is_the_pixelwise_square_summed_over_stacks():
    heatmaps, target = np.zeros((2, 2, 2, 2)), np.zeros((2, 2, 2))
    heatmaps[0, 0, 0, 0], heatmaps[1, 1, 1, 1], target[1, 1, 1] = 0.5, 0.25, 1.0
    # 0.5^2 and twice (1 and 0.75)^2 over eight entries.
    assert mean(bihand.heatmap, heatmaps, target) == pytest.approx((0.25 + 1.0 + 0.5625) / 8)
    assert mean(bihand.heatmap, heatmaps, target, [True, False]) == pytest.approx(0.25 / 4)
    assert mean(bihand.heatmap, np.stack([MAP_TARGET] * 2), MAP_TARGET) == 0


def test_released_heatmap_weight_is_that_of_half_the_sum_over_keypoints():
    heatmaps, target = RNG.uniform(size=(1, 4, 5, 21)), RNG.uniform(size=(4, 5, 21))
    released = 100 * sum(0.5 * np.mean((heatmaps[..., k] - target[..., k]) ** 2) for k in range(21))
    assert bihand.RELEASED.heatmap * mean(bihand.heatmap, heatmaps, target) == pytest.approx(released, rel=1e-5)


def test_silhouette_loss_is_the_cross_entropy():
    logits, target = np.array([[[0.0, 2.0]], [[0.0, -2.0]]]), np.array([[1.0, 0.0]])
    # log 2 in both stacks; log(1 + e^2) and log(1 + e^-2).
    assert mean(bihand.silhouette, logits, target) == pytest.approx((2 * 0.693147 + 2.126928 + 0.126928) / 2, rel=1e-5)
    assert mean(bihand.silhouette, 100.0 * np.sign([[[1.0, -1.0]]]), target) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(mean(bihand.silhouette, np.full((1, 1, 2), 1e4), target))


def test_joint_loss_is_the_sum_over_keypoints_of_a_hand():
    joints = np.stack([JOINTS[0], JOINTS[0]])
    joints[0, 3] += [0.01, 0.02, 0.0]
    joints[1, 7] += [0.0, 0.0, 0.1]
    assert mean(bihand.joint, joints, JOINTS[0]) == pytest.approx(0.0005 + 0.01, rel=1e-4)
    assert mean(bihand.joint, JOINTS[:1], JOINTS[0]) == 0
    valid = np.ones(21)
    valid[7] = 0
    assert mean(bihand.joint, joints, JOINTS[0], valid) == pytest.approx(0.0005 * 21 / 20, rel=1e-4)


def test_released_joint_weight_is_that_of_the_mean_square_in_millimetres():
    released = np.mean((1000 * (JOINTS[:1] - JOINTS[1])) ** 2)
    assert bihand.RELEASED.joint * mean(bihand.joint, JOINTS[:1], JOINTS[1]) == pytest.approx(released, rel=1e-4)


def test_depth_loss_is_smooth_l1_with_its_knee_at_one():
    depths, target = np.array([[[0.5, 3.0]], [[0.0, 0.0]]]), np.zeros((1, 2))
    assert mean(bihand.depth, depths, target) == pytest.approx((0.125 + 2.5) / 2)
    assert mean(bihand.depth, np.ones((2, 3, 3)), np.ones((3, 3))) == 0


def test_quaternion_terms_by_hand():
    half_turn = np.tile([0.0, 2.0, 0.0, 0.0], (16, 1))
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (16, 1))
    quarter = np.tile([3.0, 3.0, 0.0, 0.0], (16, 1))
    assert mean(bihand.quaternion_cosine, half_turn, identity) == pytest.approx(1.0)
    assert mean(bihand.quaternion_cosine, quarter, identity) == pytest.approx(1 - np.sqrt(0.5), rel=1e-5)
    assert mean(bihand.quaternion_l2, half_turn, identity) == pytest.approx(2 / 4)
    assert mean(bihand.quaternion_norm, half_turn) == pytest.approx(1.0)
    # The other quaternion of the same rotation is another target.
    assert mean(bihand.quaternion_cosine, -identity, identity) == pytest.approx(2.0)
    for term in (bihand.quaternion_cosine, bihand.quaternion_l2):
        assert mean(term, 5 * UNIT, UNIT) == pytest.approx(0, abs=1e-6)
    assert mean(bihand.quaternion_norm, UNIT) == pytest.approx(0, abs=1e-6)


def test_bone_length_loss_is_free_of_scale_and_place():
    assert mean(bihand.bone_length, 3 * JOINTS[0] + 1, JOINTS[0]) == pytest.approx(0, abs=1e-6)
    longer = JOINTS[0].copy()
    # The thumb's last bone, doubled.
    longer[4] += longer[4] - longer[3]
    bone = np.linalg.norm(JOINTS[0][4] - JOINTS[0][3]) / np.linalg.norm(JOINTS[0][0] - JOINTS[0][9])
    assert mean(bihand.bone_length, longer, JOINTS[0]) == pytest.approx(bone**2, rel=1e-4)


def test_shape_prior_is_the_squared_norm():
    assert mean(bihand.betas, [1.0, -2.0, 0.5]) == pytest.approx(5.25)
    assert mean(bihand.betas, np.zeros(10)) == 0


GRADIENTS = [
    (bihand.heatmap, MAPS, MAP_TARGET),
    (bihand.silhouette, IMAGES, IMAGE_TARGET),
    (bihand.joint, JOINTS, hand(3)),
    (bihand.depth, 2 * IMAGES, IMAGE_TARGET),
    (bihand.quaternion_cosine, QUATERNIONS, UNIT),
    (bihand.quaternion_l2, QUATERNIONS, UNIT),
    (bihand.quaternion_norm, QUATERNIONS),
    (bihand.bone_length, JOINTS[0], JOINTS[1]),
    (bihand.betas, QUATERNIONS[0]),
]


@pytest.mark.parametrize("case", GRADIENTS, ids=lambda case: case[0].__name__)
def test_gradients_are_those_of_differences(case):
    assert_gradient_of_differences(*case)


def test_gradients_are_finite_where_everything_is_zero_or_at_the_target():
    assert_finite(bihand.quaternion_cosine, np.zeros((16, 4)), UNIT)
    assert_finite(bihand.quaternion_l2, np.zeros((16, 4)), UNIT)
    assert_finite(bihand.quaternion_norm, np.zeros((16, 4)))
    assert_finite(bihand.quaternion_cosine, UNIT, UNIT)
    assert_finite(bihand.bone_length, np.zeros((21, 3)), JOINTS[0])
    assert_finite(bihand.bone_length, JOINTS[0], np.zeros((21, 3)))


def test_what_is_not_valid_may_hold_anything():
    nothing, unknown = np.float32(0), np.full
    assert_nothing(bihand.heatmap, MAPS, unknown(MAP_TARGET.shape, np.nan), np.zeros(3))
    assert_nothing(bihand.silhouette, IMAGES, unknown(IMAGE_TARGET.shape, np.nan), nothing)
    assert_nothing(bihand.joint, JOINTS, unknown((21, 3), np.nan), np.zeros(21))
    assert_nothing(bihand.depth, IMAGES, unknown(IMAGE_TARGET.shape, np.nan), nothing)
    assert_nothing(bihand.quaternion_cosine, QUATERNIONS, unknown((16, 4), np.nan), nothing)
    assert_nothing(bihand.quaternion_l2, QUATERNIONS, unknown((16, 4), np.nan), nothing)
    assert_nothing(bihand.quaternion_norm, QUATERNIONS, nothing)
    assert_nothing(bihand.bone_length, JOINTS[0], unknown((21, 3), np.nan), np.zeros(21))
    assert_nothing(bihand.betas, QUATERNIONS[0], nothing)


def test_a_batch_and_its_devices_weigh_every_keypoint_alike():
    valid = np.ones((2, 21), np.float32)
    valid[1, 1:] = 0
    joints, target = np.zeros((2, 1, 21, 3), np.float32), np.zeros((2, 21, 3), np.float32)
    joints[0, 0, :, 0], joints[1, 0, 0, 0] = 1.0, 2.0
    sums = jax.vmap(bihand.joint)(joints, target, valid)
    whole = (21 + 4) / (22 / 21)
    assert losses.mean_of(sums) == pytest.approx(whole)
    spread = jax.vmap(lambda one: losses.mean_of(one, "devices"), axis_name="devices")(sums)
    np.testing.assert_allclose(spread, [whole, whole], rtol=1e-6)


def test_weighted_sum_takes_the_weights_of_the_terms_that_are_there():
    terms_of = {"joint": bihand.joint(JOINTS, JOINTS[1]), "betas": bihand.betas(np.ones(10))}
    means = losses.means_of(terms_of)
    expected = 1000 * mean(bihand.joint, JOINTS, JOINTS[1]) + 10
    assert losses.weighted(means, bihand.PAPER) == pytest.approx(expected, rel=1e-6)
    # A weight of 0 switches a term off even if it is not finite.
    assert losses.weighted({"betas": np.float32(np.nan)}, bihand.RELEASED) == 0
    with pytest.raises(ValueError, match="means must be among heatmap, .* got beta"):
        losses.weighted({"beta": means["betas"]}, bihand.PAPER)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bihand.heatmap(MAP_TARGET, MAP_TARGET), "heatmaps must have shape"),
        (lambda: bihand.heatmap(MAPS, MAPS), r"target must have shape \(4, 5, 3\)"),
        (lambda: bihand.heatmap(MAPS, MAP_TARGET, np.ones(1)), r"valid must have shape \(3,\)"),
        (lambda: bihand.silhouette(IMAGES, IMAGES), r"target must have shape \(4, 5\)"),
        (lambda: bihand.silhouette(IMAGE_TARGET, IMAGE_TARGET), "logits must have shape"),
        (lambda: bihand.joint(JOINTS[0], JOINTS[0]), r"joints must have shape \(S, 21, 3\)"),
        (lambda: bihand.depth(IMAGES, IMAGE_TARGET.T), "target must have shape"),
        (lambda: bihand.quaternion_cosine(UNIT[:, :3], UNIT), r"quaternions must have shape \(J, 4\)"),
        (lambda: bihand.quaternion_l2(UNIT, UNIT[:3]), "target must have shape"),
        (lambda: bihand.bone_length(JOINTS, JOINTS), r"joints must have shape \(21, 3\)"),
        (lambda: bihand.betas(np.zeros((2, 10))), r"betas must have shape \(n,\)"),
        (lambda: terms.point_squares(np.zeros((4, 2)), np.zeros((4, 3))), "target must have shape"),
    ],
)
def test_bad_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
