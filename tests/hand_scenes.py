"""Hands of the free model before a camera, with the keypoints that a detector would give."""

import jax
import numpy as np

from handjax import mano
from handjax.camera import assumed_camera, project
from handjax.detect import LEFT, RIGHT, Detection
from handjax.keypoint_entries import make_detection

WIDTH, HEIGHT = 160, 120
CAMERA = assumed_camera(HEIGHT, WIDTH)

# Fingers up, palm to the camera; then turned a little about each axis.
_UPRIGHT = np.array([1.2, -1.2, 1.2], np.float32)


def params(side: int, seed: int = 0, place: tuple[float, float, float] = (0.0, 0.08, 0.5)) -> mano.HandParams:
    """A relaxed hand of a random shape; a left one is the mirror image of the right one of the same seed."""
    rng = np.random.default_rng(seed)
    model = mano.default()
    right = mano.HandParams(
        (0.5 * rng.normal(size=model.num_betas)).astype(np.float32),
        (_UPRIGHT + 0.1 * rng.normal(size=3)).astype(np.float32),
        (np.asarray(model.hands_mean) * rng.uniform(0.3, 1.0)).astype(np.float32),
        np.array(place, np.float32),
    )
    if side == RIGHT:
        return right
    mirrored = mano.mirror_params(right)
    return jax.tree.map(np.asarray, mirrored._replace(transl=np.asarray(place, np.float32)))


def detection(side: int, seed: int = 0, place=(0.0, 0.08, 0.5), deep: bool = True, noise_px: float = 0.0) -> Detection:
    """The hand as a detector sees it; `deep` with points in space about their mean."""
    model = mano.default("left" if side == LEFT else "right")
    points = np.asarray(mano.keypoints(model, params(side, seed, place)))
    pixels = np.asarray(project(CAMERA, points))
    pixels = pixels + np.random.default_rng(seed).normal(scale=noise_px, size=pixels.shape)
    space = (points - points.mean(0)).astype(np.float32) if deep else None
    return make_detection(pixels.astype(np.float32), space, side, 0.9, None)


def mirrored(hand: Detection) -> Detection:
    """The same in the mirrored picture."""
    flip = np.array([-1.0, 1.0], np.float32)
    space = None if hand.keypoints_3d is None else hand.keypoints_3d * np.array([-1.0, 1.0, 1.0], np.float32)
    pixels = hand.keypoints_2d * flip + np.array([WIDTH, 0], np.float32)
    return make_detection(pixels, space, LEFT + RIGHT - hand.side, hand.score, hand.confidence)
