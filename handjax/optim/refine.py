"""The tailor as a second-order fit: any network's hand in, the hand that matches the keypoints out.

HandTailor's energy (Lv et al. 2021, eqs. 8-13) with confidences, a robust loss, joint limits, points in space, known
bone length and an unknown focal length, minimised by damped Gauss-Newton with the closed-form keypoint Jacobian.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from handjax.camera import Camera, project
from handjax.checks import check_shape
from handjax.mano.inverse import newton
from handjax.mano.inverse.assembly import PointRows
from handjax.mano.inverse.jacobian import HandState, check_solvable, params_from_state, state_from_params
from handjax.mano.inverse.joints import distance_rows
from handjax.mano.inverse.priors import PriorTerms, limit_excess, prior, with_bone_length
from handjax.mano.inverse.queue import minimise_in_turn
from handjax.mano.landmarks import keypoints
from handjax.mano.types import HandModel, HandParams
from handjax.optim.image_rows import projection_rows, twist_rows
from handjax.optim.placement import place


@dataclasses.dataclass(frozen=True)
class RefineSettings:
    """Weights of the energy, in px^2 of the mean squared reprojection error, and how to solve. Static under jit.

    pose, shape: mean squares of the change from the start (eq. 11 as coded). twist: eq. 10, 100 as released. limit:
    each radian squared past a joint limit. robust_px: scale of the robust loss, None for squares. space: mean squared
    distance to `keypoints_3d` in mm^2. bone: squared mm from `bone_length`. focal: squared change of the logarithm of
    the focal length, if `unknown_focal`. place_root: first put the hand where its points are seen (eq. 8).
    """

    pose: float = 0.01
    shape: float = 0.01
    twist: float = 0.0
    limit: float = 30.0
    robust_px: float | None = None
    space: float = 0.01
    bone: float = 1.0
    focal: float = 30.0
    unknown_focal: bool = False
    place_root: bool = True
    solver: newton.SolverSettings = newton.SolverSettings()


class Evidence(NamedTuple):
    """What is seen of B hands; the last two may be None."""

    keypoints_2d: Array  # (B, 21, 2) pixels
    confidence: Array  # (B, 21)
    focal: Array  # (B, 2)
    center: Array  # (B, 2)
    keypoints_3d: Array | None  # (B, 21, 3) camera frame, metres
    bone_length: Array | None  # (B,) wrist to middle-finger base, metres


class RefineResult(NamedTuple):
    """One hand, or a batch that leads. keypoints (21, 3) camera frame, metres; reprojected (21, 2) and error_px (21,)
    in pixels; limit_excess: radians of the joint furthest past its limit."""

    params: HandParams
    camera: Camera
    keypoints: Array
    reprojected: Array
    error_px: Array
    energy: Array
    limit_excess: Array
    converged: Array
    iterations: Array


def refine(
    model: HandModel,
    params: HandParams,
    keypoints_2d: Array,
    camera: Camera,
    *,
    confidence: Array | None = None,
    keypoints_3d: Array | None = None,
    bone_length: Array | float | None = None,
    settings: RefineSettings = RefineSettings(),
) -> RefineResult:
    """One hand: a start, keypoints (21, 2) in pixels and the camera -> the refined hand. See `refine_batch`."""
    check_shape("keypoints_2d", keypoints_2d, (21, 2))

    def lead(value):
        return None if value is None else jnp.asarray(value)[None]

    result = refine_batch(
        model,
        jax.tree.map(lead, params),
        jnp.asarray(keypoints_2d)[None],
        camera,
        confidence=lead(confidence),
        keypoints_3d=lead(keypoints_3d),
        bone_length=lead(bone_length),
        settings=settings,
    )
    return jax.tree.map(lambda field: field[0], result)


def refine_batch(
    model: HandModel,
    params: HandParams,
    keypoints_2d: Array,
    camera: Camera,
    *,
    confidence: Array | None = None,
    keypoints_3d: Array | None = None,
    bone_length: Array | None = None,
    settings: RefineSettings = RefineSettings(),
) -> RefineResult:
    """Fits B hands to what is seen of them, each from its own start.

    Args:
      params: starts, with a leading B, as any network gives them; transl is replaced if `settings.place_root`.
      keypoints_2d: (B, 21, 2) pixels; one that is not finite counts as unseen. camera: focal and center (2,) or (B, 2).
      confidence: (B, 21), default 1. keypoints_3d: (B, 21, 3) camera frame, metres. bone_length: (B,) metres.

    Raises ValueError for wrong shapes or a hand without MANO's tree.
    """
    check_solvable(model)
    check_shape("keypoints_2d", keypoints_2d, ("B", 21, 2))
    batch = keypoints_2d.shape[0]
    check_starts(model, params, batch)
    evidence = evidence_of(keypoints_2d, camera, confidence, keypoints_3d, bone_length)
    return solve(model, params, evidence, settings)


def evidence_of(
    keypoints_2d: Array,
    camera: Camera,
    confidence: Array | None,
    keypoints_3d: Array | None,
    bone_length: Array | None,
) -> Evidence:
    """What is seen of B hands, unseen keypoints with no confidence. Raises ValueError for wrong shapes."""
    batch = keypoints_2d.shape[0]
    seen = jnp.isfinite(keypoints_2d).all(-1)
    confidence = jnp.ones((batch, 21)) if confidence is None else confidence
    check_shape("confidence", confidence, (batch, 21))
    if keypoints_3d is not None:
        check_shape("keypoints_3d", keypoints_3d, (batch, 21, 3))
    if bone_length is not None:
        check_shape("bone_length", bone_length, (batch,))
    pixels = jnp.where(seen[..., None], keypoints_2d, 0.0)
    confidence = jnp.where(seen, confidence, 0.0)
    return Evidence(pixels, confidence, *camera_of_each(camera, batch), keypoints_3d, bone_length)


def check_starts(model: HandModel, params: HandParams, batch: int) -> None:
    """Raises ValueError unless every field of `params` has the leading axis `batch` and the model's width."""
    widths = (model.num_betas, 3, 3 * (model.num_joints - 1), 3)
    for name, value, width in zip(HandParams._fields, params, widths, strict=True):
        check_shape(name, value, (batch, width))


def solve(
    model: HandModel,
    params: HandParams,
    evidence: Evidence,
    settings: RefineSettings,
    target: HandParams | None = None,
) -> RefineResult:
    """`refine_batch` without the checks. The pose and shape that the energy draws the hand to are the start's, or the
    target's."""
    if settings.place_root:
        origin = params._replace(transl=jnp.zeros_like(params.transl))
        points = jax.vmap(lambda one: keypoints(model, one))(origin)
        seen = evidence[:4]
        params = params._replace(transl=place(points, *seen))
    start = newton.Unknowns(state_from_params(params), jnp.zeros((int(settings.unknown_focal), params.betas.shape[0])))

    def energies(some: tuple[HandParams, Evidence]) -> newton.Terms:
        drawn_to, seen = some
        return terms(model, state_from_params(drawn_to), seen, settings)

    given = (params if target is None else target, evidence)
    solution = minimise_in_turn(model, start, given, energies, settings.solver)
    return report(model, solution, evidence)


def terms(model: HandModel, target: HandState, evidence: Evidence, settings: RefineSettings) -> newton.Terms:
    """The energy of B hands, as the solver reads it."""
    batch = target.betas.shape[-1]
    robust = None if settings.robust_px is None else jnp.full(batch, settings.robust_px)
    measures = [projection_rows(model, *evidence[:4], robust)]
    if evidence.keypoints_3d is not None:
        visible = jnp.isfinite(evidence.keypoints_3d).all(-1)
        points = jnp.where(visible[..., None], evidence.keypoints_3d, 0.0)
        measures.append(distance_rows(model, points, settings.space * visible))
    known = PriorTerms(
        pose=settings.pose / 45,
        pose_target=target.fingers,
        limit=settings.limit,
        shape=settings.shape / model.num_betas,
        betas_target=target.betas,
        extra=jnp.full((int(settings.unknown_focal), 1), settings.focal),
    )

    def known_of(unknowns: newton.Unknowns):
        value = prior(model, known, unknowns.hand.fingers, unknowns.hand.betas, unknowns.extra)
        if evidence.bone_length is None:
            return value
        return with_bone_length(model, value, unknowns.hand.betas, evidence.bone_length, settings.bone)

    return newton.Terms(
        points=lambda *at: _together([measure(*at) for measure in measures]),
        fingers=twist_rows(settings.twist) if settings.twist else None,
        prior=known_of,
    )


def _together(rows: list[PointRows]) -> PointRows:
    if len(rows) == 1:
        return rows[0]
    fields = [jnp.concatenate(parts) for parts in zip(*(row[:-1] for row in rows), strict=True)]
    return PointRows(*fields, energy=sum((row.energy for row in rows), jnp.zeros(())))


def report(model: HandModel, solution: newton.Solution, evidence: Evidence) -> RefineResult:
    """What a solution means for the picture."""
    hand = solution.unknowns.hand
    params = params_from_state(hand)
    focal = evidence.focal * jnp.exp(solution.unknowns.extra.sum(0))[:, None]
    camera = Camera(focal, evidence.center)
    placed = jax.vmap(lambda one: keypoints(model, one))(params)
    reprojected = jax.vmap(project)(camera, placed)
    error = jnp.linalg.norm(reprojected - evidence.keypoints_2d, axis=-1)
    return RefineResult(
        params=params,
        camera=camera,
        keypoints=placed,
        reprojected=reprojected,
        error_px=jnp.where(evidence.confidence > 0, error, jnp.nan),
        energy=solution.energy,
        limit_excess=jnp.abs(limit_excess(model, hand.fingers)).max((0, 1, 2)),
        converged=solution.converged,
        iterations=solution.iterations,
    )


def camera_of_each(camera: Camera, batch: int) -> Camera:
    """focal and center (2,) or (B, 2) -> (B, 2) both. Raises ValueError for other shapes."""

    def each(name: str, array: Array) -> Array:
        array = jnp.asarray(array, jnp.float32)
        check_shape(name, array, (2,) if array.ndim == 1 else (batch, 2))
        return jnp.broadcast_to(array.reshape(-1, 2), (batch, 2))

    return Camera(each("camera.focal", camera.focal), each("camera.center", camera.center))
