"""What SeedNet is trained on (Yang et al. 2020, eq. 1) and what it is measured by.

A batch is of crops of one hand, as `datasets.pipeline` and `datasets.synthetic` label them: image (B, S, S, 3) uint8,
keypoints_2d (B, 21, 2) px and keypoints_2d_valid (B, 21); mask (B, S, S), not 0 where the hand is, and mask_valid (B,).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from handjax import targets
from handjax.losses import CountedSum, bihand
from handjax.models.objective import Batch, Outcome, Tree, counted, run
from handjax.models.seednet import SeedNet
from handjax.targets import HeatmapForm

NEAR = 0.05
"""Share of the crop's side within which a keypoint is found: 3.2 cells of 64, as released."""


LEAST_SIGMA = 1.0
"""Cells: of narrower Gaussians so little is left that maps of zeros are nearly as good."""


def form_of(size: int, sigma: float = 2.0) -> HeatmapForm:
    """Of a crop of `size` px: a value for every 4 px, sigma of 64 cells as many shares of the crop at any size, but at
    least `LEAST_SIGMA`."""
    return HeatmapForm(size // 4, max(sigma * size / 256, LEAST_SIGMA), first_px=0.5)


def pixels(image: Array) -> Array:
    """(B, S, S, 3) uint8 -> [-0.5, 0.5]."""
    return image.astype(jnp.float32) / 255 - 0.5


def seednet(network: SeedNet, variables: Tree, batch: Batch, key: Array, *, train: bool, sigma: float = 2.0) -> Outcome:
    """L_2D: heat-maps and silhouette of every stack. outputs: the network's."""
    outputs, moved = run(network, "seednet", variables, pixels(batch["image"]), train=train, key=key)
    return Outcome(seednet_terms(outputs, batch, sigma), moved, outputs)


def seednet_terms(outputs: dict[str, Array], batch: Batch, sigma: float = 2.0) -> dict[str, CountedSum]:
    maps, valid = heatmaps_of(batch, sigma)
    terms = {"heatmap": jax.vmap(bihand.heatmap)(outputs["heatmaps"], maps, valid)}
    if "mask" in outputs:
        masks, known = masks_of(batch)
        terms["silhouette"] = jax.vmap(bihand.silhouette)(outputs["mask"], masks, known)
    return terms


def heatmaps_of(batch: Batch, sigma: float = 2.0) -> tuple[Array, Array]:
    """-> (B, S / 4, S / 4, 21) and (B, 21), 1 where valid."""
    size = batch["image"].shape[1]
    form = form_of(size, sigma)

    def one(points: Array, valid: Array) -> tuple[Array, Array]:
        return targets.heatmaps(points, valid.astype(jnp.float32), crop=size, form=form)

    return jax.vmap(one)(batch["keypoints_2d"], batch["keypoints_2d_valid"])


def masks_of(batch: Batch) -> tuple[Array, Array]:
    """-> (B, S / 4, S / 4) and (B,), 1 where known."""
    size = batch["image"].shape[1] // 4

    def one(mask: Array, valid: Array) -> tuple[Array, Array]:
        return targets.silhouette(mask, size, valid.astype(jnp.float32))

    return jax.vmap(one)(batch["mask"], batch["mask_valid"])


def peaks(heatmaps: Array, form: HeatmapForm, size: int) -> Array:
    """(B, h, w, K) -> (B, K, 2) px of the largest value of each."""
    count, height, width, keypoints = heatmaps.shape
    place = heatmaps.reshape(count, height * width, keypoints).argmax(1)
    cells = jnp.stack([place % width, place // width], -1).astype(jnp.float32)
    first = 0.5 * size / form.size if form.first_px is None else form.first_px
    return first + cells * (size / form.size)


def score(outputs: dict[str, Any], batch: Batch) -> dict[str, CountedSum]:
    """pck: share of keypoints whose last heat-map's peak is within 5 % of the crop's side; pixel_error at the crop's
    size; mask_iou of the last mask at a half, the mean over crops."""
    size = batch["image"].shape[1]
    found = peaks(outputs["heatmaps"][:, -1], form_of(size), size)
    away = jnp.linalg.norm(found - batch["keypoints_2d"], axis=-1)
    valid = batch["keypoints_2d_valid"].astype(jnp.float32)
    scores = {
        "pck": counted((away <= NEAR * size).astype(jnp.float32), valid),
        "pixel_error": counted(away, valid),
    }
    if "mask" in outputs:
        masks, known = masks_of(batch)
        seen, true = outputs["mask"][:, -1] > 0, masks > 0.5
        union = (seen | true).sum((1, 2))
        iou = (seen & true).sum((1, 2)) / jnp.maximum(union, 1)
        scores["mask_iou"] = counted(iou, known * (union > 0))
    return scores


def prior(batch: Batch) -> dict[str, Array]:
    """Of one batch, whose mean over many `constant` answers with: where keypoints and hands are on average."""
    maps, valid = heatmaps_of(batch)
    masks, known = masks_of(batch)
    maps = (maps * valid[:, None, None]).sum(0) / jnp.maximum(valid.sum(0), 1.0)[None, None]
    return {"heatmaps": maps, "mask": jnp.tensordot(known / jnp.maximum(known.sum(), 1.0), masks, 1)}


def constant(mean: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """The best answer that does not look, as outputs: the mean heat-maps, and the mean mask cut at a half."""
    count = len(batch["image"])
    return {
        "heatmaps": jnp.broadcast_to(mean["heatmaps"], (count, 1, *mean["heatmaps"].shape)),
        "mask": jnp.broadcast_to(mean["mask"] - 0.5, (count, 1, *mean["mask"].shape)),
    }
