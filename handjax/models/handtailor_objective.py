"""What HandTailor's hand module is trained on in three stages (Lv et al. 2021, eqs. 6, 7), and what it is measured by.

Two networks: "handnet", which is `HandNet` without its inverse kinematics, and "iknet", these; `as_handnet` makes one
of both. A batch is of crops of right hands: image (B, S, S, 3) uint8; keypoints_2d (B, 21, 2) px, keypoints_3d (B, 21,
3) metres in the camera's frame, their `_valid` (B, 21); intrinsics (B, 3, 3) of the crop, intrinsics_valid (B,).
Inverse kinematics are trained on the batches of `siknet_objective`. Keypoints are placed as by `liftnet_objective`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import render, targets
from handjax.camera import Camera, to_opencv_pixels
from handjax.losses import CountedSum, PixelSum, handtailor, terms
from handjax.mano import HandModel
from handjax.models import siknet_objective
from handjax.models.handtailor import ROOT, HandNet
from handjax.models.layers import Mlp
from handjax.models.liftnet import joints_from_uvd
from handjax.models.objective import Batch, Outcome, Tree, counted, initialised, run
from handjax.models.seednet_objective import NEAR, form_of, heatmaps_of, peaks, pixels
from handjax.models.siknet import relative_joints
from handjax.models.siknet_objective import MILLIMETRES
from handjax.pipelines.place import place_mesh

IK_LAYERS = "iknet.invk_layers"
"""What `HandNet` calls them."""

CROSSINGS = 64
"""Room for crossings of contours and rows, for each pixel along the side: hands that are not yet trained are crumpled,
and one that overflows counts for nothing."""


def keypoints(
    network: HandNet, variables: Tree, batch: Batch, key: Array, *, train: bool, true_root: bool = True
) -> Outcome:
    """Stage 1, L_theta: heat-maps of every stack, keypoints, root depth. The inverse kinematics stand still.

    true_root: keypoints are placed at the label's root depth, as by BiHand, which a crop does not show; else at the
    predicted one. outputs: `HandNet`'s, heat-maps of all stacks in one; `joints` (B, 21, 3) metres in the camera's
    frame; `root` (B,) the predicted depth in reference bones. Raises ValueError for a network that predicts the bone,
    which has no loss.
    """
    outputs, moved = _seen(network, variables, batch, true_root, train)
    return Outcome(_keypoint_terms(outputs, batch), moved, outputs)


def inverse_kinematics(
    network: HandNet, model: HandModel, variables: Tree, batch: Batch, key: Array, *, train: bool
) -> Outcome:
    """Stage 2, L_ik: rotations, and the keypoints that they give the labelled shape. outputs: as `siknet_objective`."""
    target = batch["joints"] - batch["joints"][:, ROOT : ROOT + 1]
    outputs, moved = _rotations(network, variables, batch.get("seen", batch["joints"]), train)
    outputs["betas"] = batch["betas"]
    bone = siknet_objective.bone_of(target)
    outputs["joints"] = siknet_objective.rebuilt(model, outputs, bone)
    known = batch.get("quaternions_valid", jnp.ones(len(target)))
    valid = batch.get("joints_valid", jnp.ones(target.shape[:2])) * known[:, None]
    found = {
        "ik": jax.vmap(handtailor.ik)(outputs["quaternions"], batch["quaternions"], known),
        "mano": _in_bones(handtailor.mano, outputs["joints"], target, bone, valid),
    }
    return Outcome(found, moved, outputs)


def whole(
    network: HandNet,
    model: HandModel,
    variables: Tree,
    batch: Batch,
    key: Array,
    *,
    train: bool,
    true_root: bool = True,
    shape_size: int | None = None,
) -> Outcome:
    """Stage 3, eq. 7: all at once, through the predicted keypoints to the mesh's.

    shape_size: side of the pictures in which the mesh's depth and silhouette are compared with the labels depth and
    mask (B, S, S) and their `_valid` (B,), a divisor of S; None leaves these two terms of section 4.4 out.
    outputs: as in stage 1, `quaternions`, `axis_angle`, and `mesh_joints` (B, 21, 3) metres about the middle finger's
    base, in the label's reference bone.
    """
    outputs, moved = _seen(network, variables, batch, true_root, train)
    rotations, turned = _rotations(network, variables, outputs["joints"], train)
    outputs |= rotations
    relative = relative_of(batch)
    bone = _usable_bone(relative)
    outputs["mesh_joints"] = siknet_objective.rebuilt(model, outputs, bone)
    found = _keypoint_terms(outputs, batch)
    found["betas"] = jax.vmap(handtailor.betas)(outputs["betas"])
    found["mano"] = _in_bones(
        handtailor.mano, outputs["mesh_joints"], bone[:, None, None] * relative.joints, bone, _placeable(batch)
    )
    if shape_size is not None:
        found |= _shape_terms(model, outputs, bone, batch, shape_size)
    return Outcome(found, moved | turned, outputs)


def as_handnet(variables: Tree) -> Tree:
    """Variables of both networks as `HandNet.apply` and `run_handtailor` (opencv_pixels=True) take them."""
    return {name: {**tree["handnet"], IK_LAYERS: tree["iknet"]} for name, tree in variables.items()}


def from_handnet(variables: Tree) -> Tree:
    """The inverse of `as_handnet`."""
    parts = {name: dict(tree) for name, tree in variables.items()}
    iknet = {name: tree.pop(IK_LAYERS) for name, tree in parts.items()}
    return {name: {"handnet": parts[name], "iknet": iknet[name]} for name in parts}


def fresh_iknet(network: HandNet, key: Array) -> Tree:
    """The variables of stage 2, nested as all are, which begin with the flat hand."""
    variables = initialised(_ik_layers(network), "iknet", key, jnp.zeros((2, 63)), False)
    return {**variables, "params": {"iknet": siknet_objective.flat_at_first(variables["params"]["iknet"])}}


def _seen(
    network: HandNet, variables: Tree, batch: Batch, true_root: bool, train: bool
) -> tuple[dict[str, Array], Tree]:
    if network.predicts_bone:
        raise ValueError("network must be given the reference bone, got one with predicts_bone=True")
    nested = {name: {"handnet": tree} for name, tree in as_handnet(variables).items()}
    relative = relative_of(batch)
    bone, camera = _usable_bone(relative), camera_of(batch)
    outputs, moved = run(network, "handnet", nested, pixels(batch["image"]), camera, bone, train=train)
    depth = relative.root[:, 2] if true_root else outputs["root_depth"]
    found = {
        "heatmaps": jnp.concatenate([outputs[name] for name in ("heatmaps_2d", "heatmaps") if name in outputs], 1),
        "joints": joints_from_uvd(outputs["uvd"], camera, bone, depth, batch["image"].shape[1]),
        "root": outputs["root_depth"] / bone,
        "betas": outputs["betas"],
    }
    kept = {name: {part: tree[part] for part in tree if part != IK_LAYERS} for name, tree in moved.items()}
    return found, kept


def _rotations(network: HandNet, variables: Tree, joints: Array, train: bool) -> tuple[dict[str, Array], Tree]:
    seen = relative_joints(joints, joints[:, ROOT]).reshape(len(joints), -1)
    numbers, moved = run(_ik_layers(network), "iknet", variables, seen, train=train)
    quaternions = jnp.asarray(numbers, jnp.float32).reshape(len(joints), -1, 4)
    return {"quaternions": quaternions, "axis_angle": siknet_objective.axis_angles(quaternions)}, moved


def _ik_layers(network: HandNet) -> Mlp:
    return Mlp((*network.rotation_widths, 64), batch_norm=True, compute=network.compute)


def _keypoint_terms(outputs: dict[str, Array], batch: Batch) -> dict[str, CountedSum | PixelSum]:
    relative = relative_of(batch)
    bone, valid = _usable_bone(relative), _placeable(batch)
    maps, known = heatmaps_of(batch)
    joints = outputs["joints"] - outputs["joints"][:, ROOT : ROOT + 1]
    return {
        "heatmap": jax.vmap(handtailor.heatmap)(outputs["heatmaps"], maps, known),
        "joint_3d": _in_bones(handtailor.joint_3d, joints, bone[:, None, None] * relative.joints, bone, valid),
        "root": jax.vmap(handtailor.root)(outputs["root"], relative.root[:, 2] / bone, relative.placed),
    }


def _in_bones(term: Any, joints: Array, target: Array, bone: Array, valid: Array) -> CountedSum:
    """Of keypoints (B, 21, 3), metres about their root, both in the label's bone."""
    unit = bone[:, None, None]
    return jax.vmap(term)(joints / unit, target / unit, valid)


def _shape_terms(
    model: HandModel, outputs: dict[str, Array], bone: Array, batch: Batch, size: int
) -> dict[str, PixelSum]:
    crop = batch["image"].shape[1]
    mesh = place_mesh(model, outputs["betas"], outputs["axis_angle"], outputs["joints"][:, ROOT], bone)
    true = camera_of(batch, opencv_pixels=False)
    camera = Camera(true.focal * (size / crop), true.center * (size / crop))
    topology = render.topology(np.asarray(model.faces))

    def draw(hand: tuple[Camera, Array]) -> render.DepthMap:
        return render.depth_map(*hand, topology, size=(size, size), crossings=CROSSINGS * size)

    # One after the other is twice as fast on a CPU.
    together = None if jax.default_backend() == "cpu" else len(bone)
    drawn = jax.lax.map(draw, (camera, mesh.vertices), batch_size=together)
    known = _placeable(batch)[:, ROOT] * (1.0 - drawn.overflow)
    masks, labelled = jax.vmap(lambda one, valid: targets.silhouette(one, size, valid))(
        batch["mask"], batch["mask_valid"].astype(jnp.float32) * known
    )
    middle = crop // size // 2
    depths = batch["depth"][:, middle :: crop // size, middle :: crop // size]
    depths = jnp.where((batch["depth_valid"] * known)[:, None, None] > 0, depths, 0.0)
    return {
        "shape_depth": jax.vmap(handtailor.shape_depth)(drawn.depth, depths),
        "shape_silhouette": jax.vmap(handtailor.shape_silhouette)(drawn.mask, masks, labelled),
    }


def camera_of(batch: Batch, *, opencv_pixels: bool = True) -> Camera:
    """Of the crops, (B, 2) each; any that divides where none is known. opencv_pixels: counted as the networks do."""
    matrix, known = batch["intrinsics"], (batch["intrinsics_valid"] > 0)[:, None]
    focal = jnp.where(known, jnp.stack([matrix[:, 0, 0], matrix[:, 1, 1]], -1), 1.0)
    center = matrix[:, :2, 2]
    return Camera(focal, to_opencv_pixels(center) if opencv_pixels else center)


def relative_of(batch: Batch) -> targets.RelativeJoints:
    """In reference bones about the middle finger's base; each field with a leading B."""
    return jax.vmap(targets.relative_joints)(batch["keypoints_3d"], batch["keypoints_3d_valid"].astype(jnp.float32))


def _usable_bone(relative: targets.RelativeJoints) -> Array:
    return jnp.where(relative.placed > 0, relative.bone, 1.0)


def _placeable(batch: Batch) -> Array:
    """(B, 21): the keypoint, the root, the bone and the camera are known."""
    return relative_of(batch).valid * (batch["intrinsics_valid"] > 0)[:, None]


def score(outputs: dict[str, Any], batch: Batch) -> dict[str, CountedSum]:
    """pck: share of keypoints whose last heat-map's peak is within 5 % of the crop's side; joint_error_mm about the
    middle finger's base; root_error, in bones; of stage 3 mesh_error_mm, of the mesh's keypoints in the true bone."""
    size = batch["image"].shape[1]
    relative, valid = relative_of(batch), _placeable(batch)
    bone = _usable_bone(relative)
    target = bone[:, None, None] * relative.joints
    found = peaks(outputs["heatmaps"][:, -1], form_of(size), size)
    near = jnp.linalg.norm(found - batch["keypoints_2d"], axis=-1) <= NEAR * size
    joints = outputs["joints"] - outputs["joints"][:, ROOT : ROOT + 1]
    scores = {
        "pck": counted(near.astype(jnp.float32), batch["keypoints_2d_valid"].astype(jnp.float32)),
        "joint_error_mm": counted(MILLIMETRES * terms.length(joints - target), valid),
        "root_error": counted(jnp.abs(outputs["root"] - relative.root[:, 2] / bone), relative.placed),
    }
    if "mesh_joints" in outputs:
        scores["mesh_error_mm"] = counted(MILLIMETRES * terms.length(outputs["mesh_joints"] - target), valid)
    return scores


def prior(batch: Batch) -> dict[str, Array]:
    """Of one batch, whose mean over many `constant` answers with: mean heat-maps, mean hand in bones, mean depth."""
    relative, valid = relative_of(batch), _placeable(batch)[..., None]
    maps, known = heatmaps_of(batch)
    placed = relative.placed
    return {
        "heatmaps": (maps * known[:, None, None]).sum(0) / jnp.maximum(known.sum(0), 1.0)[None, None],
        "joints": (relative.joints * valid).sum(0) / jnp.maximum(valid.sum(0), 1.0),
        "root": (placed * relative.root[:, 2] / _usable_bone(relative)).sum() / jnp.maximum(placed.sum(), 1.0),
    }


def constant(mean: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """The best answer that does not look, as outputs of stage 1: the mean hand in the label's bone."""
    bone = _usable_bone(relative_of(batch))
    maps = jnp.broadcast_to(mean["heatmaps"], (len(bone), 1, *mean["heatmaps"].shape))
    joints = bone[:, None, None] * mean["joints"][None]
    return {"heatmaps": maps, "joints": joints, "root": jnp.broadcast_to(mean["root"], (len(bone),))}


def constant_mesh(mean: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """The same as outputs of stage 3."""
    outputs = constant(mean, batch)
    return outputs | {"mesh_joints": outputs["joints"]}
