"""What LiftNet is trained on (Yang et al. 2020, eq. 3), with SeedNet frozen before it, and what it is measured by.

A batch is of crops of one hand, as `datasets.pipeline` and `datasets.synthetic` label them: what `seednet_objective`
needs to see them, and keypoints_3d (B, 21, 3) metres in the camera's frame with keypoints_3d_valid (B, 21), intrinsics
(B, 3, 3) of the crop with intrinsics_valid (B,); depth (B, S, S) metres with depth_valid (B,).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from handjax import targets
from handjax.camera import Camera, to_opencv_pixels
from handjax.losses import CountedSum, bihand
from handjax.metrics import align_similarity
from handjax.models.liftnet import LiftNet, joints_from_uvd
from handjax.models.objective import Batch, Outcome, Tree, counted, run
from handjax.models.seednet import SeedNet
from handjax.models.seednet_objective import pixels

ROOT = 9
MILLIMETRES = 1000.0


def liftnet(seednet: SeedNet, network: LiftNet, variables: Tree, batch: Batch, key: Array, *, train: bool) -> Outcome:
    """L_3D: joints and depth map of every stack, placed by the labels' root depth and reference bone, as published.

    outputs: LiftNet's, and `joints` (B, stacks, 21, 3) metres in the camera's frame. SeedNet runs as in evaluation.
    """
    image = pixels(batch["image"])
    seen, _ = run(seednet, "seednet", variables, image, train=False)
    mask = seen["mask"][:, -1] if seednet.silhouette else None
    given = seen["heatmaps"][:, -1], mask, seen["encoding"]
    outputs, moved = run(network, "liftnet", variables, *given, train=train, key=key)
    joints = placed(outputs["uvd"], batch)
    target, valid = joints_of(batch)
    terms = {"joint": jax.vmap(bihand.joint)(joints, target, valid)}
    if "depth" in outputs:
        depth, known = depths_of(batch)
        terms["depth"] = jax.vmap(bihand.depth)(outputs["depth"], depth, known)
    return Outcome(terms, moved, {**outputs, "joints": joints, "heatmaps": seen["heatmaps"]})


def placed(uvd: Array, batch: Batch) -> Array:
    """(B, stacks, 21, 3) shares -> metres in the camera's frame."""
    size = batch["image"].shape[1]
    matrix = batch["intrinsics"]
    known = (batch["intrinsics_valid"] > 0)[:, None]
    # Without a camera nothing is valid, but it must still divide.
    focal = jnp.where(known, jnp.stack([matrix[:, 0, 0], matrix[:, 1, 1]], -1), 1.0)
    camera = Camera(focal[:, None], to_opencv_pixels(matrix[:, None, :2, 2]))
    relative = _relative(batch)
    bone, depth = relative.bone[:, None], relative.root[:, None, 2]
    return joints_from_uvd(uvd, camera, bone, depth, size)


def joints_of(batch: Batch) -> tuple[Array, Array]:
    """-> (B, 21, 3) metres, and (B, 21) 1 where they can be placed: the root, the reference bone and the camera are
    known."""
    relative = _relative(batch)
    return batch["keypoints_3d"], relative.valid * (batch["intrinsics_valid"] > 0)[:, None]


def depths_of(batch: Batch) -> tuple[Array, Array]:
    """-> (B, S / 4, S / 4), near 1 and far 0, and (B,)."""
    size = batch["image"].shape[1] // 4

    def one(depth: Array, keypoints: Array, valid: Array, keypoints_valid: Array, mask: Array) -> tuple[Array, Array]:
        return targets.normalised_depth(depth, keypoints, size, valid, keypoints_valid, mask)

    known, keypoints_known = (batch[name].astype(jnp.float32) for name in ("depth_valid", "keypoints_3d_valid"))
    return jax.vmap(one)(batch["depth"], batch["keypoints_3d"], known, keypoints_known, batch["mask"])


def _relative(batch: Batch) -> targets.RelativeJoints:
    valid = batch["keypoints_3d_valid"].astype(jnp.float32)
    return jax.vmap(targets.relative_joints)(batch["keypoints_3d"], valid)


def score(outputs: dict[str, Any], batch: Batch) -> dict[str, CountedSum]:
    """Of the last stack: joint_error_mm about the middle finger's base; pa_error_mm after the best similarity; and
    depth_error, the mean difference of the depth map where the hand is, in its range."""
    target, valid = joints_of(batch)
    joints = outputs["joints"][:, -1]
    away = (joints - joints[:, ROOT : ROOT + 1]) - (target - target[:, ROOT : ROOT + 1])
    whole = jnp.where(valid.all(-1, keepdims=True), valid, 0.0)
    aligned = align_similarity(joints, target)
    scores = {
        "joint_error_mm": counted(MILLIMETRES * jnp.linalg.norm(away, axis=-1), valid),
        "pa_error_mm": counted(MILLIMETRES * jnp.linalg.norm(aligned - target, axis=-1), whole),
    }
    if "depth" in outputs:
        depth, known = depths_of(batch)
        scores["depth_error"] = counted(jnp.abs(outputs["depth"][:, -1] - depth), known[:, None, None] * (depth > 0))
    return scores


def prior(batch: Batch) -> dict[str, Array]:
    """Of one batch, whose mean over many `constant` answers with: the mean hand in reference bones, the mean depth."""
    relative = _relative(batch)
    valid = relative.valid[..., None]
    joints = (relative.joints * valid).sum(0) / jnp.maximum(valid.sum(0), 1.0)
    depth, known = depths_of(batch)
    return {"joints": joints, "depth": jnp.tensordot(known / jnp.maximum(known.sum(), 1.0), depth, 1)}


def constant(mean: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """The best answer that does not look, as outputs: the mean hand of the labels' size, at their root."""
    relative = _relative(batch)
    joints = relative.root[:, None] + relative.bone[:, None, None] * mean["joints"][None]
    depth = jnp.broadcast_to(mean["depth"], (len(joints), 1, *mean["depth"].shape))
    return {"joints": joints[:, None], "depth": depth}
