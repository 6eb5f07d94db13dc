"""Detection, hand types, silhouettes and motion: worked by hand, and the same under jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handjax import metrics

BOXES = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10]])


def test_boxes_overlap_as_worked_by_hand():
    half = np.array([[5.0, 0, 15, 10], [0, 0, 10, 10], [12, 0, 12, 10]])
    wanted = [[50 / 150, 0], [1, 0], [0, 0]]
    np.testing.assert_allclose(metrics.box_iou(half, BOXES), wanted)
    np.testing.assert_allclose(jax.jit(metrics.box_iou)(jnp.asarray(half), jnp.asarray(BOXES)), wanted, rtol=1e-6)
    assert metrics.box_iou(half[2:], half[2:]) == 0
    assert metrics.box_iou(np.zeros((0, 4)), BOXES).shape == (0, 2)


def test_keypoints_are_as_near_and_as_similar_as_worked_by_hand():
    true = np.zeros((2, 21, 2))
    true[1] += 100
    predicted = true[:1] + [3.0, 4.0]
    valid = np.ones((2, 21), bool)
    valid[1] = False
    np.testing.assert_allclose(metrics.keypoint_distance(predicted, true), [[5, np.hypot(97, 96)]])
    np.testing.assert_array_equal(metrics.keypoint_distance(predicted, true, valid), [[5, np.inf]])
    area = np.array([100.0**2, 0.0])
    # COCO: exp(-d^2 / (2 area k^2)) with k twice the sigma.
    wanted = np.mean([np.exp(-25 / (2 * 100**2 * (2 * sigma) ** 2)) for sigma in metrics.HAND_SIGMAS])
    np.testing.assert_allclose(metrics.keypoint_similarity(predicted, true, area, valid), [[wanted, 0]])
    np.testing.assert_allclose(metrics.keypoint_similarity(true, true, area)[0], [1, 0])


def test_the_best_score_chooses_first_and_each_hand_is_found_once():
    similarity = np.array([[0.6, 0.0], [0.9, 0.0], [0.55, 0.7], [0.0, 0.4]])
    matches = metrics.match(similarity, [0.9, 0.8, 0.7, 0.6], 0.5)
    # The second fits the first hand better, but the first has taken it.
    np.testing.assert_array_equal(matches.true, [0, -1, 1, -1])
    np.testing.assert_array_equal(matches.correct, [True, False, True, False])
    assert metrics.precision_recall([matches]) == (0.5, 1.0)
    assert metrics.precision_recall([matches], 0.85) == (1.0, 0.5)
    np.testing.assert_array_equal(metrics.match(similarity, [0.1, 0.9, 0.2, 0.3], 0.5).true, [0, -1, 1, -1])


def test_precision_and_recall_are_over_all_pictures():
    none_found = metrics.match(np.zeros((0, 3)), [], 0.5)
    none_there = metrics.match(np.zeros((1, 0)), [0.9], 0.5)
    found = metrics.match([[1.0]], [0.9], 0.5)
    assert metrics.precision_recall([none_found, none_there, found]) == (0.5, 0.25)
    assert np.isnan(metrics.precision_recall([])).all()
    assert np.isnan(metrics.precision_recall([none_found])[0])
    assert metrics.average_precision([none_found]) == 0
    assert np.isnan(metrics.average_precision([none_there]))


def test_average_precision_worked_by_hand():
    # Right, wrong, right of two: precision 1 to recall 1/2, then 2/3; COCO reads 51 recalls of the first, 50 after.
    matches = metrics.match([[1.0, 0], [0, 0], [0, 1.0]], [0.9, 0.8, 0.7], 0.5)
    assert metrics.average_precision([matches]) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert metrics.average_precision([metrics.match(np.eye(3), [1, 1, 1], 0.5)]) == 1


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_matches_are_pairs_and_a_lower_threshold_finds_no_less(seed):
    local = np.random.default_rng(seed)
    similarity = local.uniform(size=(local.integers(0, 6), local.integers(0, 6)))
    scores = local.uniform(size=len(similarity))
    strict, loose = (metrics.match(similarity, scores, threshold) for threshold in (0.7, 0.3))
    taken = loose.true[loose.correct]
    assert len(set(taken)) == len(taken)
    assert strict.correct.sum() <= loose.correct.sum()


def test_hand_types_must_be_right_on_both_sides():
    scores = np.array([[0.9, 0.1], [0.9, 0.6], [0.2, 0.7], [0.5, 0.9], [0.5, 0.9]])
    true = np.array([[1, 0], [1, 0], [0, 1], [1, 1], [0, 1]])
    np.testing.assert_allclose(metrics.hand_type_accuracy(scores, true), 2 / 5)
    accuracy = jax.jit(metrics.hand_type_accuracy)(jnp.asarray(scores), true, np.array([1, 0, 0, 0, 0], bool))
    assert accuracy == 1
    assert np.isnan(metrics.hand_type_accuracy(scores, true, np.zeros(5, bool)))


def test_silhouettes_overlap_as_worked_by_hand():
    true = np.zeros((3, 4, 4))
    predicted = true.copy()
    true[0, :2], predicted[0, 1:3] = 1, 0.9
    true[1, 0, 0] = 1
    np.testing.assert_allclose(metrics.mask_iou(predicted, true), [4 / 12, 0, np.nan])
    np.testing.assert_allclose(metrics.mean_iou(predicted, true), (4 / 12 + 0) / 2)
    np.testing.assert_allclose(jax.jit(metrics.mean_iou)(jnp.asarray(predicted), true), 1 / 6, rtol=1e-6)
    assert np.isnan(metrics.mean_iou(predicted[2:], true[2:]))
    assert metrics.mean_iou(predicted[:1], true[:1], 0.95) == 0


def test_motions_worked_by_hand():
    seconds = np.arange(6)[:, None, None] / 10
    direction = np.array([[0.0, 3, 4]])
    even, falling = seconds * direction, 0.5 * seconds**2 * direction
    for points, acceleration in ((even, 0), (falling, 5)):
        np.testing.assert_allclose(metrics.acceleration(points, 10), acceleration, atol=1e-10)
        np.testing.assert_allclose(metrics.jitter(points, 10), 0, atol=1e-9)
        np.testing.assert_allclose(metrics.acceleration_error(points, even, 10), acceleration, atol=1e-10)
    np.testing.assert_allclose(metrics.jitter(seconds**3 / 6 * direction, 10), 5)
    np.testing.assert_allclose(metrics.acceleration(falling, 1), 0.05)


def test_differences_need_all_of_their_frames():
    points = np.zeros((5, 2, 3))
    points[0] = np.nan
    valid = np.ones((5, 2), bool)
    valid[0] = False
    points[2, 1] = [1, 0, 0]
    # Of the second point, accelerations of 2, at its centre, and 1 beside it; of the first, zeros.
    np.testing.assert_allclose(metrics.acceleration(points, 1, valid), (2 + 1 + 0 + 0) / 4)
    valid[3] = False
    assert np.isnan(metrics.acceleration(points, 1, valid))
    assert np.isnan(metrics.jitter(points[:3], 30))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.box_iou(BOXES[:, :3], BOXES), r"predicted must have shape \(..., 4\)"),
        (lambda: metrics.match(np.zeros(3), [1, 1, 1], 0.5), r"similarity must have shape \(P, T\)"),
        (lambda: metrics.match(np.zeros((3, 2)), [1, 1], 0.5), r"scores \(P,\), got \(3, 2\), \(2,\)"),
        (lambda: metrics.match([[np.nan]], [1], 0.5), "got nan"),
        (lambda: metrics.hand_type_accuracy(np.zeros((3, 3)), np.zeros((3, 3))), r"must have shape \(S, 2\)"),
        (lambda: metrics.mask_iou(np.zeros((3, 3)), np.zeros((3, 4))), "predicted must have the true masks' shape"),
        (lambda: metrics.jitter(np.zeros((5, 3)), 30), r"points must have shape \(T, N, 3\)"),
        (lambda: metrics.jitter(np.zeros((5, 2, 3)), 0), "frame_rate must be above 0"),
        (lambda: metrics.acceleration_error(np.zeros((5, 2, 3)), np.zeros((4, 2, 3)), 30), "true points' shape"),
    ],
)
def test_input_that_does_not_fit_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
