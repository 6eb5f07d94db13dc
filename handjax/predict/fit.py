"""Keypoints of any number of hands and images to hands in camera space, through a few compiled functions."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from handjax import mano
from handjax.camera import Camera, assumed_camera
from handjax.checks import check_shape
from handjax.detect import LEFT, Detection, largest_side
from handjax.mano import HandModel, HandParams
from handjax.predict.batches import Observation, batch_of, in_parts, rows_of, split_by, with_rows
from handjax.predict.hands import Hands, no_hands, take
from handjax.predict.image_camera import intrinsics_of
from handjax.predict.solve import Batch, Solved, fit_batch, refit_batch

ASTRAY = 0.04
"""Of the box. A detector's points in space that fit its own picture no better are of another pose."""


def predict_image(
    image: np.ndarray,
    detections: Sequence[Detection],
    camera: Camera | None = None,
    model: HandModel | None = None,
) -> Hands:
    """The hands of one image (H, W, 3), of which only the size is read, from their keypoints.

    Args:
      detections: from a detector, `handjax.keypoint_files`, or a network of your own.
      camera: default: `assumed_camera`, principal point in the middle and a focal length from the sizes.
      model: a hand of either side, which serves both. Default: the free hand.

    Raises ValueError for a wrong shape or side.
    """
    check_shape("image", image, ("H", "W", "C"))
    height, width = np.shape(image)[:2]
    if camera is None:
        camera = assumed_camera(height, width, hand_px=largest_side(detections))
    check_shape("camera.focal", camera.focal, (2,))
    check_shape("camera.center", camera.center, (2,))
    (hands,) = fit_images(right_hand(model), [Observation(detections, intrinsics_of(camera), width)])
    return hands


def right_hand(model: HandModel | None = None) -> HandModel:
    """The right hand that serves both sides, on the device: `model`, or its mirror image if that is a left hand."""
    model = mano.default() if model is None else model
    return jax.tree.map(jnp.asarray, model if model.side == "right" else mano.mirror(model))


def fit_images(model: HandModel, observations: Sequence[Observation]) -> list[Hands]:
    """All hands of several images together; a `Hands` for each image, in the order of its detections.

    `model` is a right hand. Hands with points in space start from these, the others from many views; so do, once more,
    those whose points in space led astray.
    """
    if not any(observation.detections for observation in observations):
        return [no_hands(model, observation.camera) for observation in observations]
    batch, known = batch_of(observations)
    solved = _solve(model, batch, known)
    astray = np.flatnonzero(known & (_relative_error(batch, solved) > ASTRAY))
    if len(astray):
        again = _solve(model, rows_of(batch, astray), np.zeros(len(astray), bool))
        better = _relative_error(rows_of(batch, astray), again) < _relative_error(batch, solved)[astray]
        solved = with_rows(solved, astray[better], rows_of(again, better))
    hands = _hands(model, observations, batch, solved)
    ends = np.cumsum([len(observation.detections) for observation in observations])
    return [
        take(hands, slice(end - len(observation.detections), end))._replace(camera=observation.camera)
        for observation, end in zip(observations, ends, strict=True)
    ]


def with_shape(model: HandModel, observation: Observation, hands: Hands, betas: np.ndarray) -> Hands:
    """The hands that `fit_images` made of an observation, fitted again with one shape (S,) for all of them."""
    batch, _ = batch_of([observation])
    flat = batch._replace(keypoints_3d=None)
    arrays: Any = np.broadcast_to(betas, hands.betas.shape), hands.global_orient, hands.hand_pose, hands.transl
    solved = in_parts(partial(refit_batch, model), flat, HandParams(*arrays))
    refitted = _hands(model, [observation], batch, solved)
    return refitted._replace(ambiguous=hands.ambiguous, camera=observation.camera)


def _solve(model: HandModel, batch: Batch, known: np.ndarray) -> Solved:
    flat = batch._replace(keypoints_3d=None)
    return split_by(
        known, lambda rows, deep: in_parts(partial(fit_batch, model), rows_of(batch if deep else flat, rows))
    )


def _relative_error(batch: Batch, solved: Solved) -> np.ndarray:
    """(B,) mean reprojection error over the longer side of the box around the observed keypoints."""
    seen = np.asarray(batch.confidence) > 0
    points = np.where(seen[..., None], np.asarray(batch.keypoints_2d), np.nan)
    boxes = np.nanmax(points, 1, initial=-np.inf) - np.nanmin(points, 1, initial=np.inf)
    errors = np.where(seen, np.asarray(solved.error_px), 0.0).sum(-1) / np.maximum(seen.sum(-1), 1)
    return errors / np.maximum(boxes.max(-1), 1e-6)


def _hands(model: HandModel, observations: Sequence[Observation], batch: Batch, solved: Solved) -> Hands:
    detections = [hand for observation in observations for hand in observation.detections]
    side = np.array([hand.side for hand in detections], np.int8)
    faces = np.asarray(model.faces)
    return Hands(
        side=side,
        score=np.array([hand.score for hand in detections], np.float32),
        betas=np.asarray(solved.params.betas),
        global_orient=np.asarray(solved.params.global_orient),
        hand_pose=np.asarray(solved.params.hand_pose),
        transl=np.asarray(solved.params.transl),
        vertices=np.asarray(solved.output.vertices),
        joints=np.asarray(solved.joints),
        transforms=np.asarray(solved.output.transforms),
        faces=np.where((side == LEFT)[:, None, None], faces[:, ::-1], faces),
        keypoints_2d=np.asarray(batch.keypoints_2d),
        reprojected=np.asarray(solved.reprojected),
        confidence=np.asarray(batch.confidence),
        error_px=np.asarray(solved.error_px),
        converged=np.asarray(solved.converged),
        ambiguous=np.asarray(solved.ambiguous),
        camera=np.zeros(4, np.float32),
    )
