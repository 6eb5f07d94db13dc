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
    unit, is nothing left to fit. damping: Levenberg-Marquardt's first, times `relax` after a step that lowered the
    energy and `tighten` after one that did not, which is tried again at `backtrack` of its length, up to `failures`
    times. floor: see `arrow.damped`. strays: steps on from a point that is no better, if its energy is within
    `patience` times the best. max_turn: radians that any joint may turn in one iteration.
    """

    max_iterations: int = 60
    tolerance: float = 1e-4
    energy_floor: float = 1e-3
    damping: float = 0.03
    relax: float = 0.4
    tighten: float = 3.0
    floor: float = 8.0
    backtrack: float = 0.3
    strays: int = 1
    patience: float = 10.0
    failures: int = 5
    max_turn: float = 0.6


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


class _Loop(NamedTuple):
    best: Unknowns
    energy: Array  # of best
    step: tuple[Array, Array]  # from best, of the fingers and of the border
    trial: Unknowns
    damping: Array
    strays: Array  # trials since the last that was best or began from best
    failures: Array  # steps from best that came to nothing
    converged: Array
    done: Array
    iterations: Array
    passes: Array


def minimise(model: HandModel, start: Unknowns, terms: Terms, settings: SolverSettings) -> Solution:
    """Finds the nearest minimum of the energy for each of B hands.

    Every pass evaluates energy and derivatives at the trial point. A hand whose energy fell steps on from there. One
    that did not may step on once as well: along a curved valley (a ray of points that fit as well) a long step leaves
    the valley and the next one, from where it ended, comes down further on. If that fails too, the hand goes back and
    tries a part of its step with more damping. Stops when the energy of every hand has ceased to fall.
    """
    check_solvable(model)
    tips = landmarks.fingertip_model(model)
    batch = start.extra.shape[-1]
    size = 6 + model.num_betas + start.extra.shape[0]

    def body(loop: _Loop) -> _Loop:
        jacobian = jax.lax.optimization_barrier(point_jacobian(model, tips, loop.trial.hand))
        rows = terms.points(jacobian.wrist, jacobian.points, loop.trial.extra)
        fingers = None if terms.fingers is None else terms.fingers(jacobian.points)
        prior = terms.prior(loop.trial)
        energy = rows.energy + prior.energy + (0.0 if fingers is None else fingers.energy)
        equations = assembly.normal_equations(jacobian, rows, fingers, prior)

        fell = (energy < loop.energy) & ~loop.done
        stray = ~fell & (loop.strays < settings.strays) & (energy < settings.patience * loop.energy)
        back = ~fell & ~stray
        damping = jnp.where(fell, loop.damping * settings.relax, loop.damping)
        damping = jnp.where(back, jnp.minimum(damping * settings.tighten, 1e6), damping)
        step = _limited(arrow.solve(arrow.damped(equations, damping, settings.floor)), settings.max_turn)
        best = jax.tree.map(_chosen(fell), loop.trial, loop.best)
        shortened = jax.tree.map(lambda part: part * settings.backtrack, loop.step)
        kept = jax.tree.map(_chosen(back), shortened, loop.step)
        kept = jax.tree.map(_chosen(fell), step, kept)
        origin = jax.tree.map(_chosen(back), best, loop.trial)
        trial = _moved(origin, *jax.tree.map(_chosen(back), kept, step))

        failures = jnp.where(fell, 0, loop.failures + back)
        small = jnp.isfinite(loop.energy) & (loop.energy - energy <= settings.tolerance * loop.energy)
        finished = (fell & (small | (energy < settings.energy_floor))) | (failures > settings.failures)
        return _Loop(
            best=best,
            energy=jnp.where(fell, energy, loop.energy),
            step=kept,
            trial=trial,
            damping=damping,
            strays=jnp.where(stray, loop.strays + 1, 0),
            failures=failures,
            converged=loop.converged | (finished & ~loop.done),
            done=loop.done | finished,
            iterations=jnp.where(loop.done, loop.iterations, loop.passes),
            passes=loop.passes + 1,
        )

    no = jnp.zeros(batch, bool)
    none = jnp.zeros(batch, jnp.int32)
    first = _Loop(
        best=start,
        energy=jnp.full(batch, jnp.inf, jnp.float32),
        step=(jnp.zeros((9, 5, batch)), jnp.zeros((size, batch))),
        trial=start,
        damping=jnp.full(batch, settings.damping / settings.relax, jnp.float32),
        strays=none,
        failures=none,
        converged=no,
        done=no,
        iterations=none,
        passes=jnp.zeros((), jnp.int32),
    )
    last = jax.lax.while_loop(lambda loop: (loop.passes <= settings.max_iterations) & ~loop.done.all(), body, first)
    return Solution(last.best, last.energy, last.converged, last.iterations)


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


def _chosen(condition: Array) -> Callable[[Array, Array], Array]:
    """Picks between two arrays hand by hand."""
    return lambda yes, no: jnp.where(condition.reshape(*[1] * (yes.ndim - 1), -1), yes, no)
