"""Hands from 2D keypoints alone, and from what a detector gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.camera import Camera, project
from handjax.optim.from_keypoints import fit_keypoints
from handjax.optim.multistart import fit_2d
from tests import toy
from tests.solver_hands import (
    CAMERA,
    as_params,
    distance_mm,
    free_hand,
    from_knuckle,
    keypoints,
    quick_jit,
    sample,
    scale_aligned_mm,
    seen,
)

COUNT = 30


@quick_jit
def fitted(pixels, focal, confidence):
    return fit_2d(free_hand(), pixels, Camera(focal, CAMERA.center), confidence=confidence)


@quick_jit
def detected(pixels, focal, center, confidence):
    return fit_keypoints(free_hand(), pixels, focal, center, confidence=confidence)


@quick_jit
def detected_in_space(pixels, focal, center, confidence, points):
    return fit_keypoints(free_hand(), pixels, focal, center, confidence=confidence, keypoints_3d=points)


def camera_of_each() -> tuple[jax.Array, jax.Array]:
    return jnp.tile(CAMERA.focal, (COUNT, 1)), jnp.tile(CAMERA.center, (COUNT, 1))


@pytest.fixture(scope="module")
def points() -> jax.Array:
    return keypoints(free_hand(), sample(COUNT, seed=20))


@pytest.fixture(scope="module")
def result(points):
    return fitted(seen(points), CAMERA.focal, jnp.ones((COUNT, 21)))


@pytest.mark.slow
def test_seven_in_ten_hands_are_found_within_a_centimetre_by_one_of_two_hypotheses(result, points):
    found = result.hypotheses.keypoints
    errors = np.stack([scale_aligned_mm(found[:, hypothesis], points) for hypothesis in (0, 1)])
    assert np.mean(errors.min(0) < 10) >= 0.7
    # The first alone is the better guess of the two.
    assert np.mean(errors[0] < 10) > np.mean(errors[1] < 10)


def test_the_first_hypothesis_explains_the_picture_and_is_the_better_of_the_two(result):
    energy = np.asarray(result.hypotheses.energy)
    assert (energy[:, 0] <= energy[:, 1]).all()
    assert np.mean(np.asarray(result.hypotheses.error_px)[:, 0].mean(-1) < 1.0) >= 0.9


def test_hypotheses_are_reported_in_the_pixels_that_were_given(result, points):
    both = result.hypotheses
    np.testing.assert_allclose(both.camera.focal, np.full((COUNT, 2, 2), 500.0), rtol=1e-4)
    expected = project(CAMERA, both.keypoints)
    np.testing.assert_allclose(both.reprojected, expected, atol=0.05)
    apart = np.linalg.norm(expected - seen(points)[:, None], axis=-1)
    np.testing.assert_allclose(both.error_px, apart, atol=0.05)
    assert (np.asarray(both.keypoints)[..., 2] > 0).all()


def tilted_flat_hand(lean: float, focal: float) -> jax.Array:
    """(21, 3) keypoints of a flat hand that leans about its fingers, as large in the image at any focal length."""
    facing = np.array([[np.pi / 2 + lean, 0.0, 0.0]])
    params = as_params(np.zeros((1, 10)), facing, np.zeros((1, 45)), np.zeros((1, 3)))
    points = keypoints(free_hand(), params)[0]
    return points + (jnp.array([0.0, 0.0, focal / 1000]) - points[9])[None]


def test_a_flat_hand_from_afar_is_reported_as_ambiguous_with_both_ways_it_can_lean():
    far, near = 15000.0, 300.0
    points = tilted_flat_hand(0.35, far)
    pixels = project(Camera(jnp.full(2, far, jnp.float32), CAMERA.center), points)
    fit = fitted(jnp.tile(pixels[None], (COUNT, 1, 1)), jnp.full(2, far, jnp.float32), jnp.ones((COUNT, 21)))
    assert fit.ambiguous.all()
    depth = np.asarray(fit.hypotheses.keypoints)[0, ..., 2]
    depth = depth - depth.mean(-1, keepdims=True)
    truth = np.asarray(points[:, 2] - points[:, 2].mean())
    along = depth @ truth / (truth @ truth)
    assert along.max() > 0.9 and along.min() < -0.15
    # From near by, perspective tells the two apart.
    pixels = project(Camera(jnp.full(2, near, jnp.float32), CAMERA.center), tilted_flat_hand(0.35, near))
    fit = fitted(jnp.tile(pixels[None], (COUNT, 1, 1)), jnp.full(2, near, jnp.float32), jnp.ones((COUNT, 21)))
    assert not fit.ambiguous.any()


def test_unseen_keypoints_count_for_nothing_and_a_hand_of_none_stays_finite(points, result):
    pixels = seen(points).at[:, 16].set(jnp.nan).at[3].set(jnp.nan)
    confidence = jnp.ones((COUNT, 21)).at[:, 20].set(0.0)
    fit = fitted(pixels.at[:, 20].add(200.0), CAMERA.focal, confidence)
    assert all(np.isfinite(field).all() for field in fit.hypotheses.params)
    errors = np.asarray(fit.hypotheses.error_px)[np.arange(COUNT) != 3, 0]
    assert np.isnan(errors[:, [16, 20]]).all()
    assert np.mean(np.nanmean(errors, -1) < 1.0) >= 0.9


def test_a_detectors_keypoints_alone_give_a_hand_that_lies_on_them(points):
    fit = detected(seen(points, noise_px=1.0), *camera_of_each(), jnp.ones((COUNT, 21)))
    assert np.median(np.asarray(fit.error_px).mean(-1)) < 3.0
    np.testing.assert_allclose(fit.reprojected, project(CAMERA, fit.keypoints), atol=0.05)
    assert fit.ambiguous.dtype == bool and fit.ambiguous.shape == (COUNT,)
    assert (np.asarray(fit.keypoints)[..., 2] > 0).all()


def test_a_detectors_guess_in_space_decides_which_way_the_bones_lean(points):
    rng = np.random.default_rng(21)
    guess = from_knuckle(points) + rng.normal(size=points.shape) * 0.004 + [5.0, 0.0, 0.0]
    pixels = seen(points, noise_px=1.0)
    fit = detected_in_space(pixels, *camera_of_each(), jnp.ones((COUNT, 21)), jnp.asarray(guess, jnp.float32))
    errors = scale_aligned_mm(fit.keypoints, points)
    assert np.median(errors) < 8.0 and np.mean(errors < 15.0) >= 0.95
    assert np.median(np.asarray(fit.error_px).mean(-1)) < 3.0
    assert not fit.ambiguous.any()


def test_a_detectors_unseen_and_wild_keypoints_do_not_spoil_a_hand(points):
    pixels = seen(points).at[:, 8].set(jnp.nan).at[:, 12].add(150.0).at[5].set(jnp.nan)
    guess = jnp.asarray(from_knuckle(points), jnp.float32).at[:, 8].set(jnp.nan).at[6].set(jnp.nan)
    fit = detected_in_space(pixels, *camera_of_each(), jnp.ones((COUNT, 21)), guess)
    assert all(np.isfinite(field).all() for field in fit.params)
    assert np.isfinite(fit.keypoints).all()
    trusted = np.setdiff1d(np.arange(21), [8, 12])
    usual = np.setdiff1d(np.arange(COUNT), [5, 6])
    assert np.median(np.asarray(fit.error_px)[np.ix_(usual, trusted)].mean(-1)) < 3.0
    relative = distance_mm(from_knuckle(fit.keypoints)[:, trusted], from_knuckle(points)[:, trusted])
    assert np.median(relative[usual]) < 10.0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("keypoints_2d", {"keypoints_2d": jnp.zeros((21, 2))}),
        ("focal", {"focal": jnp.ones(2)}),
        ("center", {"center": jnp.ones((2, 3))}),
        ("confidence", {"confidence": jnp.ones((3, 21))}),
        ("confidence", {"confidence": jnp.ones((3, 21)), "keypoints_3d": jnp.zeros((2, 21, 3))}),
        ("keypoints_3d", {"keypoints_3d": jnp.zeros((2, 20, 3))}),
    ],
)
def test_a_detectors_wrong_shape_names_the_argument(name, change):
    arguments = {"keypoints_2d": jnp.zeros((2, 21, 2)), "focal": jnp.ones((2, 2)), "center": jnp.ones((2, 2))}
    with pytest.raises(ValueError, match=f"^{name} must have shape"):
        fit_keypoints(free_hand(), **(arguments | change))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("keypoints_2d", {"keypoints_2d": jnp.zeros((2, 20, 2))}),
        ("confidence", {"confidence": jnp.ones(21)}),
        ("camera.focal", {"camera": Camera(jnp.ones(3), jnp.ones(2))}),
    ],
)
def test_a_wrong_shape_names_the_argument(name, change):
    arguments = {"keypoints_2d": jnp.zeros((2, 21, 2)), "camera": CAMERA} | change
    with pytest.raises(ValueError, match=f"^{name} must have shape"):
        fit_2d(free_hand(), **arguments)


def test_hands_without_manos_tree_are_refused():
    other = mano.build(**toy.arrays(vertices=60, faces=10, parents=np.array([-1, 0, 1, 2])))
    with pytest.raises(ValueError, match="^model must have MANO's joint tree"):
        fit_2d(other, jnp.zeros((1, 21, 2)), CAMERA)
