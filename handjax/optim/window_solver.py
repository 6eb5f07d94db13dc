"""Damped Gauss-Newton over the frames of a window at once.

Frames touch only their neighbours, so the normal matrix is block-tridiagonal, bordered by what all frames share: one
pass forth and one back along the frames solve it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from handjax import rotations
from handjax.mano import kinematics, landmarks
from handjax.mano.inverse import arrow, assembly, newton
from handjax.mano.inverse.arrow import NormalEquations
from handjax.mano.inverse.jacobian import HandState, point_jacobian
from handjax.mano.types import HandModel

FINGER_ANGLES = 45
RELAX, TIGHTEN = 0.3, 4.0
COLUMNS = 16


class Coupling(NamedTuple):
    """Which unknowns of a frame (fingers 45, root turn 3, betas S, transl 3, extra E) are its own and which are one
    for all frames; and the weights of the squared changes of its own from a frame to the next."""

    own: np.ndarray  # (n,) places: fingers, root, transl first
    shared: np.ndarray  # (k,)
    ties: Array  # (n,)


class WindowSolution(NamedTuple):
    """frame_energy: (T,), each frame's own. energies: (max_iterations + 1,) of the whole window from the start on, the
    last repeated after it stopped."""

    unknowns: newton.Unknowns
    frame_energy: Array
    energies: Array
    converged: Array
    iterations: Array


class _Point(NamedTuple):
    """A place in the space of unknowns and all that a step from there needs. T frames, hands last."""

    unknowns: newton.Unknowns
    frame_energy: Array  # (T,)
    energy: Array  # ()
    equations: NormalEquations
    pull: Array  # (n, T) halved gradient of the changes in time


class _Loop(NamedTuple):
    best: _Point
    damping: Array
    energies: Array
    done: Array
    iterations: Array


def minimise_window(
    model: HandModel,
    start: newton.Unknowns,
    terms: newton.Terms,
    coupling: Coupling,
    settings: newton.SolverSettings,
) -> WindowSolution:
    """The nearest minimum of all frames' energies plus the tied squared changes between neighbours.

    What is shared must be equal in all frames of `start`. Only steps that lower the whole energy are taken.
    """
    tips = landmarks.fingertip_model(model)
    frames = start.extra.shape[-1]

    def at(unknowns: newton.Unknowns) -> _Point:
        jacobian = point_jacobian(model, tips, unknowns.hand)
        rows = terms.points(jacobian.wrist, jacobian.points, unknowns.extra)
        fingers = None if terms.fingers is None else terms.fingers(jacobian.points)
        prior = terms.prior(unknowns)
        frame_energy = rows.energy + prior.energy + (0.0 if fingers is None else fingers.energy)
        change = jnp.pad(changes(unknowns.hand), [(0, len(coupling.own) - FINGER_ANGLES - 6), (0, 0)])
        pull = coupling.ties[:, None] * (jnp.pad(change, [(0, 0), (1, 0)]) - jnp.pad(change, [(0, 0), (0, 1)]))
        energy = frame_energy.sum() + (coupling.ties[:, None] * change * change).sum()
        return _Point(unknowns, frame_energy, energy, assembly.normal_equations(jacobian, rows, fingers, prior), pull)

    def body(loop: _Loop) -> _Loop:
        damping = jnp.broadcast_to(loop.damping, frames)
        equations = arrow.damped(loop.best.equations, damping, settings.floor)
        step = solve_window(equations, loop.best.pull, coupling)
        trial = at(_moved(loop.best.unknowns, step, settings.max_turn))
        fell = trial.energy < loop.best.energy
        small = loop.best.energy - trial.energy <= settings.tolerance * loop.best.energy
        best = jax.tree.map(lambda new, old: jnp.where(fell, new, old), trial, loop.best)
        damping = loop.damping * jnp.where(fell, RELAX, TIGHTEN)
        return _Loop(
            best=best,
            damping=damping,
            energies=jnp.where(jnp.arange(loop.energies.shape[0]) > loop.iterations, best.energy, loop.energies),
            done=(fell & (small | (best.energy < settings.energy_floor))) | (damping > 1e6),
            iterations=loop.iterations + 1,
        )

    first = at(start)
    energies = jnp.full(settings.max_iterations + 1, first.energy)
    begin = _Loop(first, jnp.float32(settings.damping), energies, jnp.asarray(False), jnp.zeros((), jnp.int32))
    last = lax.while_loop(lambda loop: (loop.iterations < settings.max_iterations) & ~loop.done, body, begin)
    return WindowSolution(last.best.unknowns, last.best.frame_energy, last.energies, last.done, last.iterations)


def changes(hand: HandState) -> Array:
    """T frames -> (51, T - 1): from each to the next, of the finger angles (finger by finger), root, translation.

    The root's is the rotation vector d of R_{t+1} R_t^T. The gradient of |d|^2 / 2 by a turn of frame t + 1 is d, and
    by one of frame t it is -d: the Jacobians of SO(3) leave their own axis as it is.
    """
    fingers = hand.fingers.transpose(1, 0, 2).reshape(FINGER_ANGLES, -1)
    turns = hand.root.transpose(2, 0, 1)
    between = jnp.matmul(turns[1:], turns[:-1].swapaxes(1, 2), precision="highest")
    return jnp.concatenate(
        [jnp.diff(fingers), rotations.axis_angle_from_matrix(between).T, jnp.diff(hand.transl)],
    )


def solve_window(equations: NormalEquations, pull: Array, coupling: Coupling) -> Array:
    """The equations of T frames on their own, the gradient of the ties (n, T) -> steps (45 + N, T)."""
    own, shared, ties = coupling
    matrix, gradient = dense(equations)
    frames = gradient.shape[0]
    neighbours = jnp.full(frames, 2.0).at[0].add(-1.0).at[-1].add(-1.0)
    blocks = matrix[:, own[:, None], own] + neighbours[:, None, None] * jnp.diag(ties)[None]
    crossed = matrix[:, own[:, None], shared]
    solved = solve_chain(blocks, ties, jnp.concatenate([crossed, -(gradient[:, own] + pull.T)[..., None]], -1))
    step = jnp.zeros_like(gradient)
    if not len(shared):
        return step.at[:, own].set(solved[..., 0]).T
    taken = jnp.einsum("tns,tnm->sm", crossed, solved, precision="highest")
    border = matrix[:, shared[:, None], shared].sum(0) - taken[:, :-1]
    common = jnp.linalg.solve(border, -gradient[:, shared].sum(0) - taken[:, -1])
    each = solved[..., -1] - jnp.einsum("tns,s->tn", solved[..., :-1], common, precision="highest")
    return step.at[:, own].set(each).at[:, shared].set(jnp.broadcast_to(common, (frames, len(shared)))).T


def dense(equations: NormalEquations) -> tuple[Array, Array]:
    """-> matrix (T, 45 + N, 45 + N) and gradient (T, 45 + N): fingers one after the other, then the border."""
    frames = equations.border.shape[-1]
    fingers = jnp.einsum("fg,ijft->tfigj", jnp.eye(5), equations.finger).reshape(frames, FINGER_ANGLES, -1)
    mixed = equations.finger_border.transpose(3, 2, 0, 1).reshape(frames, FINGER_ANGLES, -1)
    border = equations.border.transpose(2, 0, 1)
    matrix = jnp.concatenate(
        [jnp.concatenate([fingers, mixed], 2), jnp.concatenate([mixed.swapaxes(1, 2), border], 2)], 1
    )
    finger_gradient = equations.finger_gradient.transpose(2, 1, 0).reshape(frames, FINGER_ANGLES)
    return matrix, jnp.concatenate([finger_gradient, equations.border_gradient.T], 1)


def solve_chain(blocks: Array, ties: Array, right: Array) -> Array:
    """Blocks (T, n, n) with -diag(ties) between neighbours, right sides (T, n, m) -> (T, n, m)."""

    def forth(carry: tuple[Array, Array], frame: tuple[Array, Array]):
        passed_on, before = carry
        block, wanted = frame
        # Lower triangles only: that is what the normal equations promise to fill.
        factor = lax.linalg.cholesky(block - ties[:, None] * passed_on, symmetrize_input=False)
        full = _solved(factor, jnp.concatenate([jnp.diag(ties), wanted + ties[:, None] * before], 1))
        both = full[:, : len(ties)], full[:, len(ties) :]
        return both, both

    def back(after: Array, frame: tuple[Array, Array]):
        passed_on, alone = frame
        solved = alone + jnp.matmul(passed_on, after, precision="highest")
        return solved, solved

    zero = jnp.zeros_like(right[0])
    _, eliminated = lax.scan(forth, (jnp.zeros_like(blocks[0]), zero), (blocks, right))
    return lax.scan(back, zero, eliminated, reverse=True)[1]


def _solved(factor: Array, sides: Array) -> Array:
    """Lower factor (n, n), sides (n, m) -> the solution of factor factor^T x = sides."""
    # A few columns at a time: wider solves are split among threads, which on a busy machine wait for each other a
    # thousand times longer than the work takes.
    count = -(-sides.shape[1] // COLUMNS)
    padded = jnp.pad(sides, [(0, 0), (0, count * COLUMNS - sides.shape[1])])
    groups = padded.reshape(-1, count, COLUMNS).swapaxes(0, 1)
    factors = jnp.broadcast_to(factor, (count, *factor.shape))
    half = lax.linalg.triangular_solve(factors, groups, left_side=True, lower=True)
    full = lax.linalg.triangular_solve(factors, half, left_side=True, lower=True, transpose_a=True)
    return full.swapaxes(0, 1).reshape(padded.shape)[:, : sides.shape[1]]


def _moved(unknowns: newton.Unknowns, step: Array, max_turn: float) -> newton.Unknowns:
    """Steps (45 + N, T), shortened alike in all frames so that no angle turns further than `max_turn`."""
    step = step * jnp.minimum(1.0, max_turn / (jnp.abs(step[: FINGER_ANGLES + 3]).max() + 1e-12))
    fingers, root, rest = jnp.split(step, [FINGER_ANGLES, FINGER_ANGLES + 3])
    hand, betas = unknowns.hand, unknowns.hand.betas.shape[0]
    moved = HandState(
        kinematics.multiply(rotations.planes_from_axis_angle(root), hand.root),
        hand.fingers + fingers.reshape(5, 9, -1).transpose(1, 0, 2),
        hand.betas + rest[:betas],
        hand.transl + rest[betas : betas + 3],
    )
    return newton.Unknowns(moved, unknowns.extra + rest[betas + 3 :])
