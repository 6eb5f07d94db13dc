"""What the multi-hand network is measured by, and the best answers that do not look."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from handjax import mano
from handjax.losses import CountedSum, terms
from handjax.mano import HandModel
from handjax.metrics import align_similarity, pa_mpjpe
from handjax.models.multihand_decode import find_peaks
from handjax.models.multihand_objective import LEFT, center_maps_of, image_valid, known_keypoints
from handjax.models.multihand_pictures import masks_of
from handjax.models.objective import Batch, counted
from handjax.targets import CenterMaps

CLOSE = 0.2
"""Of a hand's box' longer side: a peak that is farther from its centre has not found it, nor a keypoint in `pck`."""

THRESHOLD = 0.3
"""Least score of a peak that counts."""

STRIDE = 8
"""Pixels of a cell of the constant answer's maps."""

MILLIMETRES = 1000.0


def score(outputs: dict[str, Any], batch: Batch) -> dict[str, CountedSum]:
    """center_recall, of hands of which a peak of the centre map is within a fifth of their box' longer side, each peak
    of one hand, and center_precision, of peaks; of as many peaks as there are slots.

    Of hands that are read where their true centre is: side_accuracy; pixel_error, in pixels of the picture, and pck,
    within the same reach; pa_error_mm after the best similarity, joint_error_mm from the wrist. mask_iou of a rendered
    mask at a half, the mean over pictures.
    """
    labels = _labels(outputs, batch)
    in_picture = known_keypoints(batch, labels)
    in_space = known_keypoints(batch, labels, "3d")
    in_space = in_space * in_space[..., :1]
    target = batch["keypoints_3d"] - batch["keypoints_3d"][..., :1, :]
    joints = outputs["joints"] - outputs["joints"][..., :1, :]
    away = terms.length(outputs["keypoints_2d"] - batch["keypoints_2d"])
    near = away <= reach(batch)[..., None]
    aligned = pa_mpjpe(joints, target, in_space > 0)
    scores = _found(outputs["centers"], batch, labels) | {
        "pixel_error": counted(away, in_picture),
        "pck": counted(near.astype(jnp.float32), in_picture),
        "pa_error_mm": counted(MILLIMETRES * aligned, in_space.max(-1)),
        "joint_error_mm": counted(MILLIMETRES * terms.length(joints - target), in_space),
    }
    if "sides" in outputs:
        scores["side_accuracy"] = _side_accuracy(outputs["sides"], batch, labels)
    if "mask" in outputs:
        scores["mask_iou"] = _mask_iou(outputs["mask"], batch)
    return scores


def reach(batch: Batch) -> Array:
    """(B, N) px."""
    box = batch["box"]
    return CLOSE * (box[..., 2:] - box[..., :2]).max(-1)


def prior(model: HandModel, batch: Batch) -> dict[str, Array]:
    """Of one batch, whose mean over many `constant` answers with: where centres and keypoints are on average, the
    latter from their hand's centre, and the mean shape of right hands, left ones mirrored."""
    labels = center_maps_of(batch, STRIDE)
    in_picture, in_space = known_keypoints(batch, labels), known_keypoints(batch, labels, "3d")
    there = image_valid(batch)
    maps = (labels.centers * there[:, None, None, None]).sum(0) / jnp.maximum(there.sum(), 1.0)
    offsets = batch["keypoints_2d"] - _centers(labels)[:, :, None]
    rest = mano.keypoints(model, mano.hand_params(model, flat_hand_mean=False))
    right = _mirrored_left(batch["keypoints_3d"], batch["side"])
    aligned = align_similarity(right, jnp.broadcast_to(rest, right.shape), in_space > 0)
    sides = jnp.stack([batch["side"] == LEFT, batch["side"] != LEFT], -1) * labels.valid[..., None]
    return {
        "centers": maps,
        "offsets": _mean(offsets, in_picture),
        "shape": _mean(aligned, in_space),
        "sides": sides.sum((0, 1)) / jnp.maximum(labels.valid.sum(), 1.0),
    }


def constant(mean: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """The best answer that does not look, as outputs: centres where hands are most often, each local peak of the mean
    map; in the true cell the mean keypoints and, of the true side, the mean shape; the side that is more frequent."""
    labels = center_maps_of(batch, STRIDE)
    count = len(batch["image"])
    centers = mean["centers"] / jnp.maximum(mean["centers"].max(), 1e-6)
    logits = jax.scipy.special.logit(jnp.clip(centers, 1e-4, 1 - 1e-4))
    shape = jnp.broadcast_to(mean["shape"], batch["keypoints_3d"].shape)
    return {
        "centers": jnp.broadcast_to(logits, (count, *logits.shape)),
        "sides": jnp.broadcast_to(mean["sides"], (count, *logits.shape[:2], 2)),
        "keypoints_2d": _centers(labels)[:, :, None] + mean["offsets"][None, None],
        "joints": _mirrored_left(shape, batch["side"]),
    }


def _labels(outputs: dict[str, Any], batch: Batch) -> CenterMaps:
    _, height, _, channels = outputs["centers"].shape
    return center_maps_of(batch, batch["image"].shape[1] // height, channels)


def _found(logits: Array, batch: Batch, labels: CenterMaps) -> dict[str, CountedSum]:
    stride = batch["image"].shape[1] / logits.shape[1]
    # A map cannot tell places within a cell.
    radius = jnp.maximum(reach(batch) / stride, 1.0)

    def one(logits: Array, cells: Array, radius: Array, valid: Array) -> tuple[Array, Array]:
        peaks = find_peaks(logits, min(len(cells), logits.size), THRESHOLD)
        away = terms.length((peaks.cells[:, None] - cells[None]).astype(jnp.float32))
        return matched(away / radius[None], peaks.valid, valid > 0), peaks.valid.sum()

    found, peaks = jax.vmap(one)(logits, labels.cells, radius, labels.valid)
    there = image_valid(batch)
    return {
        "center_recall": CountedSum(found.sum(), labels.valid.sum()),
        "center_precision": CountedSum((there * found.sum(-1)).sum(), (there * peaks).sum()),
    }


def matched(distances: Array, peaks: Array, hands: Array) -> Array:
    """(K, N) in reaches, best peaks first, which are valid (K,) and (N,) -> (N,) 1 for hands that are found: each peak
    takes the nearest one that is within its reach and not yet taken."""

    def take(free: Array, one: tuple[Array, Array]) -> tuple[Array, None]:
        distances, valid = one
        distances = jnp.where(free, distances, jnp.inf)
        nearest = distances.argmin()
        return free.at[nearest].set(free[nearest] & ~(valid & (distances[nearest] <= 1.0))), None

    free, _ = lax.scan(take, hands, (distances, peaks))
    return (hands & ~free).astype(jnp.float32)


def _side_accuracy(sides: Array, batch: Batch, labels: CenterMaps) -> CountedSum:
    said = jax.vmap(lambda maps, cells: maps[cells[:, 1], cells[:, 0]].argmax(-1))(sides, labels.cells)
    right = (said == batch["side"]).astype(jnp.float32)
    return counted(right, labels.valid * batch["side_valid"])


def _mask_iou(mask: Array, batch: Batch) -> CountedSum:
    labels, known = masks_of(batch, mask.shape[1])
    seen, true = mask > 0.5, labels > 0.5
    union = (seen | true).sum((1, 2))
    return counted((seen & true).sum((1, 2)) / jnp.maximum(union, 1), known * (union > 0))


def _centers(labels: CenterMaps) -> Array:
    """(B, N, 2) px of the middle of each hand's cell."""
    return (labels.cells + 0.5) * STRIDE


def _mirrored_left(points: Array, sides: Array) -> Array:
    return jnp.where((sides == LEFT)[..., None, None], mano.mirror_points(points), points)


def _mean(points: Array, valid: Array) -> Array:
    """(B, N, 21, d), (B, N, 21) -> (21, d)."""
    kept = jnp.where(valid[..., None] > 0, points, 0.0)
    return kept.sum((0, 1)) / jnp.maximum(valid.sum((0, 1)), 1.0)[:, None]
