"""The second-order tailor's energy as a plain function of hand parameters, and Adam on it, to compare minimisers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array

from benchmarks import hands
from handjax import mano
from handjax.mano.inverse.jacobian import keypoint_order, state_from_params
from handjax.mano.inverse.newton import Unknowns
from handjax.optim.placement import place
from handjax.optim.refine import Evidence, RefineSettings, terms

ADAM = optax.adam(0.03, b1=0.5, b2=0.5)
"""As HandTailor's released code sets it."""

STEP_UNIT_M = 0.1
"""Adam moves every unknown by about its learning rate: a tenth of a metre is what a radian moves a finger."""


def energy_of(
    model: mano.HandModel, start: mano.HandParams, evidence: Evidence, settings: RefineSettings
) -> Callable[[mano.HandParams], Array]:
    """-> the function of B hands' parameters, (B,), whose minimum `refine_batch` looks for from that start."""
    wrist_place, order = keypoint_order(model)
    parts = terms(model, state_from_params(start), evidence, settings)

    def energy(params: mano.HandParams) -> Array:
        points = hands.keypoints(model, params).transpose(2, 1, 0)
        no_extra = jnp.zeros((0, points.shape[-1]))
        seen = parts.points(points[:, wrist_place], points[:, order], no_extra).energy
        known = parts.prior(Unknowns(state_from_params(params), no_extra)).energy
        return seen + known + (0.0 if parts.fingers is None else parts.fingers(points[:, order]).energy)

    return energy


def evidence_of(pixels: Array) -> Evidence:
    """(B, 21, 2) pixels of `hands.CAMERA`, all seen."""
    focal, center = (jnp.broadcast_to(field, (len(pixels), 2)) for field in hands.CAMERA)
    return Evidence(pixels, jnp.ones(pixels.shape[:2]), focal, center, None, None)


def placed(model: mano.HandModel, start: mano.HandParams, evidence: Evidence) -> mano.HandParams:
    """The start where `refine_batch` begins: moved to where its points are seen."""
    at_origin = start._replace(transl=jnp.zeros_like(start.transl))
    return start._replace(transl=place(hands.keypoints(model, at_origin), *evidence[:4]))


def adam(
    energy: Callable[[mano.HandParams], Array], start: mano.HandParams, steps: int
) -> tuple[mano.HandParams, Array]:
    """-> of each hand the best of all steps and its energy (B,): its last one may be worse."""

    def of_scaled(scaled):
        each = energy(_with_transl(scaled, STEP_UNIT_M))
        return each.sum(), each

    def step(carry, _):
        scaled, state, best, lowest = carry
        (_, each), slope = jax.value_and_grad(of_scaled, has_aux=True)(scaled)
        best, lowest = _better(best, lowest, scaled, each)
        updates, state = ADAM.update(slope, state)
        return (jax.tree.map(jnp.add, scaled, updates), state, best, lowest), None

    scaled = _with_transl(start, 1 / STEP_UNIT_M)
    first = (scaled, ADAM.init(scaled), scaled, jnp.full(len(start.betas), jnp.inf))
    (last, _, best, lowest), _ = jax.lax.scan(step, first, length=steps)
    best, lowest = _better(best, lowest, last, of_scaled(last)[1])
    return _with_transl(best, STEP_UNIT_M), lowest


def _with_transl(params: mano.HandParams, times: float) -> mano.HandParams:
    return params._replace(transl=times * params.transl)


def _better(best: mano.HandParams, lowest: Array, other: mano.HandParams, energy: Array):
    fell = energy < lowest
    return jax.tree.map(lambda new, old: jnp.where(fell[:, None], new, old), other, best), jnp.minimum(energy, lowest)
