"""Alignments, errors, curves and F-scores: worked by hand, against float64 loops, and the same under jit in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from handjax import metrics
from tests import reference_metrics as reference

rng = np.random.default_rng(2)
TRUE = rng.normal(size=(6, 21, 3)) * 0.05 + [0, 0, 0.6]
NEAR = TRUE + rng.normal(size=TRUE.shape) * 0.01
VALID = rng.uniform(size=(6, 21)) < 0.7
SEEDS = st.integers(0, 2**32 - 1)


def all_metrics(predicted, true, valid):
    """One value or more of each metric of points, for the same on both array modules."""
    errors = metrics.distances(predicted, true)
    return {
        "mpjpe": metrics.mpjpe(predicted, true, valid),
        "mpvpe": metrics.mpvpe(predicted, true),
        "pa_mpjpe": metrics.pa_mpjpe(predicted, true, valid),
        "pa_mpvpe": metrics.pa_mpvpe(predicted, true, reflections=True),
        "epe": metrics.epe(predicted, true, valid),
        "epe_scaled": metrics.epe(predicted, true, valid, root=(9,), bone=(0, 9)),
        "epe_bones": metrics.epe(predicted, true, valid, bone=(9, 10), in_bones=True),
        "centroid": metrics.mpjpe(metrics.align_centroid_scale(predicted, true, valid), true, valid),
        "mrrpe": metrics.mrrpe(predicted[:3], predicted[3:], true[:3], true[3:]),
        "pixel": metrics.pixel_error(predicted[..., :2], true[..., :2], valid),
        "pck": metrics.pck(errors, np.array([0.01, 0.02]), valid),
        "auc": metrics.auc(errors, 0.0, 0.05, 20, valid),
        "f": metrics.f_score(predicted, true, (0.005, 0.015)),
        "acceleration": metrics.acceleration_error(predicted, true, 30.0, valid),
        "jitter": metrics.jitter(predicted, 30.0),
    }


jitted = jax.jit(all_metrics)


def test_under_jit_in_float32_each_metric_is_what_it_is_in_float64():
    exact = all_metrics(NEAR, TRUE, VALID)
    fast = jitted(jnp.asarray(NEAR, jnp.float32), jnp.asarray(TRUE, jnp.float32), jnp.asarray(VALID))
    for name, value in exact.items():
        assert np.asarray(value).dtype == np.float64, name
        assert fast[name].dtype == np.float32, name
        np.testing.assert_allclose(fast[name], value, rtol=1e-4, err_msg=name)


def test_under_jit_hands_without_a_valid_joint_give_nan_and_leave_the_others_alone():
    valid = VALID.copy()
    valid[2] = False
    broken = np.where(valid[..., None], NEAR, np.nan)
    fast = jitted(jnp.asarray(broken, jnp.float32), jnp.asarray(TRUE, jnp.float32), jnp.asarray(valid))
    exact = all_metrics(broken, TRUE, valid)
    for name in ("mpjpe", "pa_mpjpe", "centroid", "pixel"):
        assert np.isnan(fast[name][2]) and np.isnan(exact[name][2]), name
        others = np.arange(6) != 2
        np.testing.assert_allclose(fast[name][others], exact[name][others], rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(fast["pck"], exact["pck"], rtol=1e-4)


def test_a_nan_that_counts_makes_its_own_hand_nan_alone():
    broken = NEAR.copy()
    broken[2, 5, 1] = np.nan
    for errors in (metrics.pa_mpjpe(broken, TRUE), jitted(jnp.asarray(broken), TRUE, VALID | True)["pa_mpjpe"]):
        np.testing.assert_array_equal(np.isnan(errors), np.arange(6) == 2)


def test_errors_are_those_of_loops():
    errors = [[np.linalg.norm(NEAR[i, j] - TRUE[i, j]) for j in range(21) if VALID[i, j]] for i in range(len(TRUE))]
    np.testing.assert_allclose(metrics.mpjpe(NEAR, TRUE, VALID), [np.mean(one) for one in errors], rtol=1e-12)
    for i in range(len(TRUE)):
        mine = metrics.align_similarity(NEAR[i], TRUE[i], reflections=True)
        wanted = reference.mirrored_or_turned(NEAR[i], TRUE[i])[0]
        # The evaluators' guard moves points by nanometres.
        np.testing.assert_allclose(mine, wanted, atol=1e-8)
        guarded = metrics.align_similarity(NEAR[i], TRUE[i], reflections=True, guard=1e-8)
        np.testing.assert_allclose(guarded, wanted, atol=1e-14)
        some = VALID[i]
        wanted = reference.turned(NEAR[i][some], TRUE[i][some])
        found = metrics.align_similarity(NEAR[i], TRUE[i], some, reflections=False)[some]
        # SciPy's rotation is only good to 1e-7.
        np.testing.assert_allclose(found, wanted, atol=1e-7)
        wanted = reference.true_bone(NEAR[i], TRUE[i], 9, (0, 9))
        np.testing.assert_allclose(metrics.align_scale_translation(NEAR[i], TRUE[i], (9,)), wanted, atol=1e-14)


def test_f_scores_are_those_of_trees_for_meshes_of_any_size():
    for sizes in ((778, 778), (1, 130), (64, 65), (129, 3)):
        predicted, true = (rng.normal(size=(2, size, 3)) * 0.02 for size in sizes)
        wanted = [[reference.f_score(a, b, t) for t in (0.005, 0.015)] for a, b in zip(predicted, true, strict=True)]
        np.testing.assert_allclose(metrics.f_score(predicted, true, (0.005, 0.015)), wanted, atol=1e-12)


def test_nearest_distances_in_tiles_under_jit_are_those_in_float64():
    # More than a tile of points and than one round of hands.
    predicted, true = rng.normal(size=(65, 66, 3)) * 0.02, rng.normal(size=(65, 5, 3)) * 0.02
    found = jax.jit(metrics.nearest_distances)(jnp.asarray(predicted), jnp.asarray(true))
    for mine, exact in zip(found, metrics.nearest_distances(predicted, true), strict=True):
        np.testing.assert_allclose(mine, exact, atol=1e-7)


def test_f_scores_of_many_meshes_under_jit_never_hold_all_distances():
    shape = jax.ShapeDtypeStruct((2048, 778, 3), jnp.float32)
    compiled = jax.jit(lambda a, b: metrics.f_score(a, b, (0.005,))).lower(shape, shape).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    # Four times the distances of a tile, and what goes in and out; all of them would be 5 GB.
    tiles = 64 * 64 * 778 * 4
    assert memory.temp_size_in_bytes < 4 * tiles + 4 * 2048 * 778 * 3 * 4


def test_the_truth_has_no_error_and_a_shift_has_its_length():
    for metric in (metrics.mpjpe, metrics.pa_mpjpe, metrics.epe):
        np.testing.assert_allclose(metric(TRUE, TRUE), 0, atol=1e-12)
    np.testing.assert_allclose(metrics.mpjpe(TRUE + [0.003, 0, 0.004], TRUE), 0.005)
    np.testing.assert_allclose(metrics.epe(TRUE + [0.003, 0, 0.004], TRUE), 0, atol=1e-12)
    np.testing.assert_array_equal(metrics.f_score(TRUE, TRUE, (0.005,)), 1)


def test_a_mirrored_hand_is_right_only_where_reflections_are_allowed():
    mirrored = TRUE * [-1, 1, 1]
    np.testing.assert_allclose(metrics.pa_mpjpe(mirrored, TRUE, reflections=True), 0, atol=1e-12)
    assert (metrics.pa_mpjpe(mirrored, TRUE, reflections=False) > 0.01).all()


def test_a_known_similarity_is_found():
    turn = Rotation.from_rotvec([0.3, -1.2, 2.0]).as_matrix()
    moved = 1.7 * TRUE[0] @ turn.T + [0.1, 0.2, -0.3]
    found = metrics.similarity(TRUE[0], moved, reflections=False)
    np.testing.assert_allclose(found.scale, 1.7)
    np.testing.assert_allclose(found.rotation, turn, atol=1e-12)
    np.testing.assert_allclose(metrics.move(found, np.zeros((1, 3))), [[0.1, 0.2, -0.3]], atol=1e-12)


def test_known_scales_worked_by_hand():
    true = np.zeros((21, 3))
    true[9], true[10], true[4] = [0.1, 0, 0], [0.1, 0.03, 0], [0, 0.02, 0]
    # Twice as large and one metre away: without the scale, joints 9, 10 and 4 are off by their own lengths.
    predicted = 2 * true + [0, 0, 1]
    lengths = [0.1, np.hypot(0.1, 0.03), 0.02]
    np.testing.assert_allclose(metrics.epe(predicted, true), sum(lengths) / 21)
    np.testing.assert_allclose(metrics.epe(predicted, true, bone=(0, 9)), 0, atol=1e-15)
    np.testing.assert_allclose(metrics.epe(true / 0.03, true, bone=(9, 10), in_bones=True), 0, atol=1e-15)
    # A hand in one place has no scale; it is put to the root.
    np.testing.assert_allclose(metrics.align_scale_translation(0 * true, true + 0.5), np.full((21, 3), 0.5))


def test_a_single_point_and_a_hand_in_one_place_are_put_on_the_centroid():
    one = np.array([[0.3, 0.1, 0.7]])
    for reflections in (True, False):
        np.testing.assert_allclose(metrics.pa_mpjpe(one, 2 * one, reflections=reflections), 0, atol=1e-15)
        found = metrics.align_similarity(np.zeros((21, 3)), TRUE[0], reflections=reflections)
        np.testing.assert_allclose(found, np.broadcast_to(TRUE[0].mean(axis=0), (21, 3)), atol=1e-15)
        only_one = np.arange(21) == 5
        np.testing.assert_allclose(metrics.pa_mpjpe(NEAR[0], TRUE[0], only_one, reflections=reflections), 0, atol=1e-15)


def test_points_on_a_line_are_laid_on_the_line():
    line = np.linspace(-1, 1, 21)[:, None]
    for reflections in (True, False):
        error = metrics.pa_mpjpe(line * [0.1, 0.2, 0.3], line * [0, 0, 0.5] + 1, reflections=reflections)
        np.testing.assert_allclose(error, 0, atol=1e-12)


def test_areas_under_curves_worked_by_hand():
    # PCK is 0 at 0, 1/2 at 10 and 20, and 1 at 30 mm.
    errors = np.array([[0.01], [0.025]])
    np.testing.assert_allclose(metrics.pck(errors, (0.0, 0.01, 0.02, 0.03)), [0, 0.5, 0.5, 1])
    np.testing.assert_allclose(metrics.auc(errors, 0.0, 0.03, 4), (0.25 + 0.5 + 0.75) / 3)
    np.testing.assert_allclose(metrics.auc(errors, 0.01, 0.02, 2), 0.5)
    # An error on the threshold is within it.
    np.testing.assert_allclose(metrics.pck(errors, (0.025,)), [1])
    np.testing.assert_allclose(metrics.auc(np.zeros((3, 21)), 0.0, 0.05), 1)
    np.testing.assert_allclose(metrics.auc(np.ones((3, 21)), 0.0, 0.05), 0)


def test_pck_is_the_mean_over_joints_and_not_over_all_that_is_valid():
    errors = np.array([[0.0, 1.0], [0.0, 0.0], [0.0, 9.0]])
    valid = np.array([[True, True], [False, True], [False, False]])
    np.testing.assert_allclose(metrics.pck(errors, (0.5,), valid), (1.0 + 0.5) / 2)
    # A joint that is never valid is no joint.
    valid[:, 0] = False
    np.testing.assert_allclose(metrics.pck(errors, (0.5,), valid), 0.5)


def test_a_share_of_the_box_is_pck_of_errors_divided_by_it():
    errors = metrics.distances(np.zeros((2, 1, 2)), np.array([[[3.0, 4.0]], [[6.0, 8.0]]]))
    boxes = np.array([[100.0], [100.0]])
    np.testing.assert_allclose(metrics.pck(errors / boxes, (0.05, 0.1)), [0.5, 1])


def test_f_scores_worked_by_hand():
    true = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    # One of two near, and so one of four: P = 1/2, R = 1/4.
    predicted = np.array([[0.25, 0, 0], [9, 0, 0]])
    np.testing.assert_allclose(metrics.f_score(predicted, true, (0.5,)), 2 * 0.5 * 0.25 / 0.75)
    # Nearer than, not at, the threshold.
    np.testing.assert_array_equal(metrics.f_score(predicted, true, (0.25,)), 0)
    for empty in (np.zeros((0, 3)), jnp.zeros((0, 3))):
        np.testing.assert_array_equal(metrics.f_score(empty, true, (0.5,)), 0)
        np.testing.assert_array_equal(metrics.f_score(true, empty, (0.5,)), 0)
    assert metrics.f_score(np.zeros((0, 4, 3)), np.zeros((0, 5, 3)), (0.5, 1)).shape == (0, 2)


def test_mrrpe_worked_by_hand():
    left, right = np.zeros((2, 21, 3)), np.zeros((2, 21, 3))
    far = left + [0.1, 0, 0]
    np.testing.assert_allclose(metrics.mrrpe(far, right, left, right), 0.1)
    # Both hands moved together are right.
    np.testing.assert_allclose(metrics.mrrpe(far, right + [0.1, 0, 0], left, right), 0, atol=1e-15)
    far[1] += [0.3, 0, 0]
    np.testing.assert_allclose(metrics.mrrpe(far, right, left, right, np.array([True, False])), 0.1)
    assert np.isnan(metrics.mrrpe(far, right, left, right, np.array([False, False])))


def test_empty_sets_give_nan():
    nothing = np.zeros((0, 21, 3))
    assert metrics.mpjpe(nothing, nothing).shape == (0,)
    assert metrics.pa_mpjpe(nothing, nothing).shape == (0,)
    assert np.isnan(metrics.mean_valid(metrics.mpjpe(nothing, nothing)))
    assert np.isnan(metrics.pck(np.zeros((0, 21)), (0.1,)))
    assert np.isnan(metrics.auc(np.zeros((2, 21)), 0.0, 0.05, valid=np.zeros((2, 21), bool)))
    assert np.isnan(metrics.mpjpe(np.zeros((2, 0, 3)), np.zeros((2, 0, 3)))).all()


@given(SEEDS, st.floats(0.01, 100))
@settings(max_examples=50)
def test_the_error_after_a_similarity_is_the_same_for_every_similar_prediction(seed, scale):
    local = np.random.default_rng(seed)
    true, predicted = local.normal(size=(2, 21, 3))
    turn = Rotation.random(rng=local).as_matrix()
    moved = scale * predicted @ turn.T + local.normal(size=3)
    for reflections in (True, False):
        before = metrics.pa_mpjpe(predicted, true, reflections=reflections)
        np.testing.assert_allclose(metrics.pa_mpjpe(moved, true, reflections=reflections), before, rtol=1e-9)
    mirrored = metrics.pa_mpjpe(moved * [1, -1, 1], true, reflections=True)
    np.testing.assert_allclose(mirrored, metrics.pa_mpjpe(predicted, true, reflections=True), rtol=1e-9)


@given(SEEDS)
@settings(max_examples=50)
def test_no_rotation_or_scale_fits_better_than_the_similarity(seed):
    local = np.random.default_rng(seed)
    true, predicted = local.normal(size=(2, 8, 3))
    best = metrics.align_similarity(predicted, true)
    with_mirror = np.sum((metrics.align_similarity(predicted, true, reflections=True) - true) ** 2)
    least = np.sum((best - true) ** 2)
    assert with_mirror <= least * (1 + 1e-12)
    about = best - best.mean(axis=0)
    turned = about @ Rotation.from_rotvec(local.normal(size=3) * 0.1).as_matrix().T * local.uniform(0.9, 1.1)
    assert np.sum((turned + best.mean(axis=0) - true) ** 2) >= least * (1 - 1e-12)


@given(SEEDS, st.floats(0, 0.03), st.floats(0.031, 0.1))
@settings(max_examples=50)
def test_pck_rises_with_the_threshold_and_auc_lies_in_0_to_1(seed, low, high):
    local = np.random.default_rng(seed)
    errors, valid = local.exponential(0.03, (5, 21)), local.uniform(size=(5, 21)) < 0.8
    valid[0, 0] = True
    curve = metrics.pck(errors, np.linspace(low, high, 15), valid)
    assert (np.diff(curve) >= 0).all()
    area = metrics.auc(errors, low, high, 15, valid)
    assert 0 <= area <= 1
    assert metrics.auc(errors * 0.9, low, high, 15, valid) >= area


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.mpjpe(TRUE, TRUE[:, :20]), r"predicted must have the true points' shape \(6, 20, 3\)"),
        (lambda: metrics.mpjpe(TRUE, TRUE, VALID[:, :20]), r"valid must have shape \(6, 21\) or its first axes"),
        (lambda: metrics.similarity(TRUE[..., :2], TRUE), r"points must have shape \(..., 3\)"),
        (lambda: metrics.similarity(TRUE, TRUE[..., :2]), r"target must have shape \(..., 3\)"),
        (lambda: metrics.similarity(TRUE, TRUE[:, :9]), r"target must have the points' shape"),
        (lambda: metrics.epe(TRUE, TRUE, in_bones=True), "bone must be given for a prediction in_bones"),
        (lambda: metrics.pck(TRUE, (0.1,)), r"errors must have shape \(S, N\), got \(6, 21, 3\)"),
        (lambda: metrics.auc(np.zeros((2, 2)), 0.0, 0.1, 1), "2 or more thresholds"),
        (lambda: metrics.area_under(np.zeros(3), np.zeros(4)), "2 or more thresholds"),
        (lambda: metrics.auc(np.zeros((2, 2)), 0.1, 0.1), "thresholds must rise"),
        (lambda: metrics.f_score(TRUE, TRUE[:3], (0.1,)), "second must have first's leading axes"),
        (lambda: metrics.f_score(TRUE[0, 0], TRUE, (0.1,)), r"first must have shape \(..., N, 3\)"),
        (lambda: metrics.nearest_distances(TRUE, TRUE[..., :2]), r"second must have shape \(..., 3\)"),
    ],
)
def test_input_that_does_not_fit_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
