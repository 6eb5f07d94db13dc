"""What was observed of one hand, cut out of its picture at the size at which the hand is drawn."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from handjax.camera import Camera, apply_affine, crop_affine, crop_camera, square_box
from handjax.losses import has_depth


class Observed(NamedTuple):
    """mask, depth (H, W); keypoints (21, 2) pixels, finite, with confidence (21,); None where there is none."""

    mask: Array | None
    depth: Array | None
    keypoints: Array | None
    confidence: Array | None


class ImageEvidence(NamedTuple):
    """A size x size crop: its camera; mask in [0, 1] with the weight of each pixel, 0 where it is not known; depth in
    metres, 0 for none. keypoints (21, 2) crop pixels with confidence (21,). What was not observed is None."""

    camera: Camera
    mask: Array | None
    weight: Array | None
    depth: Array | None
    keypoints: Array | None
    confidence: Array | None


def crop_evidence(camera: Camera, observed: Observed, size: int, margin: float) -> ImageEvidence:
    """What was observed in the picture that `camera` took -> the square around the hand, mask or depth in it.

    The hand is where the mask is above one half, without a mask where depth is, and where keypoints are.
    """
    mask, depth, keypoints, confidence = observed
    hand = None if mask is None else mask > 0.5
    if depth is not None:
        depth = jnp.where(has_depth(depth), depth, 0.0)
        # A camera sees what lies behind the hand as well.
        depth = depth if hand is None else jnp.where(hand, depth, 0.0)
        hand = depth > 0 if hand is None else hand
    assert hand is not None
    box = square_box(_box_of(hand, keypoints, confidence), margin)
    affine = crop_affine(box, 0.0, size)
    cropped, _ = crop_camera(camera, affine)
    weight = None
    if mask is not None:
        mask, weight = _area_means(mask, box, size)
    return ImageEvidence(
        camera=cropped,
        mask=mask,
        weight=weight,
        depth=None if depth is None else _nearest(depth, box, size),
        keypoints=None if keypoints is None else apply_affine(affine, keypoints),
        confidence=confidence,
    )


def _box_of(hand: Array, keypoints: Array | None, confidence: Array | None) -> Array:
    """(H, W) bool, (21, 2), (21,) -> (4,) x0 y0 x1 y1; without anything the whole picture."""
    height, width = hand.shape
    corners = []
    for seen, length in ((hand.any(0), width), (hand.any(1), height)):
        places = jnp.arange(length)
        low = jnp.where(seen, places, length).min()
        corners.append((low, jnp.where(seen, places + 1, 0).max()))
    box = jnp.array([corners[0][0], corners[1][0], corners[0][1], corners[1][1]], jnp.float32)
    if keypoints is not None and confidence is not None:
        known = (confidence > 0)[:, None]
        low = jnp.minimum(box[:2], jnp.where(known, keypoints, jnp.inf).min(0))
        box = jnp.concatenate([low, jnp.maximum(box[2:], jnp.where(known, keypoints, -jnp.inf).max(0))])
    whole = jnp.array([0.0, 0.0, width, height], jnp.float32)
    return jnp.where((box[2:] > box[:2]).all(), box, whole)


def _area_means(image: Array, box: Array, size: int) -> tuple[Array, Array]:
    """(H, W), NaN where not known -> means over the crop's pixels, and the known share of each; (size, size) both."""
    rows, columns = _overlaps(box[1], box[3], size, image.shape[0]), _overlaps(box[0], box[2], size, image.shape[1])
    known = jnp.isfinite(image)

    def pooled(values: Array) -> Array:
        return jnp.einsum("sh,hw,tw->st", rows, values, columns, precision="highest")

    share = pooled(known.astype(jnp.float32))
    return pooled(jnp.where(known, image, 0.0)) / jnp.maximum(share, 1e-6), share


def _overlaps(start: Array, end: Array, size: int, length: int) -> Array:
    """(size, length): which share of each of `size` equal cells from start to end lies in each pixel."""
    edges = start + (end - start) / size * jnp.arange(size + 1)
    pixels = jnp.arange(length, dtype=jnp.float32)[None]
    low, high = jnp.maximum(edges[:-1, None], pixels), jnp.minimum(edges[1:, None], pixels + 1.0)
    return jnp.maximum(high - low, 0.0) * size / (end - start)


def _nearest(depth: Array, box: Array, size: int) -> Array:
    """(H, W) -> (size, size): the pixel at the middle of each of the crop's; a mean would invent surfaces between two.

    Outside the picture there is none.
    """
    steps = (jnp.arange(size) + 0.5) / size
    row = jnp.floor(box[1] + (box[3] - box[1]) * steps).astype(jnp.int32)
    column = jnp.floor(box[0] + (box[2] - box[0]) * steps).astype(jnp.int32)
    return depth.at[row[:, None], column[None]].get(mode="fill", fill_value=0.0, wrap_negative_indices=False)
