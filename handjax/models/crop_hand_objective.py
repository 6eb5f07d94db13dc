"""What the default model's network for crops is trained on, and what it is measured by.

A batch is of crops of right hands: image (B, S, S, 3) uint8; keypoints_2d (B, 21, 2) px, keypoints_3d (B, 21, 3) metres
in the camera's frame, their `_valid` (B, 21); intrinsics (B, 3, 3) of the crop, intrinsics_valid (B,). Photographs with
nothing but 2D keypoints count for what they have. A share of the crops is mirrored here, for the side alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import targets
from handjax.losses import CountedSum, crop_hand
from handjax.models.crop_hand import (
    CELL,
    ROOT,
    CropHand,
    CropKeypoints,
    mean_place,
    probabilities,
    read_keypoints,
    scale_of,
)
from handjax.models.objective import Batch, Outcome, Tree, counted, run
from handjax.targets import HeatmapForm

SPREAD = 1.0
"""Deviation of a target, in cells."""
SHOWN = 4
"""Crops in a log."""


class Labels(NamedTuple):
    """Of B crops: flipped (B,) bool; places, depths and scale as the network tells them, each with what is known."""

    flipped: Array
    places: Array
    places_known: Array
    depths: Array
    depths_known: Array
    scale: Array
    scale_known: Array
    side_known: Array


def crop_hands(
    network: CropHand, variables: Tree, batch: Batch, key: Array, *, train: bool, mirrored: float = 0.15
) -> Outcome:
    """mirrored: share of crops that are shown as left hands. outputs: the network's, and `flipped` (B,) bool."""
    labels = labels_of(batch, key, mirrored)
    image = batch["image"].astype(jnp.float32) / 255 - 0.5
    image = jnp.where(labels.flipped[:, None, None, None], image[:, :, ::-1], image)
    outputs, moved = run(network, "crop_hand", variables, image, train=train)
    shares = probabilities(outputs["heatmaps"])
    size = image.shape[1]
    places = mean_place(shares) / size
    depths = (shares * outputs["depths"]).sum((1, 2))
    maps, shown = jax.vmap(lambda points, known: targets.heatmaps(points, known, crop=size, form=form_of(size)))(
        size * labels.places, labels.places_known
    )
    terms = {
        "heatmap": jax.vmap(crop_hand.heatmap)(outputs["heatmaps"], maps, shown),
        "place": jax.vmap(crop_hand.place)(places, labels.places, shown),
        "depth": jax.vmap(crop_hand.depth)(depths - depths[:, ROOT : ROOT + 1], labels.depths, labels.depths_known),
        "scale": jax.vmap(crop_hand.scale)(outputs["scale"], labels.scale, labels.scale_known),
        "side": jax.vmap(crop_hand.side)(outputs["right"], 1.0 - labels.flipped, labels.side_known),
    }
    return Outcome(terms, moved, outputs | {"flipped": labels.flipped})


def form_of(size: int) -> HeatmapForm:
    """A value at each cell's centre."""
    return HeatmapForm(size // CELL, SPREAD)


def labels_of(batch: Batch, key: Array, mirrored: float) -> Labels:
    size = batch["image"].shape[1]
    flipped = jax.random.bernoulli(key, mirrored, (len(batch["image"]),))
    kept = 1.0 - flipped
    relative = jax.vmap(targets.relative_joints)(batch["keypoints_3d"], batch["keypoints_3d_valid"].astype(jnp.float32))
    seen = batch["keypoints_2d_valid"].astype(jnp.float32)
    placed = relative.placed * batch["intrinsics_valid"]
    return Labels(
        flipped=flipped,
        places=batch["keypoints_2d"] / size,
        places_known=seen * kept[:, None],
        depths=relative.joints[..., 2],
        depths_known=relative.valid * kept[:, None],
        scale=scale_of(batch["keypoints_3d"], batch["intrinsics"][:, 0, 0], size),
        scale_known=placed * kept,
        side_known=(seen.sum(1) > 0).astype(jnp.float32),
    )


def score(outputs: dict[str, Any], batch: Batch) -> dict[str, CountedSum]:
    """pck_10 and pck_20: keypoints within a tenth and a fifth of the longer side of the box around the labelled ones;
    depth_error in reference bones; side: share told rightly. Of crops as they came, except the last."""
    size = batch["image"].shape[1]
    labels = labels_of(batch, jax.random.key(0), 0.0)
    known = labels.places_known * (1.0 - outputs["flipped"])[:, None]
    found = read_keypoints(outputs) if "heatmaps" in outputs else outputs["constant"]
    true = size * labels.places
    low = jnp.where(known[..., None] > 0, true, jnp.inf).min(1)
    high = jnp.where(known[..., None] > 0, true, -jnp.inf).max(1)
    side = jnp.where(known.sum(1) > 1, (high - low).max(-1), 1.0)
    away = jnp.linalg.norm(found.keypoints_2d - true, axis=-1) / side[:, None]
    deep = labels.depths_known * (1.0 - outputs["flipped"])[:, None]
    told = (found.right > 0.5) == ~outputs["flipped"]
    return {
        "pck_10": counted((away <= 0.1).astype(jnp.float32), known),
        "pck_20": counted((away <= 0.2).astype(jnp.float32), known),
        "depth_error": counted(jnp.abs(found.joints[..., 2] - labels.depths), deep),
        "side": counted(told.astype(jnp.float32), labels.side_known),
    }


def prior(batch: Batch) -> dict[str, Array]:
    """Of one batch, whose mean over many `constant` answers with: where keypoints are on average, and how deep."""
    labels = labels_of(batch, jax.random.key(0), 0.0)

    def mean(values: Array, known: Array) -> Array:
        weights = known.reshape(known.shape + (1,) * (values.ndim - known.ndim))
        return (values * weights).sum(0) / jnp.maximum(weights.sum(0), 1.0)

    return {"places": mean(labels.places, labels.places_known), "depths": mean(labels.depths, labels.depths_known)}


def constant(mean: dict[str, Array], batch: Batch) -> dict[str, Any]:
    """The best answer that does not look, as outputs: the mean hand, and always a right one."""
    count, size = len(batch["image"]), batch["image"].shape[1]
    places = jnp.broadcast_to(size * mean["places"], (count, *mean["places"].shape))
    joints = jnp.zeros((count, *mean["depths"].shape, 3)).at[..., 2].set(mean["depths"])
    nothing = jnp.ones(places.shape[:2])
    return {
        "constant": CropKeypoints(places, nothing, joints, jnp.ones(count)),
        "flipped": jnp.zeros(count, bool),
    }


def shown(outputs: dict[str, Any], batch: Batch) -> dict[str, np.ndarray]:
    """input, and heatmaps: the highest of the 21 over the picture that the network was shown."""
    image = np.asarray(batch["image"][:SHOWN], np.float32) / 255
    seen = np.where(np.asarray(outputs["flipped"])[:SHOWN, None, None, None], image[:, :, ::-1], image)
    maps = np.asarray(probabilities(jnp.asarray(outputs["heatmaps"][:SHOWN])))
    highest = (maps / maps.max((1, 2), keepdims=True)).max(-1).repeat(CELL, 1).repeat(CELL, 2)
    return {"input": image, "heatmaps": 0.4 * seen + 0.6 * highest[..., None]}
