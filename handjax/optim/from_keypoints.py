"""Keypoints of a detector in, hands out: the fit behind `handjax predict`, for a batch of right hands."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from handjax.camera import Camera
from handjax.checks import check_shape
from handjax.mano.inverse import newton
from handjax.mano.inverse.jacobian import check_solvable, params_from_state
from handjax.mano.inverse.start import from_points
from handjax.mano.types import HandModel, HandParams
from handjax.optim.multistart import MultistartSettings, fit_2d, normalised
from handjax.optim.refine import RefineResult, RefineSettings, solve

WITH_SPACE = RefineSettings(
    pose=1.0, shape=0.3, limit=100.0, robust_px=6.0, solver=newton.SolverSettings(max_iterations=40, tolerance=1e-3)
)
"""Pixels of a 128 px box. The robust scale is a detector's error on joints that it guesses: about 5 % of the box."""

WITHOUT_SPACE = MultistartSettings(
    views=12,
    keep=3,
    settings=RefineSettings(
        pose=1.0,
        shape=0.5,
        limit=100.0,
        robust_px=6.0,
        solver=newton.SolverSettings(max_iterations=40, tolerance=1e-3),
    ),
)


class HandFit(NamedTuple):
    """B hands: keypoints (B, 21, 3) camera frame, metres; reprojected (B, 21, 2) and error_px (B, 21) in the pixels
    given; energy (B,) in px^2 of a 128 px box; ambiguous (B,): another hand explains the picture about as well."""

    params: HandParams
    keypoints: Array
    reprojected: Array
    error_px: Array
    energy: Array
    converged: Array
    iterations: Array
    ambiguous: Array


def fit_keypoints(
    model: HandModel,
    keypoints_2d: Array,
    focal: Array,
    center: Array,
    *,
    confidence: Array | None = None,
    keypoints_3d: Array | None = None,
) -> HandFit:
    """Keypoints (B, 21, 2), focal and center (B, 2) in pixels -> hands in front of their cameras.

    With `keypoints_3d` (B, 21, 3), metres in camera axes from any origin, as detectors guess them: their closed-form
    hand is the start and what the fit stays near to. Without: `fit_2d` from many views. A keypoint that is
    not finite counts as unseen. Left hands: mirror what goes in and what comes out (`handjax.mano.mirror_params`).

    Raises ValueError for wrong shapes or a hand without MANO's tree.
    """
    check_solvable(model)
    check_shape("keypoints_2d", keypoints_2d, ("B", 21, 2))
    batch = keypoints_2d.shape[0]
    check_shape("focal", focal, (batch, 2))
    check_shape("center", center, (batch, 2))
    confidence = jnp.ones((batch, 21)) if confidence is None else confidence
    check_shape("confidence", confidence, (batch, 21))
    if keypoints_3d is None:
        both = fit_2d(model, keypoints_2d, Camera(focal, center), confidence=confidence, settings=WITHOUT_SPACE)
        return _fit(jax.tree.map(lambda field: field[:, 0], both.hypotheses), both.ambiguous)
    check_shape("keypoints_3d", keypoints_3d, (batch, 21, 3))
    seen = jnp.isfinite(keypoints_2d).all(-1)
    weight = jnp.where(seen, confidence, 0.0)
    evidence, scale = normalised(jnp.where(seen[..., None], keypoints_2d, 0.0), weight, focal, center)
    start = params_from_state(from_points(model, keypoints_3d, weight))
    result = solve(model, start, evidence, WITH_SPACE)
    back = 1 / scale[:, None]
    result = result._replace(reprojected=result.reprojected * back[..., None], error_px=result.error_px * back)
    return _fit(result, jnp.zeros(batch, bool))


def _fit(result: RefineResult, ambiguous: Array) -> HandFit:
    return HandFit(
        result.params,
        result.keypoints,
        result.reprojected,
        result.error_px,
        result.energy,
        result.converged,
        result.iterations,
        ambiguous,
    )
