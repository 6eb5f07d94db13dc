"""What the default model's finder of hands is trained on, and what it is measured by.

A batch is of whole pictures with N slots of hands: image (B, H, W, 3) uint8; valid, side and side_valid (B, N), box
(B, N, 4), keypoints_2d (B, N, 21, 2) px and keypoints_2d_valid (B, N, 21); image_valid (B,) where there are fillers.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import targets
from handjax.losses import CountedSum, hand_finder, multihand
from handjax.models.hand_finder import STRIDE, HandFinder, read_hands
from handjax.models.multihand_scores import matched
from handjax.models.objective import Batch, Outcome, Tree, counted, run

KEYPOINT_STRIDE = 32
"""Of maps that nobody reads: as small as they can be."""
CLOSE = 0.25
"""Of a hand's box' side: a found centre that is farther from the true one has not found it."""
THRESHOLD = 0.3
SHOWN = 4


class Labels(NamedTuple):
    """Of B pictures: centers (B, h, w, 1), 1 in each hand's cell; cells (B, N, 2); valid (B, N) hands whose centre is
    in the picture; boxes' middles (B, N, 2) and sides_px (B, N); right, right_known (B, N)."""

    centers: Array
    cells: Array
    valid: Array
    middles: Array
    sides_px: Array
    right: Array
    right_known: Array


def find_hands(network: HandFinder, variables: Tree, batch: Batch, key: Array, *, train: bool) -> Outcome:
    """outputs: the network's maps."""
    image = batch["image"].astype(jnp.float32) / 255 - 0.5
    outputs, moved = run(network, "hand_finder", variables, image, train=train)
    labels = labels_of(batch)
    column, row = labels.cells[..., 0], labels.cells[..., 1]

    def read(maps: Array) -> Array:
        return jax.vmap(lambda one, x, y: one[y, x])(maps, column, row)

    offsets = labels.middles / STRIDE - labels.cells - 0.5
    each = jax.vmap(jax.vmap(hand_finder.offset)), jax.vmap(jax.vmap(hand_finder.scale))
    terms = {
        "center": jax.vmap(multihand.center)(outputs["centers"], labels.centers, image_valid(batch)),
        "offset": each[0](read(outputs["offsets"]), offsets, labels.valid),
        "scale": each[1](read(outputs["sides_px"]), labels.sides_px, labels.valid),
        "side": jax.vmap(jax.vmap(hand_finder.side))(read(outputs["right"]), labels.right, labels.right_known),
    }
    return Outcome(terms, moved, outputs)


def image_valid(batch: Batch) -> Array:
    """(B,) 1 where there is a picture."""
    known = batch.get("image_valid")
    return jnp.ones(len(batch["image"])) if known is None else known.astype(jnp.float32)


def labels_of(batch: Batch) -> Labels:
    _, height, width, _ = batch["image"].shape

    def one(points: Array, known: Array, box: Array, side: Array, valid: Array) -> targets.CenterMaps:
        return targets.center_maps(
            *(points, known, box, side, valid), size=(height, width), stride=STRIDE, keypoint_stride=KEYPOINT_STRIDE
        )

    valid = batch["valid"] * image_valid(batch)[:, None]
    known = batch["keypoints_2d_valid"].astype(jnp.float32)
    maps = jax.vmap(one)(batch["keypoints_2d"], known, batch["box"], batch["side"].astype(jnp.float32), valid)
    all_known = known.all(-1)[..., None]
    low = jnp.where(all_known, batch["keypoints_2d"].min(-2), batch["box"][..., :2])
    high = jnp.where(all_known, batch["keypoints_2d"].max(-2), batch["box"][..., 2:])
    return Labels(
        centers=maps.centers,
        cells=maps.cells,
        valid=maps.valid,
        middles=(low + high) / 2,
        sides_px=jnp.maximum((high - low).max(-1), 1.0),
        right=batch["side"].astype(jnp.float32),
        right_known=maps.valid * batch["side_valid"],
    )


def score(outputs: dict[str, Any], batch: Batch) -> dict[str, CountedSum]:
    """recall: hands with a found centre within a quarter of their box' side, each of one hand; precision: of found
    centres. Of hands read where they truly are: side_error, the mean of |log| of its ratio, and side, told rightly."""
    labels = labels_of(batch)
    column, row = labels.cells[..., 0], labels.cells[..., 1]

    def found(maps: dict[str, Array], middles: Array, sides: Array, valid: Array) -> tuple[Array, Array]:
        hands = read_hands(maps, count=len(middles), threshold=THRESHOLD)
        away = jnp.linalg.norm(hands.centers[:, None] - middles[None], axis=-1) / sides[None]
        return matched(away / CLOSE, hands.valid, valid > 0), hands.valid.sum()

    maps = {name: outputs[name] for name in ("centers", "offsets", "sides_px", "right")}
    hit, peaks = jax.vmap(found)(maps, labels.middles, labels.sides_px, labels.valid)

    def read(values: Array) -> Array:
        return jax.vmap(lambda one, x, y: one[y, x])(values, column, row)

    there = image_valid(batch)
    told = (read(outputs["right"]) > 0) == (labels.right > 0.5)
    return {
        "recall": CountedSum(hit.sum(), labels.valid.sum()),
        "precision": CountedSum((there * hit.sum(-1)).sum(), (there * peaks).sum()),
        "length_error": counted(jnp.abs(jnp.log(read(outputs["sides_px"]) / labels.sides_px)), labels.valid),
        "side": counted(told.astype(jnp.float32), labels.right_known),
    }


def prior(batch: Batch) -> dict[str, Array]:
    """Of one batch, whose mean over many `constant` answers with: where centres are, and how large hands."""
    labels = labels_of(batch)
    there = image_valid(batch)
    count = jnp.maximum(labels.valid.sum(), 1.0)
    return {
        "centers": (labels.centers * there[:, None, None, None]).sum(0) / jnp.maximum(there.sum(), 1.0),
        "log_side": (jnp.log(labels.sides_px) * labels.valid).sum() / count,
        "right": (labels.right * labels.right_known).sum() / count,
    }


def constant(mean: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """The best answer that does not look, as outputs: centres where hands are most often, all of the mean size."""
    shape = (len(batch["image"]), *mean["centers"].shape[:2])
    logits = jax.scipy.special.logit(jnp.clip(mean["centers"] / jnp.maximum(mean["centers"].max(), 1e-6), 1e-4, 0.9999))
    return {
        "centers": jnp.broadcast_to(logits, (*shape, 1)),
        "offsets": jnp.zeros((*shape, 2)),
        "sides_px": jnp.broadcast_to(jnp.exp(mean["log_side"]), shape),
        "right": jnp.broadcast_to(mean["right"] - 0.5, shape),
    }


def shown(outputs: dict[str, Any], batch: Batch) -> dict[str, np.ndarray]:
    """input, and centers: their map over it."""
    image = np.asarray(batch["image"][:SHOWN], np.float32) / 255
    centers = 1 / (1 + np.exp(-np.asarray(outputs["centers"], np.float32)[:SHOWN, ..., 0]))
    return {"input": image, "centers": 0.4 * image + 0.6 * centers.repeat(STRIDE, 1).repeat(STRIDE, 2)[..., None]}
