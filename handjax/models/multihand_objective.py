"""What the multi-hand network is trained on (Ren, Zhu and Zhang 2023, eq. 1) and what it is measured by.

A batch is of whole pictures with N slots of hands, as `datasets.pipeline` and `datasets.synthetic` label them: image
(B, S, S, 3) uint8; valid, side and side_valid (B, N), box (B, N, 4), keypoints_2d (B, N, 21, 2) px and keypoints_3d
(B, N, 21, 3) metres with their `_valid` (B, N, 21). Full supervision reads betas, hand_pose and mano_valid, rendered
terms mask (B, S, S) and mask_valid (B,). image_valid (B,): False where a batch is only filled up.

Hands are read in the cells where the labels have their centres, in front of the published camera. Empty slots, and
hands whose centre is outside the picture, count for nothing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from handjax import mano, rotations, targets
from handjax.camera import project
from handjax.losses import CountedSum, PixelSum
from handjax.losses import multihand as losses
from handjax.mano import HandModel
from handjax.models.backbone import like_imagenet
from handjax.models.multihand import MultiHand
from handjax.models.multihand_decode import HandsAtCells, hands_at, published_camera
from handjax.models.multihand_pictures import draw_hands, picture_terms
from handjax.models.objective import Batch, Outcome, Tree, run
from handjax.targets import CenterMaps

LEFT = 0
KEYPOINT_STRIDE = 2


class PosedHands(NamedTuple):
    """Of N slots, metres: upright vertices (N, V, 3) and joints (N, 21, 3), with the wrist's own turn left out; the
    same in front of the camera, placed_vertices and placed_joints; keypoints_2d (N, 21, 2) px."""

    vertices: Array
    joints: Array
    placed_vertices: Array
    placed_joints: Array
    keypoints_2d: Array


def multihand(
    network: MultiHand,
    model: HandModel,
    variables: Tree,
    batch: Batch,
    key: Array,
    *,
    train: bool,
    locate: bool = True,
    full: bool = False,
    render_size: int | None = None,
) -> Outcome:
    """L_rec, with `locate` L_loc and L_con too: the first stage, on crops of one hand, goes without them.

    model: a right hand, whose mirror image serves left ones. full: supervision by 3D shapes, not by the picture alone.
    render_size: of the square pictures in which rendered and labelled masks are compared, and colours of a network
    that has them, a divisor of S; None leaves these terms out. outputs: the network's maps of centres and sides;
    `joints` (B, N, 21, 3) metres before the camera and `keypoints_2d` (B, N, 21, 2) px, read at the true centres;
    with rendering `mask` (B, s, s) and `rendered` (B, s, s, 3).
    """
    found, moved = run(network, "multihand", variables, normalised(batch["image"]), train=train, key=key)
    labels = center_maps_of(batch, network.stride, network.center_channels)
    sides = known_sides(found, batch, labels)
    size = batch["image"].shape[1]
    camera = published_camera(size, size)

    def read(outputs: dict[str, Array], cells: Array, sides: Array) -> HandsAtCells:
        return hands_at(outputs, cells, sides, stride=network.stride, camera=camera)

    hands = jax.vmap(read)(found, labels.cells, sides)
    posed = jax.vmap(lambda params, sides: pose(model, params, sides))(hands.params, sides)
    posed = posed._replace(keypoints_2d=project(camera, posed.placed_joints))
    terms = _seen_terms(model, hands, sides, posed, batch, labels)
    if full:
        terms |= _shape_terms(model, sides, posed, batch, labels)
    if locate:
        terms |= _map_terms(found, posed, batch, labels)
    outputs = {name: found[name] for name in ("centers", "sides") if name in found}
    outputs |= {"joints": posed.placed_joints, "keypoints_2d": posed.keypoints_2d}
    if render_size is not None:
        drawn = draw_hands(
            *(model, camera, posed.placed_vertices, sides, labels.valid, hands.albedo, hands.light),
            picture=size,
            size=render_size,
        )
        terms |= picture_terms(drawn, batch, colours=hands.albedo is not None)
        outputs |= {"mask": drawn.mask, "rendered": drawn.image}
    return Outcome(terms, moved, outputs)


def normalised(image: Array) -> Array:
    """(B, S, S, 3) uint8 RGB -> as pictures of ImageNet are."""
    return like_imagenet(image.astype(jnp.float32) / 255)


def center_maps_of(batch: Batch, stride: int, channels: int = 1) -> CenterMaps:
    """Targets with a leading B. Labels of pictures that only fill up a batch have no valid hand."""
    size = batch["image"].shape[1]

    def one(points: Array, known: Array, box: Array, side: Array, valid: Array, side_valid: Array) -> CenterMaps:
        return targets.center_maps(
            *(points, known, box, side, valid),
            size=(size, size),
            stride=stride,
            keypoint_stride=KEYPOINT_STRIDE,
            channels=channels,
            side_valid=side_valid,
        )

    names = ("keypoints_2d", "keypoints_2d_valid", "box", "side", "valid", "side_valid")
    return jax.vmap(one)(*(batch[name].astype(jnp.float32) for name in names))


def known_sides(found: dict[str, Array], batch: Batch, labels: CenterMaps) -> Array:
    """(B, N) int32: as labelled, else what the network takes them for, if it does."""
    sides = batch["side"].astype(jnp.int32)
    if "sides" not in found:
        return sides
    guessed = jax.vmap(lambda maps, cells: maps[cells[:, 1], cells[:, 0]].argmax(-1))(found["sides"], labels.cells)
    return jnp.where(batch["side_valid"], sides, guessed.astype(jnp.int32))


def pose(model: HandModel, params: mano.HandParams, sides: Array) -> PosedHands:
    """Hands of N slots, left ones as mirror images of right ones, each posed once; keypoints_2d are left empty."""
    mirrored = mano.mirror_params(params)
    is_left = sides == LEFT
    hand_pose = jnp.where(is_left[:, None], mirrored.hand_pose, params.hand_pose)
    nothing = jnp.zeros_like(params.transl)
    output = mano.forward_batch(model, mano.HandParams(params.betas, nothing, hand_pose, nothing))

    def of_side(points: Array) -> Array:
        return jnp.where(is_left[:, None, None], mano.mirror_points(points), points)

    vertices, joints = of_side(output.vertices), of_side(mano.keypoints_of(model, output))
    root = of_side(output.joints[:, :1])
    turn = rotations.matrix_from_axis_angle(params.global_orient)
    where = root + params.transl[:, None]

    def placed(points: Array) -> Array:
        return jnp.einsum("nij,nvj->nvi", turn, points - root, precision="highest") + where

    return PosedHands(vertices, joints, placed(vertices), placed(joints), jnp.zeros((*joints.shape[:2], 2)))


def _seen_terms(
    model: HandModel, hands: HandsAtCells, sides: Array, posed: PosedHands, batch: Batch, labels: CenterMaps
) -> dict[str, CountedSum | PixelSum]:
    """Re-projection and priors."""
    known = known_keypoints(batch, labels)
    marks = batch["keypoints_2d"]
    axes = jnp.asarray(model.joint_axes)
    range_of = jax.vmap(losses.pose_range, (0, 0, None, 0))
    return {
        "reprojection": jax.vmap(losses.reprojection)(posed.keypoints_2d, marks, known),
        "bone_direction": jax.vmap(losses.bone_direction)(posed.keypoints_2d, marks, known),
        "pose_range": range_of(hands.params.hand_pose, sides.astype(jnp.float32), axes, labels.valid),
        "shape": jax.vmap(losses.shape)(hands.params.betas, labels.valid),
    }


def _shape_terms(
    model: HandModel, sides: Array, posed: PosedHands, batch: Batch, labels: CenterMaps
) -> dict[str, CountedSum | PixelSum]:
    """What full supervision adds: shapes whose wrist is not turned, since the picture settles that."""
    known = labels.valid * batch["mano_valid"]
    nothing = jnp.zeros_like(batch["transl"])
    params = mano.HandParams(batch["betas"], nothing, batch["hand_pose"], nothing)
    true = jax.vmap(lambda params, sides: pose(model, params, sides))(params, sides)
    every = jnp.broadcast_to(known[..., None], posed.joints.shape[:3])
    return {
        "joint_3d": jax.vmap(losses.joint_3d)(posed.joints, true.joints, every),
        "vertex_3d": jax.vmap(losses.vertex_3d)(posed.vertices, true.vertices, posed.joints, true.joints, known),
    }


def _map_terms(
    found: dict[str, Array], posed: PosedHands, batch: Batch, labels: CenterMaps
) -> dict[str, CountedSum | PixelSum]:
    """L_loc and L_con, as far as the network has the maps."""
    there = image_valid(batch)
    terms: dict[str, CountedSum | PixelSum] = {
        "center": jax.vmap(losses.center)(found["centers"], labels.centers, there)
    }
    if "sides" in found:
        terms["side"] = jax.vmap(losses.side)(found["sides"], labels.sides, there * labels.sides_valid)
    if "keypoint_maps" in found:
        maps, known = found["keypoint_maps"], there * labels.keypoint_maps_valid
        terms["keypoint_maps"] = jax.vmap(losses.keypoint_maps)(maps, labels.keypoint_maps, known)
        terms["consistency"] = jax.vmap(lambda *given: losses.consistency(*given, stride=KEYPOINT_STRIDE))(
            maps, posed.keypoints_2d, labels.valid
        )
    return terms


def image_valid(batch: Batch) -> Array:
    """(B,)."""
    return batch.get("image_valid", jnp.ones(len(batch["image"]))).astype(jnp.float32)


def known_keypoints(batch: Batch, labels: CenterMaps, axes: str = "2d") -> Array:
    """(B, N, 21), of hands that are read."""
    return batch[f"keypoints_{axes}_valid"].astype(jnp.float32) * labels.valid[..., None]
