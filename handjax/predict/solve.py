"""The compiled part: hands of both sides fitted by one right hand, left ones being mirrored at the door and back."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import mano
from handjax.camera import Camera, mirror_camera, mirror_pixels
from handjax.mano import HandModel, HandOutput, HandParams
from handjax.optim.from_keypoints import fit_keypoints
from handjax.optim.refine import RefineSettings, refine_batch

MIRROR = np.array([-1.0, 1.0, 1.0], np.float32)

HELD_SHAPE = RefineSettings(shape=1e4, robust_px=None)
"""One square of a shape component off costs 1e3 px^2 a keypoint: the pose and place give way, not the shape."""


class Batch(NamedTuple):
    """B hands as they are seen, of both sides, each in an image of its own width."""

    left: Array  # (B,) bool
    width: Array  # (B,) pixels
    camera: Array  # (B, 4) fx, fy, cx, cy
    keypoints_2d: Array  # (B, 21, 2) finite
    confidence: Array  # (B, 21)
    keypoints_3d: Array | None  # (B, 21, 3) a detector's guess, or None for all of them


class Solved(NamedTuple):
    """B hands of both sides, as `Hands` has them. output: joints are the model's."""

    params: HandParams
    output: HandOutput
    joints: Array
    reprojected: Array
    error_px: Array
    converged: Array
    ambiguous: Array


@jax.jit
def fit_batch(model: HandModel, batch: Batch) -> Solved:
    """Fits without a start. `model` is a right hand."""
    batch = _mirror_left(batch)
    fit = fit_keypoints(
        model,
        batch.keypoints_2d,
        batch.camera[:, :2],
        batch.camera[:, 2:],
        confidence=batch.confidence,
        keypoints_3d=batch.keypoints_3d,
    )
    return _solved(model, batch, fit.params, fit.reprojected, fit.error_px, fit.converged, fit.ambiguous)


@jax.jit
def refit_batch(model: HandModel, batch: Batch, start: HandParams) -> Solved:
    """Fits pose and place again, from a start of each hand's own side, whose shape is kept."""
    batch = _mirror_left(batch)
    fit = refine_batch(
        model,
        _mirror_params(batch.left, start),
        batch.keypoints_2d,
        Camera(batch.camera[:, :2], batch.camera[:, 2:]),
        confidence=batch.confidence,
        settings=HELD_SHAPE,
    )
    never = jnp.zeros_like(fit.converged)
    return _solved(model, batch, fit.params, fit.reprojected, fit.error_px, fit.converged, never)


def _solved(model: HandModel, batch: Batch, params: HandParams, reprojected, error_px, converged, ambiguous) -> Solved:
    """Poses the right hands and mirrors what belongs to left ones."""
    output = mano.forward_batch(model, params)
    sign = _signs(batch.left)
    # x -> -x on both sides of a transform: entry (i, j) changes sign with its row and with its column.
    columns = jnp.concatenate([sign, jnp.ones_like(sign[..., :1])], -1)
    return Solved(
        params=_mirror_params(batch.left, params),
        output=HandOutput(
            output.vertices * sign,
            output.joints * sign,
            output.transforms * (sign[..., None] * columns[..., None, :]),
        ),
        joints=mano.keypoints_of(model, output) * sign,
        reprojected=_mirror_pixels(batch.left, batch.width, reprojected),
        error_px=jnp.where(batch.confidence > 0, error_px, jnp.nan),
        converged=converged,
        ambiguous=ambiguous,
    )


def _mirror_left(batch: Batch) -> Batch:
    left = batch.left[:, None]
    mirrored = mirror_camera(Camera(batch.camera[:, :2], batch.camera[:, 2:]), batch.width)
    return batch._replace(
        camera=jnp.where(left, jnp.concatenate(mirrored, -1), batch.camera),
        keypoints_2d=_mirror_pixels(batch.left, batch.width, batch.keypoints_2d),
        keypoints_3d=None if batch.keypoints_3d is None else batch.keypoints_3d * _signs(batch.left),
    )


def _signs(left: Array) -> Array:
    """(B, 1, 3): what points are multiplied with."""
    return jnp.where(left[:, None], MIRROR, 1.0)[:, None]


def _mirror_pixels(left: Array, width: Array, pixels: Array) -> Array:
    return jnp.where(left[:, None, None], mirror_pixels(pixels, width[:, None]), pixels)


def _mirror_params(left: Array, params: HandParams) -> HandParams:
    chosen = partial(jnp.where, left[:, None])
    return jax.tree.map(chosen, mano.mirror_params(params), params)
