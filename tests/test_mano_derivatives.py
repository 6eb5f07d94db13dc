"""Exact first and second derivatives of the posed hand at the zero pose, where every fit starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from tests import reference, toy

RAW = toy.arrays(seed=1, vertices=60, faces=100)
BETAS = np.random.default_rng(0).normal(size=10)
WATCHED = np.array([0, 1, 2, 3, 7, 11, 40, 41, 42, 47])
"""Pose values whose second derivatives are compared: the root, joints of one finger and of others."""


def float64_hand(pose: np.ndarray) -> np.ndarray:
    """(48,) -> vertices and keypoints, stacked."""
    output = reference.posed(RAW, BETAS, pose[:3], pose[3:], np.zeros(3))
    points = reference.keypoints(output, RAW["fingertip_ids"], mano.MANO_KEYPOINT_IDS)
    return np.concatenate([output["vertices"], points])


def hand(model: mano.HandModel, pose: jax.Array) -> jax.Array:
    params = mano.HandParams(jnp.asarray(BETAS, jnp.float32), pose[:3], pose[3:], jnp.zeros(3))
    return jnp.concatenate([mano.forward(model, params).vertices, mano.keypoints(model, params)])


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_first_derivatives_at_the_zero_pose_equal_float64_differences(small_model, mode):
    first = jax.jit((jax.jacfwd if mode == "forward" else jax.jacrev)(hand, 1))(small_model, jnp.zeros(48))
    expected = reference.first_differences(float64_hand, np.zeros(48))
    np.testing.assert_allclose(first, expected, atol=1e-5)


def test_second_derivatives_at_the_zero_pose_equal_float64_differences(small_model):
    def watched(values):
        return hand(small_model, jnp.zeros(48).at[WATCHED].set(values))

    def watched_float64(values):
        pose = np.zeros(48)
        pose[WATCHED] = values
        return float64_hand(pose)

    second = jax.jit(jax.jacfwd(jax.jacrev(watched)))(jnp.zeros(len(WATCHED)))
    expected = reference.second_differences(watched_float64, np.zeros(len(WATCHED)), step=3e-3)
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(second, expected, atol=1e-5)


def test_derivatives_for_shape_and_translation_equal_float64_differences(small_model):
    pose = toy.params(3, 1)[2][0]

    def moved(values):
        params = mano.HandParams(values[:10], jnp.array([0.3, -0.2, 0.4]), jnp.asarray(pose), values[10:])
        return mano.forward(small_model, params).vertices

    def moved_float64(values):
        return reference.posed(RAW, values[:10], [0.3, -0.2, 0.4], pose, values[10:])["vertices"]

    np.testing.assert_allclose(
        jax.jit(jax.jacrev(moved))(jnp.zeros(13)), reference.first_differences(moved_float64, np.zeros(13)), atol=1e-5
    )


@pytest.mark.parametrize("size", [1e-8, 1e-6, 1e-4, 1e-2, 1.0, np.pi, 2 * np.pi, 100.0])
def test_derivatives_of_keypoints_are_finite_at_any_pose(small_model, size):
    pose = jnp.asarray(size * np.random.default_rng(1).choice([-1, 0, 1], 48), jnp.float32)
    direction = jnp.asarray(np.random.default_rng(2).normal(size=48), jnp.float32)
    for values in gradient_and_curvature(small_model, pose, direction):
        assert np.isfinite(values).all()
        assert np.any(values)


@jax.jit
def gradient_and_curvature(model, pose, direction):
    def energy(pose):
        params = mano.HandParams(jnp.zeros(10), pose[:3], pose[3:], jnp.zeros(3))
        return ((mano.keypoints(model, params) - 0.1) ** 2).sum()

    return jax.jvp(jax.grad(energy), (pose,), (direction,))
