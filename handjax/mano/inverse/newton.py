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
    """When to stop and how carefully to start."""

    max_iterations: int = 30
    tolerance: float = 1e-4  # relative fall of the energy that counts as none
    energy_floor: float = 1e-6  # an energy below this, in the terms' own unit, is nothing left to fit
    damping: float = 1e-2
    max_turn: float = 0.6  # radians a finger joint or the root may turn in one iteration


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
    energy: Array
    finger_step: Array
    border_step: Array
    damping: Array
    retries: Array
    converged: Array
    done: Array
    iterations: Array
    count: Array


def minimise(model: HandModel, start: Unknowns, terms: Terms, settings: SolverSettings) -> Solution:
    """Finds the nearest minimum of the energy for each of B hands.

    Every pass evaluates energy and derivatives at the trial point. A hand whose energy fell steps on from there; the
    others go back and try a third of their step. Stops when each hand's energy has ceased to fall.
    """
    check_solvable(model)
    tips = landmarks.fingertip_model(model)
    batch = start.extra.shape[-1]
    size = 6 + model.num_betas + start.extra.shape[0]

    def body(loop: _Loop) -> _Loop:
        trial = _moved(loop.best, loop.finger_step, loop.border_step)
        jacobian = point_jacobian(model, tips, trial.hand)
        rows = terms.points(jacobian.wrist, jacobian.points, trial.extra)
        fingers = None if terms.fingers is None else terms.fingers(jacobian.points)
        prior = terms.prior(trial)
        energy = rows.energy + prior.energy + (0.0 if fingers is None else fingers.energy)
        fell = (energy < loop.energy) & ~loop.done
        equations = assembly.normal_equations(jacobian, rows, fingers, prior)
        damping = jnp.where(fell, loop.damping * 0.2, jnp.minimum(loop.damping * 4.0, 1e6))
        finger_step, border_step = arrow.solve(arrow.damped(equations, damping))
        small = jnp.isfinite(loop.energy) & (loop.energy - energy <= settings.tolerance * loop.energy)
        retries = jnp.where(fell, 0, loop.retries + 1)
        finished = (fell & (small | (energy < settings.energy_floor))) | (retries > 6)
        limit = settings.max_turn
        return _Loop(
            best=jax.tree.map(_chosen(fell), trial, loop.best),
            energy=jnp.where(fell, energy, loop.energy),
            finger_step=_chosen(fell)(jnp.clip(finger_step, -limit, limit), loop.finger_step / 3),
            border_step=_chosen(fell)(_shortened(border_step, limit), loop.border_step / 3),
            damping=jnp.where(loop.done, loop.damping, damping),
            retries=retries,
            converged=loop.converged | (finished & ~loop.done),
            done=loop.done | finished,
            iterations=jnp.where(loop.done, loop.iterations, loop.count),
            count=loop.count + 1,
        )

    first = _Loop(
        best=start,
        energy=jnp.full(batch, jnp.inf),
        finger_step=jnp.zeros((9, 5, batch)),
        border_step=jnp.zeros((size, batch)),
        damping=jnp.full(batch, settings.damping * 5),
        retries=jnp.zeros(batch, jnp.int32),
        converged=jnp.zeros(batch, bool),
        done=jnp.zeros(batch, bool),
        iterations=jnp.zeros(batch, jnp.int32),
        count=jnp.zeros((), jnp.int32),
    )
    last = jax.lax.while_loop(lambda loop: (loop.count <= settings.max_iterations) & ~loop.done.all(), body, first)
    return Solution(last.best, last.energy, last.converged, last.iterations)


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


def _shortened(border_step: Array, limit: float) -> Array:
    """The turn of the root kept within the limit; the rest is as solved."""
    angle = jnp.sqrt((border_step[:3] ** 2).sum(0) + 1e-12)
    return jnp.concatenate([border_step[:3] * jnp.minimum(1.0, limit / angle)[None], border_step[3:]])
