"""21 points in space to the parameters of the hand that has them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from handjax.checks import check_shape
from handjax.mano.inverse import newton, start
from handjax.mano.inverse.assembly import PointRows
from handjax.mano.inverse.jacobian import check_solvable, keypoint_order, params_from_state
from handjax.mano.inverse.priors import PriorTerms, prior
from handjax.mano.inverse.tiling import in_tiles
from handjax.mano.landmarks import keypoints
from handjax.mano.types import HandModel, HandParams

MM_PER_METRE = 1e3
# Against a mean squared error in mm^2: what points do not show (twists, shape) stays plausible.
LIMIT_WEIGHT = 30.0
POSE_WEIGHT = 0.02
SHAPE_WEIGHT = 0.02
SETTINGS = newton.SolverSettings(damping=1e-3, energy_floor=1e-2, tolerance=1e-2)


class JointsFit(NamedTuple):
    """params; error (21,) metres from each point to the fitted hand's; converged; iterations. A batch leads."""

    params: HandParams
    error: Array
    converged: Array
    iterations: Array


def fit_joints(model: HandModel, joints: Array, confidence: Array | None = None) -> JointsFit:
    """Points (21, 3) in metres, confidence (21,) -> the hand. For many hands: `fit_joints_batch`."""
    check_shape("joints", joints, (21, 3))
    fit = fit_joints_batch(model, joints[None], None if confidence is None else confidence[None])
    return jax.tree.map(lambda field: field[0], fit)


def fit_joints_batch(
    model: HandModel,
    joints: Array,
    confidence: Array | None = None,
    *,
    settings: newton.SolverSettings = SETTINGS,
) -> JointsFit:
    """Points (B, 21, 3) in metres, confidence (B, 21) -> B hands.

    A closed-form start (palm aligned, each bone swung onto its direction), then damped Gauss-Newton. A point that is
    not finite counts as unseen. Raises ValueError for wrong shapes or a hand without MANO's tree.
    """
    check_shape("joints", joints, ("B", 21, 3))
    check_solvable(model)
    seen = jnp.isfinite(joints).all(-1)
    joints = jnp.where(seen[..., None], joints, 0.0)
    confidence = jnp.ones(joints.shape[:2]) if confidence is None else confidence
    check_shape("confidence", confidence, joints.shape[:2])
    confidence = jnp.where(seen, confidence, 0.0)
    return in_tiles(lambda some: _fit(model, *some, settings), (joints, confidence))


def _fit(model: HandModel, joints: Array, confidence: Array, settings: newton.SolverSettings) -> JointsFit:
    batch = joints.shape[0]
    state = start.from_points(model, joints, confidence)
    known = PriorTerms(
        pose=POSE_WEIGHT,
        pose_target=jnp.zeros((9, 5, batch)),
        limit=LIMIT_WEIGHT,
        shape=SHAPE_WEIGHT,
        betas_target=jnp.zeros((model.num_betas, batch)),
        extra=jnp.zeros((0, 1)),
    )
    terms = newton.Terms(
        points=distance_rows(model, joints, confidence),
        fingers=None,
        prior=lambda unknowns: prior(model, known, unknowns.hand.fingers, unknowns.hand.betas, unknowns.extra),
    )
    solution = newton.minimise(model, newton.Unknowns(state, jnp.zeros((0, batch))), terms, settings)
    params = params_from_state(solution.unknowns.hand)
    placed = jax.vmap(lambda one: keypoints(model, one))(params)
    error = jnp.linalg.norm(placed - joints, axis=-1)
    return JointsFit(params, error, solution.converged, solution.iterations)


def distance_rows(model: HandModel, joints: Array, confidence: Array):
    """Points (B, 21, 3) and confidence (B, 21) -> the term of `newton.Terms` that pulls keypoints onto them.

    Its energy is the mean squared distance over 21 points in mm^2, each times its confidence.
    """
    wrist_place, order = keypoint_order(model)
    measured = joints.transpose(2, 1, 0)
    scale = MM_PER_METRE * jnp.sqrt(confidence.T / 21)

    def rows(wrist: Array, points: Array, extra: Array) -> PointRows:
        residual = scale[order][None] * (points - measured[:, order])
        wrist_residual = scale[wrist_place][None] * (wrist - measured[:, wrist_place])
        return PointRows(
            residual=residual,
            by_point=jnp.eye(3)[:, :, None, None, None] * scale[order][None, None],
            by_extra=jnp.zeros((3, extra.shape[0], *residual.shape[1:])),
            wrist_residual=wrist_residual,
            wrist_by_point=jnp.eye(3)[:, :, None] * scale[wrist_place][None, None],
            wrist_by_extra=jnp.zeros((3, extra.shape[0], residual.shape[-1])),
            energy=(residual**2).sum((0, 1, 2)) + (wrist_residual**2).sum(0),
        )

    return rows
