"""The tailor with a picture: a hand drawn onto an observed mask, a depth map and keypoints, whichever there are.

HandTailor's optional energies E_s and E_d (Lv et al. 2021, section 4.4, table 4), which there bring nothing beside good
keypoints and cost much. They pay where keypoints are poor or missing, or depth is measured.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from handjax.camera import Camera, project
from handjax.checks import check_shape
from handjax.losses import has_depth
from handjax.mano import hand, landmarks
from handjax.mano.types import HandModel, HandParams
from handjax.optim.image_energy import (
    ImageStart,
    ImageVariables,
    changed_params,
    drawn,
    image_energy,
    image_start,
    unchanged,
)
from handjax.optim.image_evidence import ImageEvidence, Observed, crop_evidence
from handjax.optim.image_settings import IMAGE_DEFAULT, ImageSettings
from handjax.render import Topology, topology

LAST_RATE = 0.02
"""Share of the first step's length that the last one has."""


class ImageFit(NamedTuple):
    """A hand fitted to a picture, camera frame.

    params: HandParams. keypoints: (21, 3) metres. reprojected: (21, 2) pixels of the picture. energy: (). iou: ()
    overlap of drawn and observed mask where they are known, over their union, in the crop; NaN without a mask.
    depth_error: () metres, mean absolute difference where both have a depth; NaN without depth. overflow: () bool, the
    hand was at last too large in the crop to be drawn whole, and nothing here holds.
    """

    params: HandParams
    keypoints: Array
    reprojected: Array
    energy: Array
    iou: Array
    depth_error: Array
    overflow: Array


def tailor_image(
    model: HandModel,
    start: HandParams,
    camera: Camera,
    *,
    mask: ArrayLike | None = None,
    depth: ArrayLike | None = None,
    keypoints_2d: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    mesh: Topology | None = None,
    settings: ImageSettings = IMAGE_DEFAULT,
) -> ImageFit:
    """Fits one hand to its mask, its depth map or both, and to keypoints if there are any.

    From 20 degrees and 2 cm off, joints 9 degrees off and of unknown shape, mask and depth together find most hands
    again: `benchmarks.fit_images`. A mask alone says little of distance and of what lies inside the outline: that then
    fits, but joints may end up further from the truth than they began. Give keypoints with it.

    For many hands: `jax.lax.map` on a CPU, `jax.vmap` elsewhere.

    Args:
      model: with 21 keypoints. start: a network's guess, camera frame; `transl` matters.
      camera: perspective, of the whole picture.
      mask: (H, W) bool, or share of the pixel in [0, 1]; NaN where it is not known, behind an object say.
      depth: (H, W) metres, the same picture; 0 or not finite for none. With a mask only its inside is looked at,
        without one it must be of the hand alone.
      keypoints_2d: (21, 2) pixels; those that are not finite are left out. confidence: (21,), default 1.
      mesh: `render.topology(model.faces)`, made once; needed where the model is traced by jit.
      settings: static.

    Raises ValueError for wrong shapes, neither mask nor depth, confidence without keypoints, an observation without a
    hand, or a start that is not finite; TypeError for another camera, or a traced model without `mesh`.
    """
    if not isinstance(camera, Camera):
        raise TypeError(f"camera must be a Camera, got {type(camera).__name__}")
    check_shape("camera.focal", camera.focal, (2,))
    check_shape("camera.center", camera.center, (2,))
    if len(model.keypoint_ids) != 21:
        raise ValueError(f"model must have 21 keypoints, got {len(model.keypoint_ids)}")
    hand.check_params(model, start)
    for name, values in zip(HandParams._fields, start, strict=True):
        if not isinstance(values, Tracer) and not np.isfinite(np.asarray(values)).all():
            raise ValueError(f"start.{name} must be finite, got NaN or infinite values")
    _check_pictures(mask, depth)
    if keypoints_2d is None and confidence is not None:
        raise ValueError("confidence must be None without keypoints_2d")
    if keypoints_2d is not None:
        check_shape("keypoints_2d", keypoints_2d, (21, 2))
        confidence = jnp.ones(21) if confidence is None else confidence
        check_shape("confidence", confidence, (21,))
        seen = jnp.isfinite(jnp.asarray(keypoints_2d)).all(-1)
        keypoints_2d = jnp.where(seen[:, None], keypoints_2d, 0.0)
        confidence = jnp.where(seen, confidence, 0.0)
    observed = Observed(_floats(mask), _floats(depth), _floats(keypoints_2d), _floats(confidence))
    mesh = topology(model.faces) if mesh is None else mesh
    return _tailor_image(model, start, camera, observed, mesh, settings)


def _floats(array: ArrayLike | None) -> Array | None:
    return None if array is None else jnp.asarray(array, jnp.float32)


def _check_pictures(mask: ArrayLike | None, depth: ArrayLike | None) -> None:
    if mask is None and depth is None:
        raise ValueError("mask or depth must be given: with keypoints alone use tailor or refine")
    for name, picture in (("mask", mask), ("depth", depth)):
        if picture is not None:
            check_shape(name, picture, ("H", "W"))
            if 0 in np.shape(picture):
                raise ValueError(f"{name} must have at least one pixel, got shape {np.shape(picture)}")
    if mask is not None and depth is not None:
        check_shape("depth", depth, np.shape(mask))
    if mask is not None and not isinstance(mask, Tracer):
        values = np.asarray(mask, np.float32)
        if not (values > 0.5).any():
            raise ValueError("mask must show a hand, got no pixel above 0.5")
        if values[np.isfinite(values)].max() > 1.01:
            raise ValueError(f"mask must lie in [0, 1], got {values[np.isfinite(values)].max():g}")
    if mask is None and not isinstance(depth, Tracer) and not np.any(has_depth(jnp.asarray(depth, jnp.float32))):
        raise ValueError("depth must show a hand, got no pixel with a depth")


@partial(jax.jit, static_argnames="settings")
def _tailor_image(model, params, camera, observed: Observed, mesh, settings: ImageSettings) -> ImageFit:
    evidence = crop_evidence(camera, observed, settings.size, settings.margin)
    start = image_start(model, params)
    variables, energy = minimise_image(model, mesh, start, evidence, settings)
    params = changed_params(model, start, variables)
    return _result(model, mesh, params, camera, evidence, energy, settings.size)


def minimise_image(
    model: HandModel, mesh: Topology, start: ImageStart, evidence: ImageEvidence, settings: ImageSettings
) -> tuple[ImageVariables, Array]:
    """Adam from several turns of the start, then from the best of them; and the energy before the last step."""
    angle = settings.explore_angle
    sides = [[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]] if angle else [[0, 0, 0]]
    turns = angle * jnp.array(sides, jnp.float32)
    adam = optax.scale_by_adam(settings.b1, settings.b2)
    rates = jax.tree.unflatten(
        jax.tree.structure(unchanged(model)),
        [settings.turn_rate, settings.shift_rate, settings.pose_rate, settings.shape_rate],
    )
    slope = jax.value_and_grad(partial(image_energy, model, mesh, start, evidence, settings))

    def run(variables: ImageVariables, steps: Array) -> tuple[ImageVariables, Array]:
        def step(index, carry):
            variables, state, _ = carry
            energy, gradient = slope(variables)
            updates, state = adam.update(gradient, state)
            fade = LAST_RATE + (1.0 - LAST_RATE) * 0.5 * (1.0 + jnp.cos(jnp.pi * index / steps))
            moved = jax.tree.map(lambda value, rate, update: value - fade * rate * update, variables, rates, updates)
            return moved, state, energy

        first = (variables, adam.init(variables), jnp.zeros(()))
        variables, _, energy = jax.lax.fori_loop(0, steps, step, first)
        return variables, energy

    # One loop for the tries and the run that follows them: the renderer is then compiled once.
    def attempt(index, best):
        variables, energy = best
        trying = index < len(turns)
        turned = unchanged(model)._replace(turn=turns[jnp.minimum(index, len(turns) - 1)])
        begin = jax.tree.map(partial(jnp.where, trying), turned, variables)
        found, at = run(begin, jnp.where(trying, settings.explore_steps, settings.steps))
        better = (at < energy) | ~trying
        return jax.tree.map(partial(jnp.where, better), (found, at), (variables, energy))

    return jax.lax.fori_loop(0, len(turns) + 1, attempt, (unchanged(model), jnp.array(jnp.inf)))


def _result(model, mesh, params: HandParams, camera: Camera, evidence: ImageEvidence, energy, size: int) -> ImageFit:
    seen, output = drawn(model, mesh, params, evidence, size)
    iou = depth_error = jnp.array(jnp.nan)
    if evidence.mask is not None and evidence.weight is not None:
        ours, theirs, known = seen.mask > 0.5, evidence.mask > 0.5, evidence.weight > 0.5
        iou = (ours & theirs & known).sum() / jnp.maximum(((ours | theirs) & known).sum(), 1)
    if evidence.depth is not None:
        common = has_depth(seen.depth) & has_depth(evidence.depth)
        distance = jnp.where(common, jnp.abs(seen.depth - evidence.depth), 0.0).sum()
        depth_error = distance / jnp.where(common.any(), common.sum(), jnp.nan)
    points = landmarks.keypoints_of(model, output)
    return ImageFit(params, points, project(camera, points), energy, iou, depth_error, seen.overflow)
