"""The solver's passes, and the queue that leads many hands through them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax.mano.inverse import newton
from handjax.mano.inverse.jacobian import state_from_params
from handjax.mano.inverse.queue import minimise_in_turn
from handjax.optim.refine import Evidence, RefineSettings, terms
from tests.solver_hands import CAMERA, beside, free_hand, keypoints, quick_jit, sample, seen

COUNT = 9
SOLVER = newton.SolverSettings()


@pytest.fixture(scope="module")
def given():
    """Starts that the energy draws to, and evidence."""
    hands = sample(COUNT)
    focal, center = (jnp.tile(field, (COUNT, 1)) for field in CAMERA)
    evidence = Evidence(seen(keypoints(free_hand(), hands)), jnp.ones((COUNT, 21)), focal, center, None, None)
    return beside(hands, seed=1), evidence


def energies(some) -> newton.Terms:
    return terms(free_hand(), state_from_params(some[0]), some[1], RefineSettings())


def unknowns(params) -> newton.Unknowns:
    return newton.Unknowns(state_from_params(params), jnp.zeros((0, params.betas.shape[0])))


@quick_jit
def together(given, max_iterations) -> newton.Solution:
    settings = newton.SolverSettings(max_iterations=max_iterations)
    return newton.minimise(free_hand(), unknowns(given[0]), energies(given), settings)


@quick_jit
def passed(progress, given) -> newton.Progress:
    return newton.advance(free_hand(), progress, energies(given), SOLVER)


@pytest.fixture(scope="module")
def solution(given) -> newton.Solution:
    return together(given, 60)


@pytest.mark.parametrize("lanes", [4, pytest.param(16, marks=pytest.mark.slow)])
def test_a_hand_in_the_queue_ends_as_it_does_among_all(given, solution, lanes):
    in_turn = quick_jit(
        lambda given: minimise_in_turn(free_hand(), unknowns(given[0]), given, energies, SOLVER, lanes=lanes)
    )(given)
    # Sums are not taken in the same order, and a hand that wanders far multiplies the difference.
    np.testing.assert_allclose(in_turn.energy, solution.energy, rtol=0.05)
    np.testing.assert_allclose(in_turn.unknowns.hand.transl, solution.unknowns.hand.transl, atol=3e-3)
    np.testing.assert_array_equal(in_turn.converged, solution.converged)
    assert (np.asarray(in_turn.iterations) > 0).all() and in_turn.iterations.shape == (COUNT,)


def test_hands_stop_at_the_limit_of_iterations_and_say_that_they_did_not_converge(given, solution):
    cut = together(given, 3)
    np.testing.assert_array_equal(cut.iterations, 3)
    assert not np.asarray(cut.converged).any()
    assert (np.asarray(cut.energy) > np.asarray(solution.energy)).all()


def test_the_energy_of_the_best_point_never_rises_and_a_hand_that_is_done_stays(given):
    progress = newton.begin(unknowns(given[0]), SOLVER)
    progress = progress._replace(done=jnp.arange(COUNT) == 2)
    for _ in range(5):
        later = passed(progress, given)
        assert (np.asarray(later.energy) <= np.asarray(progress.energy)).all()
        progress = later
    np.testing.assert_array_equal(progress.best.hand.fingers[..., 2], unknowns(given[0]).hand.fingers[..., 2])
    np.testing.assert_array_equal(progress.passes, np.where(np.arange(COUNT) == 2, 0, 5))
    assert np.isinf(progress.energy[2]) and np.isfinite(np.delete(progress.energy, 2)).all()


def test_damping_falls_while_steps_agree_and_rises_when_they_turn_back(given):
    progress = newton.begin(unknowns(given[0]), SOLVER)
    progress = passed(progress, given)
    ahead = passed(progress, given)
    turned_back = passed(progress._replace(move=-progress.move), given)
    cosine = (np.asarray(ahead.move) * np.asarray(progress.move)).sum((0, 1))
    cosine /= np.linalg.norm(ahead.move, axis=(0, 1)) * np.linalg.norm(progress.move, axis=(0, 1))
    fell = np.asarray(ahead.energy) < np.asarray(progress.energy)
    assert fell.sum() > COUNT // 2
    before = np.asarray(progress.damping)
    np.testing.assert_allclose(ahead.damping[fell], (before * np.exp(-cosine))[fell], rtol=1e-4)
    np.testing.assert_allclose(turned_back.damping[fell], (before * np.exp(cosine))[fell], rtol=1e-4)
    worse = passed(progress._replace(energy=progress.energy * 1e-3), given)
    assert (np.asarray(worse.damping) > 0.9 * before * SOLVER.tighten * np.exp(-1)).all()
    assert (np.asarray(worse.damping) > np.asarray(ahead.damping)).all()


def test_a_matrix_that_is_not_positive_definite_is_damped_until_it_is(given):
    def hollow(some) -> newton.Terms:
        whole = energies(some)

        def prior(unknowns):
            known = whole.prior(unknowns)
            return known._replace(joint=known.joint - 15.0 * jnp.eye(3)[None, :, :, None, None])

        return whole._replace(prior=prior)

    step = quick_jit(lambda progress: newton.advance(free_hand(), progress, hollow(given), SOLVER))
    progress = step(newton.begin(unknowns(given[0]), SOLVER))
    first = np.asarray(progress.energy)
    lost = np.isnan(progress.move).any((0, 1))
    assert lost.any()
    for _ in range(15):
        progress = step(progress)
    assert (np.asarray(progress.energy)[lost] < 0.7 * first[lost]).all()
    assert all(np.isfinite(field).all() for field in jax.tree.leaves(progress.best))
