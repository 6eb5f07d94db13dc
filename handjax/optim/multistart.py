"""From 2D keypoints alone: many hands in many views, each fitted a little, the best one or two finished.

A picture of points does not say which way a bone leans from the image plane. Two hypotheses are kept, the best fit and
the best that is another hand, so that a caller sees when the picture does not decide.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import rotations
from handjax.camera import Camera
from handjax.checks import check_shape
from handjax.mano.inverse import newton
from handjax.mano.inverse.jacobian import check_solvable
from handjax.mano.landmarks import keypoints
from handjax.mano.types import HandModel, HandParams
from handjax.optim.refine import Evidence, RefineResult, RefineSettings, camera_of_each, solve

PALM = (0, 1, 5, 9, 13, 17)
"""Keypoints whose layout in the image gives a start its turn about the line of sight."""

BOX_PX = 128.0
"""Energies are in pixels of a crop in which the keypoints' box has this side, as HandTailor's 256 px crops have it."""

DIFFERENT_MM = 15.0
"""Two fits whose keypoints differ by this, on average and root-relative, are two hypotheses."""

AMBIGUOUS_RATIO, AMBIGUOUS_PX_SQ = 1.5, 0.25
"""The second hypothesis counts if its energy is within this factor of the first's, or this near to it."""


@dataclasses.dataclass(frozen=True)
class MultistartSettings:
    """views: directions over the sphere. trial_iterations: before the choice. keep: fits that are finished, among them
    the best and its best rival; these two are returned. settings: the energy of `refine`, in pixels of a 128 px box."""

    views: int = 16
    trial_iterations: int = 8
    keep: int = 4
    settings: RefineSettings = RefineSettings(
        pose=0.3, shape=0.3, limit=100.0, solver=newton.SolverSettings(max_iterations=40)
    )


class MultistartResult(NamedTuple):
    """Two hypotheses of each hand, (B, 2, ...), the better first; ambiguous (B,): both explain the picture."""

    hypotheses: RefineResult
    ambiguous: Array


def fit_2d(
    model: HandModel,
    keypoints_2d: Array,
    camera: Camera,
    *,
    confidence: Array | None = None,
    settings: MultistartSettings = MultistartSettings(),
) -> MultistartResult:
    """Keypoints (B, 21, 2) in pixels, camera focal and center (2,) or (B, 2) -> hands, with no start.

    Keypoints that are not finite count as unseen. Raises ValueError for wrong shapes or a hand without MANO's tree.
    """
    check_solvable(model)
    check_shape("keypoints_2d", keypoints_2d, ("B", 21, 2))
    batch = keypoints_2d.shape[0]
    confidence = jnp.ones((batch, 21)) if confidence is None else confidence
    check_shape("confidence", confidence, (batch, 21))
    seen = jnp.isfinite(keypoints_2d).all(-1)
    confidence = jnp.where(seen, confidence, 0.0)
    focal, center = camera_of_each(camera, batch)
    evidence, scale = normalised(jnp.where(seen[..., None], keypoints_2d, 0.0), confidence, focal, center)
    starts = all_starts(model, evidence, settings.views)
    return best_two(model, starts, evidence, scale, settings)


def normalised(pixels: Array, confidence: Array, focal: Array, center: Array) -> tuple[Evidence, Array]:
    """-> the same evidence in pixels of a 128 px box, and what was multiplied (B,). Weights then mean one thing."""
    visible = (confidence > 0)[..., None]
    low = jnp.where(visible, pixels, jnp.inf).min(1)
    high = jnp.where(visible, pixels, -jnp.inf).max(1)
    side = (high - low).max(-1)
    scale = jnp.where(jnp.isfinite(side) & (side > 0), BOX_PX / jnp.maximum(side, 1e-6), 1.0)
    times = scale[:, None]
    return Evidence(pixels * times[..., None], confidence, focal * times, center * times, None, None), scale


def all_starts(model: HandModel, evidence: Evidence, views: int) -> HandParams:
    """-> (B, S, ...) starts: each view of the sphere with an open and a curled hand, turned to lie as the palm does."""
    open_pose, curled = 0.5 * model.hands_mean, 1.5 * model.hands_mean
    poses = jnp.stack([open_pose, curled])
    roots = jnp.asarray(_views(views), jnp.float32)
    origin = HandParams(jnp.zeros(model.num_betas), jnp.zeros(3), open_pose, jnp.zeros(3))
    shape = keypoints(model, origin)[np.array(PALM)]
    seen = evidence.keypoints_2d[:, np.array(PALM)]
    weight = evidence.confidence[:, np.array(PALM)] + 1e-6
    turn = _turn_in_image(jnp.einsum("vij,kj->vki", roots, shape, precision="highest")[..., :2], seen, weight)
    cosine, sine, zero = jnp.cos(turn), jnp.sin(turn), jnp.zeros_like(turn)
    about_sight = jnp.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, jnp.ones_like(turn)], -1).reshape(
        *turn.shape, 3, 3
    )
    matrices = jnp.einsum("bvij,vjk->bvik", about_sight, roots, precision="highest")
    orient = rotations.axis_angle_from_matrix(matrices)  # (B, V, 3)
    batch = orient.shape[0]
    count = 2 * views

    def each(array: Array) -> Array:
        return jnp.broadcast_to(array, (batch, count, array.shape[-1]))

    return HandParams(
        each(jnp.zeros((1, 1, model.num_betas))),
        jnp.repeat(orient, 2, 1),
        each(jnp.tile(poses, (views, 1))[None]),
        each(jnp.zeros((1, 1, 3))),
    )


def best_two(
    model: HandModel, starts: HandParams, evidence: Evidence, scale: Array, settings: MultistartSettings
) -> MultistartResult:
    """Starts (B, S, ...): a few iterations each, `keep` to the end, the best and its best rival returned."""
    trial = dataclasses.replace(
        settings.settings,
        solver=dataclasses.replace(settings.settings.solver, max_iterations=settings.trial_iterations),
    )
    first = _by_energy(_solve_each(model, starts, evidence, trial))
    # The best rival goes on too, although many starts of the best fit's own kind may lie before it.
    place = jnp.arange(first.energy.shape[1])[None]
    rival, _ = _best_rival(first.keypoints)
    chosen = jnp.argsort(jnp.where(place == rival[:, None], 0.5, place), 1)[:, : settings.keep]
    finalists = _taken(first.params, chosen)
    final = _by_energy(
        _solve_each(model, finalists, evidence, dataclasses.replace(settings.settings, place_root=False))
    )
    rival, differs = _best_rival(final.keypoints)
    two = _taken(final, jnp.stack([jnp.zeros_like(rival), rival], 1))
    near = two.energy[:, 1] < AMBIGUOUS_RATIO * two.energy[:, 0] + AMBIGUOUS_PX_SQ
    back = 1 / scale
    two = two._replace(
        camera=Camera(two.camera.focal * back[:, None, None], two.camera.center * back[:, None, None]),
        reprojected=two.reprojected * back[:, None, None, None],
        error_px=two.error_px * back[:, None, None],
    )
    return MultistartResult(two, differs & near)


def _by_energy(fits: RefineResult) -> RefineResult:
    return _taken(fits, jnp.argsort(jnp.where(jnp.isfinite(fits.energy), fits.energy, jnp.inf), 1))


def _best_rival(points: Array) -> tuple[Array, Array]:
    """Keypoints (B, S, 21, 3), best first -> (B,) the next best that is another hand, or the second; whether it is."""
    root_relative = points - points[:, :, 9:10]
    apart_mm = 1e3 * jnp.linalg.norm(root_relative - root_relative[:, :1], axis=-1).mean(-1)
    different = apart_mm > DIFFERENT_MM
    return jnp.where(different.any(1), jnp.argmax(different, 1), 1), different.any(1)


def _solve_each(model: HandModel, starts: HandParams, evidence: Evidence, settings: RefineSettings) -> RefineResult:
    count = starts.betas.shape[1]
    repeated = jax.tree.map(lambda field: jnp.repeat(field, count, 0), evidence)
    flat = jax.tree.map(lambda field: field.reshape(-1, field.shape[-1]), starts)
    target = flat._replace(
        betas=jnp.zeros_like(flat.betas), hand_pose=jnp.broadcast_to(model.hands_mean, flat.hand_pose.shape)
    )
    result = solve(model, flat, repeated, settings, target)
    return jax.tree.map(lambda field: field.reshape(-1, count, *field.shape[1:]), result)


def _taken(values, order: Array):
    """Picks (B, n) of the second axis of every array (B, S, ...)."""
    return jax.tree.map(
        lambda field: jnp.take_along_axis(field, order.reshape(*order.shape, *[1] * (field.ndim - 2)), 1), values
    )


def _turn_in_image(placed: Array, seen: Array, weight: Array) -> Array:
    """Layouts (V, k, 2) of the palm in each view, seen (B, k, 2) -> (B, V) turns that best lay one on the other."""
    total = weight.sum(-1)[:, None, None]
    seen = seen - (weight[..., None] * seen).sum(1, keepdims=True) / total
    mean = jnp.einsum("bk,vkc->bvc", weight, placed, precision="highest") / total
    placed = placed[None] - mean[:, :, None]
    moment = weight[:, None, :, None] * placed
    dot = (moment * seen[:, None]).sum((-1, -2))
    cross = (moment[..., 0] * seen[:, None, :, 1] - moment[..., 1] * seen[:, None, :, 0]).sum(-1)
    return jnp.arctan2(cross, dot)


def _views(count: int) -> np.ndarray:
    """-> (count, 3, 3) rotations whose third rows, the line of sight, lie evenly on the sphere (a golden spiral)."""
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    angle = np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - height**2)
    sight = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], -1)
    helper = np.where(np.abs(sight[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    right = np.cross(helper, sight)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    return np.stack([right, np.cross(sight, right), sight], 1)
