"""Damped Gauss-Newton over hands: one pass through the keypoints an iteration, every hand at its own pace."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from handjax import rotations
from handjax.mano import kinematics, landmarks
from handjax.mano.inverse import arrow, assembly
from handjax.mano.inverse.jacobian import HandState, check_solvable, point_jacobian
from handjax.mano.types import HandModel


@dataclasses.dataclass(frozen=True)
class SolverSettings:
    """When to stop and how far to trust a step. Measured on hands started 0.3 rad per joint off.

    tolerance: relative fall of the energy that counts as none. energy_floor: an energy below it, in the terms' own
    unit, is nothing left to fit. damping: Levenberg-Marquardt's first for each radian of misfit, times `tighten` after
    a step that did not lower the energy. floor: see `arrow.damped`. strays: steps on from a point that is no better, if
    its energy is within `patience` times the best; then the step from the best is tried again at `backtrack` of its
    length, up to `failures` times. max_turn: radians that any joint may turn in one iteration.
    """

    max_iterations: int = 60
    tolerance: float = 1e-4
    energy_floor: float = 1e-3
    damping: float = 0.03
    tighten: float = 3.0
    floor: float = 8.0
    backtrack: float = 0.3
    strays: int = 3
    patience: float = 10.0
    failures: int = 5
    max_turn: float = 0.6


SMALLEST_MISFIT = 1e-4
"""Radians. What is not seen at all has no misfit and needs some damping."""


class Unknowns(NamedTuple):
    """All that is solved for: the hand and E camera unknowns (E, B)."""

    hand: HandState
    extra: Array


class Terms(NamedTuple):
    """The energy: functions of points and unknowns that give weighted residuals."""

    points: Callable[[Array, Array, Array], assembly.PointRows]  # wrist (3, B), points (3, 4, 5, B), extra (E, B)
    fingers: Callable[[Array], assembly.FingerRows] | None  # points
    prior: Callable[[Unknowns], assembly.Prior]


class Solution(NamedTuple):
    unknowns: Unknowns
    energy: Array  # (B,)
    converged: Array  # (B,) bool
    iterations: Array  # (B,) int32


class Progress(NamedTuple):
    """Where each of B hands is on its way down."""

    best: Unknowns
    energy: Array  # of best
    step: tuple[Array, Array]  # from best, of the fingers and of the border
    trial: Unknowns
    move: Array  # (9, 5, B) of the fingers, that led to trial
    damping: Array
    strays: Array  # trials since the last that was best or began from best
    failures: Array  # steps from best that came to nothing
    converged: Array
    done: Array
    passes: Array


def minimise(model: HandModel, start: Unknowns, terms: Terms, settings: SolverSettings) -> Solution:
    """Finds the nearest minimum of the energy for each of B hands, all of which go on until the slowest is done."""
    check_solvable(model)

    def body(progress: Progress) -> Progress:
        return advance(model, progress, terms, settings)

    return solution(jax.lax.while_loop(lambda progress: ~progress.done.all(), body, begin(start, settings)))


def begin(start: Unknowns, settings: SolverSettings) -> Progress:
    """B hands before their first pass."""
    batch = start.extra.shape[-1]
    size = 6 + start.hand.betas.shape[0] + start.extra.shape[0]
    no = jnp.zeros(batch, bool)
    none = jnp.zeros(batch, jnp.int32)
    return Progress(
        best=start,
        energy=jnp.full(batch, jnp.inf, jnp.float32),
        step=(jnp.zeros((9, 5, batch)), jnp.zeros((size, batch))),
        trial=start,
        move=jnp.zeros((9, 5, batch)),
        damping=jnp.full(batch, settings.damping, jnp.float32),
        strays=none,
        failures=none,
        converged=no,
        done=no,
        passes=none,
    )


def solution(progress: Progress) -> Solution:
    return Solution(progress.best, progress.energy, progress.converged, progress.passes - 1)


def advance(model: HandModel, progress: Progress, terms: Terms, settings: SolverSettings) -> Progress:
    """One pass of B hands; those that are done stay as they are.

    A pass evaluates energy and derivatives at the trial point. A hand whose energy fell steps on from there. One
    whose did not may step on as well, `strays` times: along a curved valley (a ray of points that fit as well) a long
    step leaves the valley and the next, from where it ended, comes down further on. If those fail too, the hand goes
    back and tries a part of its step with more damping. A hand is done when its energy has ceased to fall.
    """
    tips = landmarks.fingertip_model(model)
    jacobian = jax.lax.optimization_barrier(point_jacobian(model, tips, progress.trial.hand))
    rows = terms.points(jacobian.wrist, jacobian.points, progress.trial.extra)
    fingers = None if terms.fingers is None else terms.fingers(jacobian.points)
    prior = terms.prior(progress.trial)
    energy = rows.energy + prior.energy + (0.0 if fingers is None else fingers.energy)
    equations = assembly.normal_equations(jacobian, rows, fingers, prior)

    fell = (energy < progress.energy) & ~progress.done
    stray = ~fell & (progress.strays < settings.strays) & (energy < settings.patience * progress.energy)
    back = ~fell & ~stray
    damping = progress.damping * _misfit(rows.energy, equations)
    step = _limited(arrow.solve(arrow.damped(equations, damping, settings.floor)), settings.max_turn)
    best = jax.tree.map(chosen(fell), progress.trial, progress.best)
    # A matrix that is not positive definite gives no step: the hand stays, and steps from there with more damping.
    shortened = jax.tree.map(lambda part: jnp.nan_to_num(part) * settings.backtrack, progress.step)
    kept = jax.tree.map(chosen(back), shortened, progress.step)
    kept = jax.tree.map(chosen(fell), step, kept)
    origin = jax.tree.map(chosen(back), best, progress.trial)
    move = jax.tree.map(chosen(back), kept, step)
    # Steps that go on the same way were too short, those that turn back too long.
    agreement = jnp.where(back, 0.0, _cosine(move[0], progress.move))
    change = jnp.where(fell, 1.0, settings.tighten) * jnp.exp(-agreement)

    failures = jnp.where(fell, 0, progress.failures + back)
    small = jnp.isfinite(progress.energy) & (progress.energy - energy <= settings.tolerance * progress.energy)
    finished = (fell & (small | (energy < settings.energy_floor))) | (failures > settings.failures)
    passes = progress.passes + ~progress.done
    return Progress(
        best=best,
        energy=jnp.where(fell, energy, progress.energy),
        step=kept,
        trial=_moved(origin, *move),
        move=move[0],
        damping=jnp.clip(progress.damping * change, 1e-6, 1e6),
        strays=jnp.where(stray, progress.strays + 1, 0),
        failures=failures,
        converged=progress.converged | (finished & ~progress.done),
        done=progress.done | finished | (passes > settings.max_iterations),
        passes=passes,
    )


def _misfit(energy: Array, equations: arrow.NormalEquations) -> Array:
    """Energy of the points (B,) -> the radians by which a joint would have to turn to cause it.

    Damping that goes with the residual is what the curvature left out by Gauss and Newton asks for, and it vanishes
    with it: fast at the end, although many directions are not seen (Fan and Yuan 2005).
    """
    curvature = jnp.einsum("iifb->ifb", equations.finger).mean((0, 1))
    return jnp.maximum(jnp.sqrt(energy / curvature), SMALLEST_MISFIT)


def _cosine(one: Array, other: Array) -> Array:
    """(9, 5, B) twice -> (B,); 0 if either is 0 or not finite."""
    both, squares = (one * other).sum((0, 1)), (one * one).sum((0, 1)) * (other * other).sum((0, 1))
    return jnp.nan_to_num(both / jnp.sqrt(squares + 1e-30))


def _limited(step: tuple[Array, Array], max_turn: float) -> tuple[Array, Array]:
    """The whole step scaled so that no angle turns further than `max_turn`."""
    fingers, border = step
    largest = jnp.maximum(jnp.abs(fingers).max((0, 1)), jnp.abs(border[:3]).max(0))
    shorter = jnp.minimum(1.0, max_turn / (largest + 1e-12))
    return fingers * shorter[None, None], border * shorter[None]


def _moved(unknowns: Unknowns, finger_step: Array, border_step: Array) -> Unknowns:
    hand, betas = unknowns.hand, unknowns.hand.betas.shape[0]
    turn = rotations.planes_from_axis_angle(border_step[:3])
    moved = HandState(
        kinematics.multiply(turn, hand.root),
        hand.fingers + finger_step,
        hand.betas + border_step[3 : 3 + betas],
        hand.transl + border_step[3 + betas : 6 + betas],
    )
    return Unknowns(moved, unknowns.extra + border_step[6 + betas :])


def chosen(condition: Array) -> Callable[[Array, Array], Array]:
    """Picks between two arrays hand by hand."""
    return lambda yes, no: jnp.where(condition.reshape(*[1] * (yes.ndim - 1), -1), yes, no)
