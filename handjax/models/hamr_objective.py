"""What HAMR is trained on (Zhang et al. 2019, eq. 8) and what it is measured by.

A batch is of crops of right hands: image (B, S, S, 3) uint8; keypoints_2d (B, 21, 2) px and keypoints_3d (B, 21, 3)
metres, of any origin, with their `_valid` (B, 21); mask (B, S, S), not 0 where the hand is, and mask_valid (B,), which
the silhouette alone needs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import mano, render, targets
from handjax.camera import WeakCamera, project
from handjax.losses import CountedSum, PixelSum, hamr, terms
from handjax.mano import HandModel
from handjax.metrics import align_similarity, pa_mpjpe
from handjax.models.hamr import CAMERA, Hamr
from handjax.models.hamr_decode import decode, weak_camera
from handjax.models.objective import Batch, Outcome, Tree, counted, run
from handjax.models.seednet_objective import LEAST_SIGMA, NEAR, peaks, pixels
from handjax.targets import HeatmapForm

MILLIMETRES = 1000.0
FIRST_STEP = 0.01
"""What HMR (Kanazawa et al. 2018) draws its regressor's last layer by."""


def hamr_hands(
    network: Hamr,
    model: HandModel,
    variables: Tree,
    batch: Batch,
    key: Array,
    *,
    train: bool,
    silhouette_size: int | None = None,
) -> Outcome:
    """All terms of eq. 8, and the shape prior. A network without a mesh has neither that nor a silhouette.

    silhouette_size: of the square pictures in which rendered and labelled masks are compared, a divisor of S; None
    leaves the term out, and the renderer too. outputs: the network's, heat-maps of keypoints alone; `joints` (B, 21, 3)
    metres from the wrist; `keypoints_2d` (B, 21, 2) px of the crop; `mask` (B, 1, s, s), the rendered one less a half.
    """
    outputs, moved = run(network, "hamr", variables, pixels(batch["image"]), train=train, key=key)
    outputs["heatmaps"] = outputs["heatmaps"][..., : terms.KEYPOINTS]
    hands = _hands(network, model, outputs)
    outputs |= {"joints": hands["joints"], "keypoints_2d": hands["keypoints_2d"]}
    found = _terms(network, outputs, batch)
    if silhouette_size is not None and network.mesh:
        mask, drawn = _silhouettes(model, hands, network.size, silhouette_size)
        outputs["mask"] = mask[:, None] - 0.5
        found["silhouette"] = _silhouette_term(mask, drawn, batch)
    return Outcome(found, moved, outputs)


def small_steps(variables: Tree) -> Tree:
    """Fresh variables whose regressor begins with small steps: the mean hand in the middle of the picture.

    As the layer is usually drawn, the first hands stand a metre beside it, where no silhouette sees them.
    """
    params = variables["params"]
    regressor = params["hamr"]["regressor"]
    last = max(regressor, key=int)
    softened = {**regressor, last: jax.tree.map(lambda leaf: FIRST_STEP * leaf, regressor[last])}
    return {**variables, "params": {**params, "hamr": {**params["hamr"], "regressor": softened}}}


def _hands(network: Hamr, model: HandModel, outputs: dict[str, Array]) -> dict[str, Any]:
    """joints, keypoints_2d, camera, and vertices of a network with a mesh; each with a leading B."""
    if network.mesh:
        hands = jax.vmap(lambda one: decode(model, one, network))(outputs)
        joints, camera, vertices = hands.keypoints_3d, hands.camera, {"vertices": hands.vertices}
    else:
        joints = outputs["joints"] - outputs["joints"][:, :1]
        camera, vertices = jax.vmap(lambda one: weak_camera(one, network))(outputs["camera"]), {}
    return {"joints": joints, "keypoints_2d": project(camera, joints), "camera": camera, **vertices}


def _terms(network: Hamr, outputs: dict[str, Array], batch: Batch) -> dict[str, CountedSum | PixelSum]:
    size = network.size
    in_picture, in_space = known_keypoints(batch)
    marks = targets.crop_coordinates(batch["keypoints_2d"], size)
    cameras, placed = jax.vmap(hamr.ground_truth_camera)(batch["keypoints_3d"], marks, in_picture * in_space)
    scale = jnp.full((CAMERA,), 1.0).at[0].set(network.camera_scale)
    maps, drawn = heatmaps_of(batch)
    found: dict[str, CountedSum | PixelSum] = {
        "joint_3d": jax.vmap(hamr.joint_3d)(outputs["joints"], batch["keypoints_3d"], in_space),
        "joint_2d": jax.vmap(hamr.joint_2d)(targets.crop_coordinates(outputs["keypoints_2d"], size), marks, in_picture),
        "geometric": jax.vmap(hamr.geometric)(outputs["joints"]),
        "camera": jax.vmap(hamr.camera)(outputs["camera"] * scale[None], cameras, placed),
        "heatmap": jax.vmap(hamr.heatmap)(outputs["heatmaps"], maps, drawn),
    }
    return found | ({"betas": jax.vmap(hamr.betas)(outputs["betas"])} if network.mesh else {})


def _silhouettes(model: HandModel, hands: dict[str, Any], crop: int, size: int) -> tuple[Array, Array]:
    """-> (B, size, size) covered shares, and (B,) whether all of the hand was drawn."""
    topology = render.topology(np.asarray(model.faces))
    shrunk = WeakCamera(hands["camera"].scale * (size / crop), hands["camera"].translation * (size / crop))

    def draw(hand: tuple[WeakCamera, Array]) -> render.Silhouette:
        return render.silhouette(*hand, topology, size=(size, size))

    # One after the other is twice as fast on a CPU.
    together = None if jax.default_backend() == "cpu" else len(hands["vertices"])
    drawn = jax.lax.map(draw, (shrunk, hands["vertices"]), batch_size=together)
    return drawn.mask, 1.0 - drawn.overflow


def _silhouette_term(mask: Array, drawn: Array, batch: Batch) -> PixelSum:
    labels, known = masks_of(batch, mask.shape[1])
    sums = jax.vmap(hamr.silhouette)(mask, labels)
    known = known * drawn
    return PixelSum(jnp.where(known > 0, sums.total, 0.0) * known, sums.pixels * known)


def form_of(size: int) -> HeatmapForm:
    """Of a crop of `size` px: a value for every 4 px, the deviation the same share of the crop at any size."""
    return HeatmapForm(size // 4, max(targets.HAMR.sigma * size / 256, LEAST_SIGMA))


def heatmaps_of(batch: Batch) -> tuple[Array, Array]:
    """-> (B, S / 4, S / 4, 21) and (B, 21), 1 where valid."""
    size = batch["image"].shape[1]

    def one(points: Array, valid: Array) -> tuple[Array, Array]:
        return targets.heatmaps(points, valid, crop=size, form=form_of(size))

    return jax.vmap(one)(batch["keypoints_2d"], known_keypoints(batch)[0])


def masks_of(batch: Batch, size: int) -> tuple[Array, Array]:
    """-> (B, size, size) covered shares, and (B,), 1 where known."""

    def one(mask: Array, valid: Array) -> tuple[Array, Array]:
        return targets.silhouette(mask, size, valid.astype(jnp.float32))

    return jax.vmap(one)(batch["mask"], batch["mask_valid"])


def known_keypoints(batch: Batch) -> tuple[Array, Array]:
    """(B, 21) in the picture and in space, the latter 0 where the wrist is not known."""
    in_picture, in_space = (batch[f"keypoints_{axes}_valid"].astype(jnp.float32) for axes in ("2d", "3d"))
    return in_picture, in_space * in_space[:, :1]


def score(outputs: dict[str, Any], batch: Batch) -> dict[str, CountedSum]:
    """pa_error_mm, of keypoints after the best similarity of each hand; joint_error_mm, from the wrist; pixel_error of
    the mesh's keypoints and pck of the last heat-maps' peaks (within 5 % of the side), in the crop; mask_iou of the
    rendered silhouette, the mean over crops, where there is one."""
    size = batch["image"].shape[1]
    in_picture, in_space = known_keypoints(batch)
    target = batch["keypoints_3d"] - batch["keypoints_3d"][:, :1]
    aligned = pa_mpjpe(outputs.get("shape", outputs["joints"]), target, in_space > 0)
    found = peaks(outputs["heatmaps"][:, -1], form_of(size), size)
    near = jnp.linalg.norm(found - batch["keypoints_2d"], axis=-1) <= NEAR * size
    scores = {
        "pa_error_mm": counted(MILLIMETRES * aligned, in_space.max(-1)),
        "joint_error_mm": counted(MILLIMETRES * terms.length(outputs["joints"] - target), in_space),
        "pixel_error": counted(terms.length(outputs["keypoints_2d"] - batch["keypoints_2d"]), in_picture),
        "pck": counted(near.astype(jnp.float32), in_picture),
    }
    return scores | ({"mask_iou": _mask_iou(outputs["mask"][:, -1], batch)} if "mask" in outputs else {})


def _mask_iou(mask: Array, batch: Batch) -> CountedSum:
    labels, known = masks_of(batch, mask.shape[1])
    seen, true = mask > 0, labels > 0.5
    union = (seen | true).sum((1, 2))
    return counted((seen & true).sum((1, 2)) / jnp.maximum(union, 1), known * (union > 0))


def prior(model: HandModel, silhouette_size: int | None, batch: Batch) -> dict[str, Array]:
    """Of one batch, whose mean over many `constant` answers with."""
    in_picture, in_space = known_keypoints(batch)
    target = batch["keypoints_3d"] - batch["keypoints_3d"][:, :1]
    rest = jnp.broadcast_to(_mean_pose(model), target.shape)
    mean = {
        "joints": _mean(target, in_space),
        "shape": _mean(align_similarity(target, rest, in_space > 0), in_space),
        "keypoints_2d": _mean(batch["keypoints_2d"], in_picture),
    }
    maps, valid = heatmaps_of(batch)
    mean["heatmaps"] = (maps * valid[:, None, None]).sum(0) / jnp.maximum(valid.sum(0), 1.0)[None, None]
    if silhouette_size is not None:
        labels, known = masks_of(batch, silhouette_size)
        mean["mask"] = jnp.tensordot(known / jnp.maximum(known.sum(), 1.0), labels, 1)
    return mean


def constant(mean: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """The best answer that does not look, as outputs: for each score the mean that suits it, `shape` that of hands
    moved onto one another."""
    count = len(batch["image"])
    each = {name: jnp.broadcast_to(value, (count, *value.shape)) for name, value in mean.items()}
    each["heatmaps"] = each["heatmaps"][:, None]
    return each | ({"mask": each["mask"][:, None] - 0.5} if "mask" in each else {})


def _mean(points: Array, valid: Array) -> Array:
    """(B, 21, d), (B, 21) -> (21, d)."""
    kept = jnp.where(valid[..., None] > 0, points, 0.0)
    return kept.sum(0) / jnp.maximum(valid.sum(0), 1.0)[:, None]


def _mean_pose(model: HandModel) -> Array:
    """(21, 3)."""
    return mano.keypoints(model, mano.hand_params(model, flat_hand_mean=False))
