"""A registered mesh to parameters: exact where the mesh is exact, near where it is noisy or only partly there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from tests import toy
from tests.solver_hands import distance_mm, free_hand, quick_jit, sample

COUNT = 20


@pytest.fixture(scope="module")
def hands() -> mano.HandParams:
    return sample(COUNT, seed=3)


@pytest.fixture(scope="module")
def meshes(hands) -> jax.Array:
    return posed(free_hand(), hands)


@jax.jit
def posed(model, params):
    return mano.forward_batch(model, params).vertices


@quick_jit
def fitted(model, vertices, confidence):
    return mano.fit_vertices_batch(model, vertices, confidence=confidence)


def everything(meshes) -> jax.Array:
    return jnp.ones(meshes.shape[:2])


def test_exact_meshes_are_matched_to_a_hundredth_of_a_millimetre_and_so_are_their_parameters(hands, meshes):
    fit = fitted(free_hand(), meshes, everything(meshes))
    assert fit.converged.all()
    assert distance_mm(posed(free_hand(), fit.params), meshes).max() < 0.01
    np.testing.assert_allclose(fit.params.betas, hands.betas, atol=0.01)
    np.testing.assert_allclose(fit.params.hand_pose, hands.hand_pose, atol=1e-3)
    np.testing.assert_allclose(fit.params.transl, hands.transl, atol=1e-4)


def test_the_reported_error_is_the_distance_of_each_vertex(meshes):
    noisy = meshes + 0.003 * jnp.asarray(np.random.default_rng(0).normal(size=meshes.shape), jnp.float32)
    fit = fitted(free_hand(), noisy, everything(meshes))
    expected = np.linalg.norm(posed(free_hand(), fit.params) - noisy, axis=-1)
    np.testing.assert_allclose(fit.error, expected, atol=1e-6)


def test_a_millimetre_of_noise_leaves_a_third_of_a_millimetre(meshes):
    noise = 0.001 * np.random.default_rng(1).normal(size=meshes.shape)
    fit = fitted(free_hand(), meshes + jnp.asarray(noise, jnp.float32), everything(meshes))
    assert fit.converged.all()
    assert distance_mm(posed(free_hand(), fit.params), meshes).max() < 0.35


def test_vertices_of_no_confidence_and_those_that_are_not_finite_count_for_nothing(meshes):
    rng = np.random.default_rng(2)
    hidden = rng.random(meshes.shape[:2]) < 0.5
    wild = jnp.where(hidden[..., None], meshes + 0.3, meshes)
    missing = jnp.where(hidden[..., None], jnp.nan, meshes)
    masked = fitted(free_hand(), wild, jnp.asarray(~hidden, jnp.float32))
    absent = fitted(free_hand(), missing, everything(meshes))
    for fit in (masked, absent):
        assert distance_mm(posed(free_hand(), fit.params), meshes).max() < 0.02
    assert np.array_equal(np.isnan(absent.error), hidden)
    assert np.isfinite(masked.error).all()


def test_a_finger_that_is_not_there_keeps_with_its_hand(meshes):
    holder = np.asarray(free_hand().lbs_weights).argmax(1)
    there = ~np.isin(holder, [1, 2, 3])
    visible = jnp.asarray(np.tile(there, (COUNT, 1)), jnp.float32)
    noise = jnp.asarray(0.001 * np.random.default_rng(4).normal(size=meshes.shape), jnp.float32)
    for vertices, wanted_mm in ((meshes, 0.05), (meshes + noise, 0.4)):
        fit = fitted(free_hand(), vertices, visible)
        assert distance_mm(posed(free_hand(), fit.params)[:, there], meshes[:, there]).max() < wanted_mm
        # The end joint hangs straight on the middle one, of which the seam still shows a little.
        assert np.abs(np.asarray(fit.params.hand_pose)[:, 6:9]).max() < 0.3
        assert np.abs(np.asarray(fit.params.hand_pose)[:, 3:6]).max() < 2.0


def test_an_empty_mesh_gives_a_finite_hand(meshes):
    fit = fitted(free_hand(), jnp.full_like(meshes, jnp.nan), everything(meshes))
    assert all(np.isfinite(field).all() for field in fit.params)
    assert np.isnan(fit.error).all()


def test_known_betas_are_kept(hands, meshes):
    fit = quick_jit(lambda v, b: mano.fit_vertices_batch(free_hand(), v, betas=b))(meshes[:4], hands.betas[:4])
    np.testing.assert_array_equal(fit.params.betas, hands.betas[:4])
    assert distance_mm(posed(free_hand(), fit.params), meshes[:4]).max() < 0.01


def test_one_left_hand_alone_is_fitted_as_its_mirror_image_in_a_batch(meshes):
    alone = quick_jit(mano.fit_vertices)(free_hand("left"), mano.mirror_points(meshes[7]))
    together = fitted(free_hand(), meshes, everything(meshes))
    found = mano.mirror_params(alone.params)
    np.testing.assert_allclose(found.hand_pose, together.params.hand_pose[7], atol=1e-3)
    np.testing.assert_allclose(found.transl, together.params.transl[7], atol=1e-4)
    assert alone.error.shape == meshes.shape[1:2] and alone.converged.shape == ()


def test_hands_of_other_trees_and_joint_frames_are_fitted():
    raw = toy.arrays(seed=4, vertices=90, faces=60, betas=3, parents=np.array([-1, 0, 1, 0, 3]), influences=1)
    frames = np.linalg.qr(np.random.default_rng(5).normal(size=(5, 3, 3)))[0]
    model = jax.tree.map(jnp.asarray, mano.build(**raw, joint_frames=frames * np.linalg.det(frames)[:, None, None]))
    params = mano.HandParams(*(jnp.asarray(field) for field in toy.params(6, 8, betas=3, joints=5)))
    vertices = posed(model, params)
    fit = fitted(model, vertices, everything(vertices))
    assert distance_mm(posed(model, fit.params), vertices).max() < 0.05


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vertices", {"vertices": np.zeros((2, 777, 3))}),
        ("vertices", {"vertices": np.zeros((778, 3))}),
        ("confidence", {"vertices": np.zeros((2, 778, 3)), "confidence": np.ones(778)}),
        ("betas", {"vertices": np.zeros((2, 778, 3)), "betas": np.ones((2, 9))}),
    ],
)
def test_a_wrong_shape_names_the_argument(name, arguments):
    with pytest.raises(ValueError, match=f"^{name} must have shape"):
        mano.fit_vertices_batch(free_hand(), **arguments)


def test_a_batch_given_for_one_hand_is_refused():
    with pytest.raises(ValueError, match="^vertices must have shape"):
        mano.fit_vertices(free_hand(), np.zeros((2, 778, 3)))
