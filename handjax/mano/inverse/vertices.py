"""A registered mesh to the parameters of the hand that has it: a posed hand run backwards."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from handjax import rotations
from handjax.checks import check_shape
from handjax.mano import hand, kinematics
from handjax.mano.inverse.tiling import in_tiles
from handjax.mano.types import HandModel, HandParams

MM_PER_METRE = 1e3
SHAPE_WEIGHT, POSE_WEIGHT = 1e-2, 1.0
"""Of each squared coefficient and of each squared radian from the start, against squared mm summed over vertices: they
decide only what the vertices do not. Without, a finger that is not seen would turn to no end for the trace of its
pose that correctives leave elsewhere."""

JOINT_MOMENT = 1e-7
"""Square metres: a joint whose visible vertices spread less than this is turned with its parent."""

RELAX, TIGHTEN = 0.1, 10.0
LEAST_DAMPING, MOST_DAMPING = 1e-6, 1e6
TILE = 8
"""Meshes solved together: the Jacobian of each takes half a megabyte."""


class VerticesFit(NamedTuple):
    """params; error (V,) metres from each vertex to the fitted hand's, NaN where none was given; converged;
    iterations. A batch leads."""

    params: HandParams
    error: Array
    converged: Array
    iterations: Array


def fit_vertices(
    model: HandModel, vertices: Array, *, confidence: Array | None = None, betas: Array | None = None
) -> VerticesFit:
    """Vertices (V, 3) in metres, confidence (V,), known betas (S,) -> the hand. See `fit_vertices_batch`."""
    check_shape("vertices", vertices, (model.num_vertices, 3))
    confidence, betas = (None if given is None else jnp.asarray(given)[None] for given in (confidence, betas))
    fit = fit_vertices_batch(model, jnp.asarray(vertices)[None], confidence=confidence, betas=betas)
    return jax.tree.map(lambda field: field[0], fit)


def fit_vertices_batch(
    model: HandModel,
    vertices: Array,
    *,
    confidence: Array | None = None,
    betas: Array | None = None,
    max_iterations: int = 30,
    tolerance: float = 1e-4,
) -> VerticesFit:
    """B meshes with the model's own vertices -> the hands nearest to them, for any joint tree.

    Each joint is turned onto the vertices it holds, then all parameters move together by damped Gauss-Newton on the
    squared distances. Stops when the energy falls by less than `tolerance` of itself.

    Args:
      vertices: (B, V, 3) metres; one that is not finite counts as unseen.
      confidence: (B, V) weight of each squared distance, default 1. What no vertex shows stays where its parent has it.
      betas: (B, S) known shape, which is then kept.

    Raises ValueError for wrong shapes.
    """
    vertices = jnp.asarray(vertices)
    check_shape("vertices", vertices, ("B", model.num_vertices, 3))
    batch = vertices.shape[0]
    seen = jnp.isfinite(vertices).all(-1)
    confidence = jnp.ones((batch, model.num_vertices)) if confidence is None else jnp.asarray(confidence)
    check_shape("confidence", confidence, (batch, model.num_vertices))
    if betas is not None:
        check_shape("betas", betas, (batch, model.num_betas))
    weight = jnp.where(seen, confidence, 0.0)

    def one(vertices: Array, weight: Array, betas: Array | None) -> VerticesFit:
        return _fit(model, vertices, weight, betas, max_iterations, tolerance)

    placed = jnp.where(seen[..., None], vertices, 0.0)
    fit = in_tiles(lambda some: jax.vmap(one)(*some), (placed, weight, betas), TILE)
    return fit._replace(error=jnp.where(seen, fit.error, jnp.nan))


class _Loop(NamedTuple):
    values: Array
    energy: Array
    gradient: Array
    curvature: Array
    damping: Array
    done: Array
    iterations: Array


def _fit(
    model: HandModel, vertices: Array, weight: Array, betas: Array | None, max_iterations: int, tolerance: float
) -> VerticesFit:
    start = _start(model, vertices, weight, jnp.zeros(model.num_betas) if betas is None else betas)
    known = () if betas is None else betas
    free = start if betas is None else start._replace(betas=jnp.zeros(0))
    first, restored = ravel_pytree(free)

    def params_of(values: Array) -> HandParams:
        params = restored(values)
        return params if betas is None else params._replace(betas=known)

    def residuals(values: Array) -> Array:
        params = params_of(values)
        apart = MM_PER_METRE * jnp.sqrt(weight)[:, None] * (hand.forward(model, params).vertices - vertices)
        turned = POSE_WEIGHT**0.5 * (params.hand_pose - start.hand_pose)
        return jnp.concatenate([apart.ravel(), SHAPE_WEIGHT**0.5 * params.betas, turned])

    def measured(values: Array) -> tuple[Array, Array, Array]:
        residual, slopes = residuals(values), jax.jacfwd(residuals)(values)
        gradient = jnp.matmul(residual, slopes, precision="highest")
        return (residual * residual).sum(), gradient, jnp.matmul(slopes.T, slopes, precision="highest")

    def step(loop: _Loop) -> _Loop:
        # In units in which all curvatures are 1: millimetres of a shape and radians of the root differ by 1e6.
        unit = 1 / jnp.sqrt(jnp.diag(loop.curvature) + 1e-6)
        scaled = unit[:, None] * loop.curvature * unit[None] + loop.damping * jnp.eye(unit.shape[0])
        trial = loop.values - unit * jnp.linalg.solve(scaled, unit * loop.gradient)
        energy, gradient, curvature = measured(trial)
        fell = energy < loop.energy
        small = loop.energy - energy <= tolerance * loop.energy
        damping = jnp.where(fell, loop.damping * RELAX, loop.damping * TIGHTEN)
        return _Loop(
            values=jnp.where(fell, trial, loop.values),
            energy=jnp.where(fell, energy, loop.energy),
            gradient=jnp.where(fell, gradient, loop.gradient),
            curvature=jnp.where(fell, curvature, loop.curvature),
            damping=jnp.maximum(damping, LEAST_DAMPING),
            done=(fell & small) | (damping > MOST_DAMPING),
            iterations=loop.iterations + 1,
        )

    none = jnp.zeros((), jnp.int32)
    begin = _Loop(first, *measured(first), jnp.float32(1e-3), jnp.asarray(False), none)
    last = jax.lax.while_loop(lambda loop: (loop.iterations < max_iterations) & ~loop.done, step, begin)
    params = params_of(last.values)
    error = jnp.linalg.norm(hand.forward(model, params).vertices - vertices, axis=-1)
    # Gauss-Newton may take the root past half a turn: the shorter vector is the same rotation.
    turn = rotations.axis_angle_from_matrix(rotations.matrix_from_axis_angle(params.global_orient))
    return VerticesFit(params._replace(global_orient=turn), error, last.done, last.iterations)


def _start(model: HandModel, vertices: Array, weight: Array, betas: Array) -> HandParams:
    """Turns each joint onto the vertices it holds, parents first, and moves the hand onto the mesh."""
    shaped = model.v_template + jnp.tensordot(model.shapedirs, betas, 1, precision="highest")
    moments = _moments(shaped, vertices, weight[:, None] * model.lbs_weights**2)
    whole = _moments(shaped, vertices, weight[:, None])
    world = {-1: _nearest_rotation(whole + JOINT_MOMENT * jnp.eye(3)[None])[0]}
    for level in kinematics.levels(model.parents):
        # A joint that few vertices show, or none, stays where its parent has it.
        before = jnp.stack([world[model.parents[joint]] for joint in level])
        turned = _nearest_rotation(moments[jnp.array(level)] + JOINT_MOMENT * before)
        world.update(zip(level, turned, strict=True))
    parents = [jnp.eye(3), *(world[parent] for parent in model.parents[1:])]
    ours = jnp.stack([world[joint] for joint in range(model.num_joints)])
    local = jnp.matmul(jnp.stack(parents).swapaxes(1, 2), ours, precision="highest")
    if model.joint_frames is not None:
        inverse = model.joint_frames.swapaxes(1, 2)
        local = jnp.matmul(jnp.matmul(inverse, local, precision="highest"), model.joint_frames, precision="highest")
    pose = rotations.axis_angle_from_matrix(local)
    params = HandParams(betas, pose[0], pose[1:].ravel(), jnp.zeros(3))
    apart = vertices - hand.forward(model, params).vertices
    return params._replace(transl=(weight[:, None] * apart).sum(0) / (weight.sum() + 1e-9))


def _moments(source: Array, target: Array, weights: Array) -> Array:
    """Points (V, 3) and (V, 3), weights (V, n) -> (n, 3, 3) sums of w target source^T, each set about its mean."""
    both = jnp.einsum("vn,vi,vj->nij", weights, target, source, precision="highest")
    mean_target = jnp.matmul(weights.T, target, precision="highest")
    mean_source = jnp.matmul(weights.T, source, precision="highest")
    total = weights.sum(0)[:, None, None] + 1e-12
    return both - mean_target[:, :, None] * (mean_source[:, None] / total)


def _nearest_rotation(moments: Array) -> Array:
    """(n, 3, 3) -> the rotations R that maximise trace(R^T M), never reflections (Kabsch 1976)."""
    left, _, right = jnp.linalg.svd(moments)
    sign = jnp.where(jnp.linalg.det(jnp.matmul(left, right, precision="highest")) < 0, -1.0, 1.0)
    return jnp.matmul(left.at[:, :, 2].multiply(sign[:, None]), right, precision="highest")
