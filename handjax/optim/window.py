"""One hand over a window of a video: the second-order fit of all frames together, smooth in time, one shape for all."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.camera import Camera
from handjax.checks import check_shape
from handjax.mano.inverse import newton
from handjax.mano.inverse.jacobian import state_from_params
from handjax.mano.types import HandModel, HandParams
from handjax.optim.gaps import fill_gaps
from handjax.optim.refine import (
    RefineResult,
    RefineSettings,
    check_starts,
    evidence_of,
    refine_batch,
    report,
    terms,
)
from handjax.optim.window_solver import FINGER_ANGLES, Coupling, minimise_window

FRAME_SETTINGS = RefineSettings()


class Smoothness(NamedTuple):
    """Weights of squared changes from a frame to the next, in the px^2 of `RefineSettings`. May be traced.

    pose: mean square of the 45 finger angles, radians. root: squared angle between the two root rotations, radians.
    transl: squared metres. For noise of s px and typical changes of c, s^2 / (42 c^2) weighs both alike (45 times that
    for pose): the defaults are 2 px, 0.05 rad and 5 mm a frame.
    """

    pose: float | Array = 1700.0
    root: float | Array = 40.0
    transl: float | Array = 4000.0


SMOOTHNESS = Smoothness()


class WindowResult(NamedTuple):
    """frames: T frames with a leading T, each with its own energy. energies: (max_iterations + 1,) of all together with
    their changes in time, from the frame-by-frame start on; it never rises. converged, iterations: of the window."""

    frames: RefineResult
    energies: Array
    converged: Array
    iterations: Array


def refine_window(
    model: HandModel,
    params: HandParams,
    keypoints_2d: Array,
    camera: Camera,
    *,
    confidence: Array | None = None,
    keypoints_3d: Array | None = None,
    bone_length: Array | float | None = None,
    settings: RefineSettings = FRAME_SETTINGS,
    smoothness: Smoothness = SMOOTHNESS,
    shared_betas: bool = True,
) -> WindowResult:
    """Fits T frames of one hand: the energy of `refine_batch`, plus the changes between neighbours.

    Frame by frame first, then all together. Frames in which nothing was seen and starts that are not finite are filled
    in between their neighbours. An unknown focal length is one for all frames.

    Args:
      params: starts with a leading T. keypoints_2d: (T, 21, 2) pixels; one that is not finite counts as unseen.
      camera: focal and center (2,) or (T, 2). confidence: (T, 21), default 1. keypoints_3d: (T, 21, 3) camera frame,
        metres. bone_length: of this hand, wrist to middle-finger base, metres.
      shared_betas: False lets every frame have a shape of its own.

    Raises ValueError for wrong shapes or a hand without MANO's tree.
    """
    check_shape("keypoints_2d", keypoints_2d, ("T", 21, 2))
    count = keypoints_2d.shape[0]
    check_starts(model, params, count)
    params = fill_gaps(params, jnp.stack([jnp.isfinite(field).all(-1) for field in params]).all(0))
    if bone_length is not None:
        bone_length = jnp.broadcast_to(jnp.asarray(bone_length, jnp.float32), (count,))
    alone = refine_batch(
        model,
        params,
        keypoints_2d,
        camera,
        confidence=confidence,
        keypoints_3d=keypoints_3d,
        bone_length=bone_length,
        settings=settings,
    )
    evidence = evidence_of(keypoints_2d, camera, confidence, keypoints_3d, bone_length)
    visible = (evidence.confidence > 0).any(-1)
    if keypoints_3d is not None:
        visible = visible | jnp.isfinite(keypoints_3d).all(-1).any(-1)
    start = fill_gaps(alone.params, visible)
    share = (visible / jnp.maximum(visible.sum(), 1))[:, None]
    if shared_betas:
        start = start._replace(betas=jnp.broadcast_to((share * start.betas).sum(0), start.betas.shape))
    logarithm = (share[:, 0] * jnp.log(alone.camera.focal / evidence.focal)[:, 0]).sum()
    extra = jnp.broadcast_to(logarithm, (int(settings.unknown_focal), count))
    energy = terms(model, state_from_params(fill_gaps(params, visible)), evidence, settings)
    solution = minimise_window(
        model,
        newton.Unknowns(state_from_params(start), extra),
        energy,
        _coupling(model, settings, smoothness, shared_betas),
        settings.solver,
    )
    each = newton.Solution(
        unknowns=solution.unknowns,
        energy=solution.frame_energy,
        converged=jnp.broadcast_to(solution.converged, count),
        iterations=jnp.broadcast_to(solution.iterations, count),
    )
    return WindowResult(report(model, each, evidence), solution.energies, solution.converged, solution.iterations)


def _coupling(model: HandModel, settings: RefineSettings, smoothness: Smoothness, shared_betas: bool) -> Coupling:
    root_end = FINGER_ANGLES + 3
    transl = root_end + model.num_betas
    betas = np.arange(root_end, transl)
    extra = np.arange(transl + 3, transl + 3 + int(settings.unknown_focal))
    moving = np.concatenate([np.arange(root_end), np.arange(transl, transl + 3)])
    parts = [(FINGER_ANGLES, smoothness.pose / FINGER_ANGLES), (3, smoothness.root), (3, smoothness.transl)]
    if shared_betas:
        shared = np.concatenate([betas, extra])
    else:
        moving, shared = np.concatenate([moving, betas]), extra
        parts.append((len(betas), 0.0))
    return Coupling(moving, shared, jnp.concatenate([jnp.full(count, weight, jnp.float32) for count, weight in parts]))
