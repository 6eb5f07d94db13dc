"""The networks of the default model as a detector: a picture in, its hands out."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import mano, weights
from handjax.checks import check_shape
from handjax.detect import Detection, Detector, without_duplicates
from handjax.detector.candidates import Find, candidates
from handjax.detector.crops import Read, hands_at
from handjax.models.crop_hand import CropHand, CropKeypoints, read_keypoints
from handjax.models.hand_finder import FoundHands, HandFinder, read_hands
from handjax.models.multihand_decode import SCORE_MARGIN
from handjax.models.siknet import REFERENCE_BONE

FINDER_SIZE, CROP_SIZE = 256, 96
"""Sides of the networks' inputs in training, px."""
THRESHOLD = 0.4


def default_detector(
    finder: tuple[HandFinder, Mapping[str, Any]] | None = None,
    crop: tuple[CropHand, Mapping[str, Any]] | None = None,
    *,
    finder_size: int = FINDER_SIZE,
    crop_size: int = CROP_SIZE,
    threshold: float = THRESHOLD,
    max_hands: int = 10,
    scales: int = 1,
) -> Detector:
    """A detector of hands with their sides, 2D keypoints in pixels and rough 3D keypoints in metres.

    Args:
      finder, crop: networks and their variables. Default: `weights.hand_finder()` and `weights.crop_hand()`.
      finder_size, crop_size: sides of the squares that they are shown, px.
      threshold: least score of a hand: the root of the finder's score times the mean confidence of its keypoints.
      scales: 2 to search parts of the picture too, nearly twice as large, for small hands: at most five times the
        finder's work.

    3D keypoints are from the middle finger's base, of a hand whose bone from there to the wrist is as long as the mean
    hand's. Raises ValueError for settings out of range, FileNotFoundError where the weights are not installed.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must lie in [0, 1], got {threshold}")
    if max_hands < 1:
        raise ValueError(f"max_hands must be at least 1, got {max_hands}")
    if scales not in (1, 2):
        raise ValueError(f"scales must be 1 or 2, got {scales}")
    finds, reads = finder or weights.hand_finder(), crop or weights.crop_hand()
    find = partial(find_hands, finds[0], jax.device_put(dict(finds[1])), count=2 * max_hands)
    read = partial(read_crops, reads[0], jax.device_put(dict(reads[1])))
    return detector_of(
        find,
        read,
        finder_size=finder_size,
        crop_size=crop_size,
        threshold=threshold,
        max_hands=max_hands,
        scales=scales,
    )


def detector_of(
    find: Find,
    read: Read,
    *,
    finder_size: int = FINDER_SIZE,
    crop_size: int = CROP_SIZE,
    threshold: float = THRESHOLD,
    max_hands: int = 10,
    scales: int = 1,
) -> Detector:
    """`default_detector` of any two functions that say what networks would."""
    bone = mean_bone()

    def handjax_detector(image: np.ndarray) -> list[Detection]:
        check_shape("image", image, ("H", "W", 3))
        if image.dtype != np.uint8:
            raise TypeError(f"image must be uint8, got {image.dtype}")
        if image.size == 0:
            raise ValueError(f"image must have pixels, got shape {image.shape}")
        # No mean confidence is above 1, so what the finder scores lower can never pass.
        found = candidates(image, find, finder_size, threshold=threshold**2, tiled=scales == 2)
        hands = hands_at(image, found, read, crop_size, bone)
        return without_duplicates([hand for hand in hands if hand.score >= threshold])[:max_hands]

    return handjax_detector


@partial(jax.jit, static_argnames=("network", "count"))
def find_hands(network: HandFinder, variables: Mapping[str, Any], picture: Array, *, count: int) -> FoundHands:
    """(S, S, 3) uint8 -> at most `count` peaks of the finder, of any score."""
    outputs: Any = network.apply(variables, as_seen(picture)[None])
    return read_hands({name: maps[0] for name, maps in outputs.items()}, count=count, threshold=SCORE_MARGIN)


@partial(jax.jit, static_argnames="network")
def read_crops(network: CropHand, variables: Mapping[str, Any], crops: Array) -> CropKeypoints:
    """(N, S, S, 3) uint8 -> what the network reads in each."""
    outputs: Any = network.apply(variables, as_seen(crops))
    return read_keypoints(outputs)


def as_seen(pictures: Array) -> Array:
    """uint8 -> what the networks were trained on."""
    return jnp.asarray(pictures, jnp.float32) / 255 - 0.5


def mean_bone() -> float:
    """Metres of the reference bone of the mean free hand."""
    model = mano.default()
    start, end = (model.keypoint_ids[keypoint] for keypoint in REFERENCE_BONE)
    joints = np.asarray(model.joint_template)
    return float(np.linalg.norm(joints[start] - joints[end]))
