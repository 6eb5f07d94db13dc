"""A window of frames fitted together: nearer and steadier than frame by frame, and never blind to a gap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano, rotations
from handjax.camera import Camera
from handjax.mano.inverse.arrow import NormalEquations
from handjax.mano.inverse.jacobian import HandState, state_from_params
from handjax.mano.inverse.newton import SolverSettings
from handjax.optim.gaps import fill_gaps
from handjax.optim.refine import RefineSettings
from handjax.optim.window import Smoothness, refine_window
from handjax.optim.window_solver import Coupling, changes, dense, solve_chain, solve_window
from tests.solver_hands import (
    CAMERA,
    as_params,
    beside,
    distance_mm,
    free_hand,
    from_knuckle,
    keypoints,
    quick_jit,
    sample,
    seen,
)

FRAMES = 24
GAP = [6, 7, 8, 9]
SETTINGS = RefineSettings(pose=1.0, shape=1.0)


def trajectory(seed: int) -> mano.HandParams:
    """One hand that opens or closes, turns and travels, at the pace of about a second."""
    ends = sample(2, seed)
    time = np.linspace(0, 1, FRAMES)[:, None]
    share = time * time * (3 - 2 * time)
    pose = np.asarray(ends.hand_pose[:1]) * (1 - share) + np.asarray(ends.hand_pose[1:]) * share
    orient = np.asarray(ends.global_orient[:1]) + share * [[0.5, -0.4, 0.6]]
    transl = [[0, 0, 0.5]] + np.concatenate([0.1 * np.sin(4 * time), 0.05 * np.cos(3 * time), 0.1 * share], 1)
    return as_params(np.repeat(np.asarray(ends.betas[:1]), FRAMES, 0), orient, pose, transl)


@quick_jit
def window(params, pixels, confidence, bone_length, smoothness):
    """`smoothness` scales the default: 0 is the fit of frames that share only their shape."""
    return refine_window(
        free_hand(),
        params,
        pixels,
        CAMERA,
        confidence=confidence,
        bone_length=bone_length,
        settings=SETTINGS,
        smoothness=jax.tree.map(lambda weight: smoothness * weight, Smoothness()),
    )


@pytest.fixture(scope="module", params=[pytest.param(1, marks=pytest.mark.slow), 2])
def fits(request):
    """Truth, and the window with and without smoothness, of keypoints with 2 px of noise and a gap."""
    truth = trajectory(request.param)
    points = keypoints(free_hand(), truth)
    starts = beside(truth, request.param, angle=0.2)._replace(betas=jnp.zeros_like(truth.betas))
    pixels = seen(points, noise_px=2.0, seed=request.param)
    confidence = jnp.ones((FRAMES, 21)).at[jnp.array(GAP)].set(0.0)
    length = jnp.linalg.norm(points[0, 9] - points[0, 0])
    return points, *(window(starts, pixels, confidence, length, weight) for weight in (1.0, 0.0))


def jitter_mm(points) -> float:
    """Mean second difference over the frames that follow the gap."""
    return 1e3 * np.linalg.norm(np.diff(np.asarray(points)[GAP[-1] + 1 :], 2, 0), axis=-1).mean()


def test_a_window_is_nearer_to_the_truth_and_far_steadier_than_its_frames(fits):
    points, smooth, single = fits
    visible = np.setdiff1d(np.arange(FRAMES), GAP)
    errors = [
        distance_mm(from_knuckle(fit.frames.keypoints), from_knuckle(points))[visible].mean()
        for fit in (smooth, single)
    ]
    assert errors[0] < errors[1]
    assert jitter_mm(smooth.frames.keypoints) < 0.25 * jitter_mm(single.frames.keypoints)


def test_frames_in_which_nothing_was_seen_are_filled_by_their_neighbours(fits):
    points, smooth, _ = fits
    errors = distance_mm(from_knuckle(smooth.frames.keypoints), from_knuckle(points))
    visible = np.setdiff1d(np.arange(FRAMES), GAP)
    assert errors[GAP].mean() < 1.5 * errors[visible].mean() + 1.0
    assert np.isnan(np.asarray(smooth.frames.error_px)[GAP]).all()
    assert np.isfinite(smooth.frames.keypoints).all()


def test_the_energy_of_the_window_never_rises_and_it_converges(fits):
    _, smooth, _ = fits
    energies = np.asarray(smooth.energies)
    assert smooth.converged and smooth.iterations <= 30
    assert (np.diff(energies) <= 0).all() and energies[-1] < 0.5 * energies[0]


def test_the_last_energy_is_that_of_the_frames_and_their_changes(fits):
    _, smooth, _ = fits
    weights = Smoothness()
    _, orient, pose, transl = smooth.frames.params
    turns = rotations.matrix_from_axis_angle(orient)
    between = rotations.axis_angle_from_matrix(turns[1:] @ turns[:-1].swapaxes(1, 2))
    total = np.sum(smooth.frames.energy)
    total += weights.pose / 45 * np.sum(np.diff(pose, axis=0) ** 2)
    total += weights.root * np.sum(np.asarray(between) ** 2) + weights.transl * np.sum(np.diff(transl, axis=0) ** 2)
    np.testing.assert_allclose(smooth.energies[-1], total, rtol=1e-3)


def test_all_frames_have_one_shape(fits):
    _, smooth, _ = fits
    np.testing.assert_allclose(smooth.frames.params.betas, smooth.frames.params.betas[:1].repeat(FRAMES, 0), atol=1e-6)


def test_starts_that_are_not_finite_are_replaced_and_keypoints_too():
    truth = trajectory(1)
    points = keypoints(free_hand(), truth)
    broken = jax.tree.map(lambda field: field.at[3].set(jnp.nan), truth)
    pixels = seen(points).at[5].set(jnp.nan).at[8, 4].set(jnp.inf)
    length = jnp.linalg.norm(points[0, 9] - points[0, 0])
    result = window(broken, pixels, jnp.ones((FRAMES, 21)), length, 1.0)
    # What is left is what the smoothness takes off the motion.
    assert distance_mm(from_knuckle(result.frames.keypoints), from_knuckle(points)).max() < 5.0


def test_a_window_in_which_nothing_was_seen_stays_finite():
    unseen = jnp.asarray(np.full((FRAMES, 21, 2), np.nan, np.float32))
    result = window(trajectory(1), unseen, jnp.ones((FRAMES, 21)), jnp.float32(0.09), 1.0)
    assert all(np.isfinite(field).all() for field in result.frames.params)


@pytest.mark.slow
def test_a_shape_for_each_frame_and_one_focal_length_for_all():
    truth = trajectory(1)
    truth = jax.tree.map(lambda field: field[:6], truth)._replace(betas=sample(6, 9).betas)
    points = keypoints(free_hand(), truth)
    settings = RefineSettings(unknown_focal=True, focal=0.01, solver=SolverSettings(max_iterations=15))
    wrong = Camera(CAMERA.focal * 1.3, CAMERA.center)

    def run(params, pixels, points):
        return refine_window(
            free_hand(), params, pixels, wrong, keypoints_3d=points, settings=settings, shared_betas=False
        )

    result = quick_jit(run)(truth, seen(points), points)
    np.testing.assert_allclose(result.frames.camera.focal, np.full((6, 2), 500.0), rtol=0.02)
    assert np.ptp(result.frames.camera.focal, axis=0).max() < 1e-2
    assert np.ptp(result.frames.params.betas, axis=0).min() > 0.2
    assert (np.diff(result.energies) <= 0).all()


def test_gaps_are_filled_along_the_shortest_turn_and_straight_lines():
    params = as_params(np.zeros((5, 10)), np.zeros((5, 3)), np.zeros((5, 45)), np.zeros((5, 3)))
    params = params._replace(
        global_orient=params.global_orient.at[1, 2].set(3.0).at[4, 2].set(-3.0).at[2].set(jnp.nan),
        transl=params.transl.at[1, 0].set(0.3).at[4, 0].set(0.6).at[0].set(jnp.inf),
    )
    full = jax.jit(fill_gaps)(params, jnp.array([False, True, False, False, True]))
    np.testing.assert_allclose(full.transl[:, 0], [0.3, 0.3, 0.4, 0.5, 0.6], atol=1e-6)
    short = (2 * np.pi - 6) / 3
    np.testing.assert_allclose(full.global_orient[:3, 2], [3.0, 3.0, 3.0 + short], atol=1e-5)
    np.testing.assert_allclose(full.global_orient[3, 2], 3.0 + 2 * short - 2 * np.pi, atol=1e-5)


def test_without_a_known_frame_gaps_keep_what_is_finite():
    params = as_params(np.ones((3, 10)), np.ones((3, 3)), np.ones((3, 45)), np.ones((3, 3)))
    params = params._replace(transl=params.transl.at[1].set(jnp.nan))
    full = jax.jit(fill_gaps)(params, jnp.zeros(3, bool))
    np.testing.assert_allclose(full.transl[:, 0], [1.0, 0.0, 1.0])
    np.testing.assert_allclose(full.global_orient, params.global_orient, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_chain_of_blocks_is_solved_as_its_whole_matrix_is(frames):
    rng = np.random.default_rng(frames)
    size = 7
    blocks = rng.normal(size=(frames, size, size))
    ties = rng.random(size)
    blocks = blocks @ blocks.swapaxes(1, 2) + np.diag(2 * ties) + np.eye(size)
    right = rng.normal(size=(frames, size, 3))
    whole = np.kron(np.eye(frames, k=1) + np.eye(frames, k=-1), -np.diag(ties))
    for frame, block in enumerate(blocks):
        whole[frame * size : (frame + 1) * size, frame * size : (frame + 1) * size] = block
    expected = np.linalg.solve(whole, right.reshape(-1, 3)).reshape(right.shape)
    solved = solve_chain(*(jnp.asarray(array, jnp.float32) for array in (blocks, ties, right)))
    np.testing.assert_allclose(solved, expected, atol=1e-5)


def test_a_step_solves_the_normal_equations_of_all_frames_and_what_they_share():
    rng = np.random.default_rng(0)
    frames, border = 4, 18  # root 3, betas 10, transl 3, two shared extras
    equations = random_equations(rng, frames, border)
    own = np.r_[np.arange(48), 58:61]
    shared = np.r_[np.arange(48, 58), 61:63]
    ties = rng.random(len(own)) + 0.5
    pull = rng.normal(size=(len(own), frames))
    matrix, gradient = (np.asarray(array, np.float64) for array in dense(equations))
    unknowns = frames * len(own) + len(shared)
    whole, slope = np.zeros((unknowns, unknowns)), np.zeros(unknowns)
    for frame in range(frames):
        places = np.r_[frame * len(own) + np.arange(len(own)), frames * len(own) + np.arange(len(shared))]
        order = np.r_[own, shared]
        whole[np.ix_(places, places)] += matrix[frame][np.ix_(order, order)]
        slope[places] += gradient[frame][order]
        slope[places[: len(own)]] += pull[:, frame]
    chain = np.diff(np.eye(frames), axis=0)
    whole[: frames * len(own), : frames * len(own)] += np.kron(chain.T @ chain, np.diag(ties))
    expected = np.linalg.solve(whole, -slope)
    coupling = Coupling(own, shared, jnp.asarray(ties, jnp.float32))
    step = np.asarray(jax.jit(lambda e, p: solve_window(e, p, coupling))(equations, jnp.asarray(pull, jnp.float32)))
    np.testing.assert_allclose(step[own].T.ravel(), expected[: frames * len(own)], atol=1e-4)
    np.testing.assert_allclose(step[shared], np.tile(expected[frames * len(own) :, None], frames), atol=1e-4)


def random_equations(rng: np.random.Generator, frames: int, border: int) -> NormalEquations:
    """Of random residuals: 30 of each finger that all border unknowns move too."""
    by_finger, by_border, residual = (rng.normal(size=(5, 30, n, frames)) for n in (9, border, 1))
    arrays = (
        np.einsum("frit,frjt->ijft", by_finger, by_finger),
        np.einsum("frit,frjt->ijft", by_finger, by_border),
        np.einsum("frit,frjt->ijt", by_border, by_border),
        np.einsum("frit,frjt->ift", by_finger, residual),
        np.einsum("frit,frjt->it", by_border, residual),
    )
    return NormalEquations(*(jnp.asarray(array, jnp.float32) for array in arrays))


def test_the_gradient_of_the_change_of_the_root_is_the_change_itself():
    state = state_from_params(sample(2, 5))

    def half_square(turns):
        moved = jnp.einsum("ijt,jkt->ikt", rotations.planes_from_axis_angle(turns), state.root, precision="highest")
        change = changes(HandState(moved, state.fingers, state.betas, state.transl))
        return 0.5 * (change[45:48] ** 2).sum()

    gradient = jax.jit(jax.grad(half_square))(jnp.zeros((3, 2)))
    change = changes(state)[45:48]
    np.testing.assert_allclose(gradient, jnp.concatenate([-change, change], 1), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("keypoints_2d", {"keypoints_2d": np.zeros((21, 2))}),
        ("hand_pose", {"params": trajectory(0)._replace(hand_pose=jnp.zeros((FRAMES, 48)))}),
        ("transl", {"params": trajectory(0)._replace(transl=jnp.zeros(3))}),
        ("confidence", {"confidence": np.zeros(21)}),
    ],
)
def test_a_wrong_shape_names_the_argument(name, change):
    arguments = {"params": trajectory(0), "keypoints_2d": jnp.zeros((FRAMES, 21, 2)), "camera": CAMERA} | change
    with pytest.raises(ValueError, match=f"^{name} must have shape"):
        refine_window(free_hand(), **arguments)
