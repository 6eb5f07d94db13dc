"""Examples cut out, turned and mirrored: picture, camera, keypoints, boxes, MANO, mask and depth together.

An example is a dict as every data set gives it: pictures, and labels of N slots of hands with their flags. Labels of a
single hand, without the slots' axis, are moved by the same functions.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax.camera import (
    Camera,
    apply_affine,
    crop_affine,
    crop_camera,
    intrinsics_matrix,
    invert_affine,
    mirror_camera,
    mirror_pixels,
)
from handjax.checks import check_shape
from handjax.infer.crops import crop_image, mirrored_crop
from handjax.mano import HandParams, mirror_params, mirror_points
from handjax.rotations import axis_angle_from_matrix, matrix_from_axis_angle

LEFT, RIGHT = 0, 1

PICTURES = ("image", "mask", "depth")
OF_PICTURE = (*PICTURES, "name", "image_valid", "mask_valid", "depth_valid", "intrinsics", "intrinsics_valid")
"""Fields that have no slots of hands."""

FLAGS = {
    "side": "side_valid",
    "box": "valid",
    "keypoints_2d": "keypoints_2d_valid",
    "keypoints_3d": "keypoints_3d_valid",
    "keypoints_visible": "keypoints_visible_valid",
    "betas": "mano_valid",
    "global_orient": "mano_valid",
    "hand_pose": "mano_valid",
    "transl": "mano_valid",
    "vertices": "vertices_valid",
    "intrinsics": "intrinsics_valid",
}
"""Which flag says that a label is one; all other flags of a hand are False where `valid` is."""

Labels = Mapping[str, Array]


def crop_example(
    example: Labels,
    slot: ArrayLike,
    size: int = 256,
    *,
    margin: float = 2.0,
    rotation: ArrayLike = 0.0,
    shift: ArrayLike | tuple[float, float] = (0.0, 0.0),
    to_right: bool = True,
) -> dict[str, Array]:
    """The square crop of one hand of an example, for networks that see one: labels without the slots' axis.

    slot: which hand, may be traced. margin, rotation and shift: see `hand_affine`. to_right: left hands are mirrored.
    image (size, size, 3) uint8, bilinear; mask (size, size) int8, 1 where this hand is, and depth (size, size) metres,
    both nearest; black, 0 and 0 outside. `name` is left out. Raises ValueError for pictures of other shapes.
    """
    check_shape("image", example["image"], ("H", "W", 3))
    height, width, _ = example["image"].shape
    hand = one_hand(example, slot)
    affine = hand_affine(hand, size, margin=margin, rotation=rotation, shift=shift)
    flip = jnp.asarray(to_right) & hand["side_valid"] & (hand["side"] == LEFT)
    labels = crop_labels({name: value for name, value in hand.items() if name not in PICTURES}, affine, size)
    labels = jax.tree.map(lambda one, other: jnp.where(flip, one, other), mirror_labels(labels, size), labels)
    seen = jnp.where(flip, mirrored_crop(affine, size), affine)
    labels["image"] = jnp.round(255 * crop_image(example["image"], seen, size)).astype(jnp.uint8)
    for name in ("mask", "depth"):
        if name in example:
            check_shape(name, example[name], (height, width))
            labels[name] = _nearest(hand[name], seen, size)
    return labels


def one_hand(example: Labels, slot: ArrayLike) -> dict[str, Array]:
    """The labels of one slot, and the picture's own; the mask is 1 where this hand is. `name` is left out."""
    hand = {name: jnp.asarray(value) for name, value in example.items() if name in OF_PICTURE and name != "name"}
    hand |= {name: jnp.asarray(value)[slot] for name, value in example.items() if name not in OF_PICTURE}
    if "mask" in hand:
        hand["mask"] = (hand["mask"] == jnp.asarray(slot) + 1).astype(jnp.int8)
    return hand


def hand_affine(
    hand: Labels,
    size: int,
    *,
    margin: ArrayLike = 2.0,
    rotation: ArrayLike = 0.0,
    shift: ArrayLike | tuple[float, float] = (0.0, 0.0),
) -> Array:
    """(2, 3): pixels of the picture -> pixels of a square crop around one hand.

    hand: its labels, without the slots' axis. The crop's side is `margin` times the longer side of the box around the
    keypoints, or of `box` where not all 21 are known. shift (2,): of the crop's centre, in its sides. rotation:
    radians, from +x towards +y.
    """
    points = jnp.where(hand["keypoints_2d_valid"].all(), hand["keypoints_2d"], jnp.zeros((21, 2)))
    around = jnp.concatenate([points.min(0), points.max(0)])
    box = jnp.where(hand["keypoints_2d_valid"].all(), around, hand["box"])
    center, half = (box[:2] + box[2:]) / 2, jnp.max(box[2:] - box[:2]) / 2 * margin
    center += jnp.asarray(shift, jnp.float32) * (2 * half)
    return turned_affine(jnp.concatenate([center - half, center + half]), rotation, size, hand)


def turned_affine(box: Array, rotation: ArrayLike, size: int, labels: Labels) -> Array:
    """`camera.crop_affine`; where the crop is turned, pixels are first made square as the camera has them.

    A turned camera whose focal lengths differ would have skew, which no `Camera` has: the crop is stretched by their
    ratio, as a rule less than a thousandth, and all labels stay exact.
    """
    focal = jnp.stack([labels["intrinsics"][0, 0], labels["intrinsics"][1, 1]])
    stretches = labels["intrinsics_valid"] & (jnp.asarray(rotation) != 0)
    focal = jnp.where(stretches, focal, 1.0)
    stretch = jnp.sqrt(focal[0] * focal[1]) / focal
    affine = crop_affine(box * jnp.tile(stretch, 2), rotation, size)
    return affine * jnp.append(stretch, 1.0)[None]


def crop_labels(labels: Labels, affine: ArrayLike, size: int) -> dict[str, Array]:
    """Labels of a picture -> those of its crop of `size` px by `affine` (2, 3), which does not mirror.

    A turned crop turns 3D labels about the optical axis: keypoints, vertices, global_orient, and transl about the
    wrist, transl' = R X_0 - (X_0 - transl), since MANO turns about its first joint. X_0 is the wrist's keypoint: the
    hand keeps its MANO parameters only where that is known. Boxes become those around their turned ellipses: an upright
    crop's are exact. Keypoints outside are not visible; hands whose box is outside are none.
    """
    labels = dict(labels)
    affine = jnp.asarray(affine, jnp.float32)
    matrix = labels["intrinsics"]
    known = jnp.broadcast_to(labels["intrinsics_valid"], (2,))
    camera = Camera(jnp.where(known, jnp.stack([matrix[0, 0], matrix[1, 1]]), 1.0), matrix[:2, 2])
    camera, turn = crop_camera(camera, affine)
    labels["intrinsics"] = intrinsics_matrix(camera)
    upright = (turn[1, 0] == 0) & (turn[0, 0] > 0)

    def turned(points: Array) -> Array:
        return jnp.einsum("ij,...j->...i", turn, points, precision="highest")

    wrist, transl = labels["keypoints_3d"][..., 0, :], labels["transl"]
    orient = axis_angle_from_matrix(_turned_matrix(turn, labels["global_orient"]))
    labels["transl"] = jnp.where(upright, transl, turned(wrist) - (wrist - transl))
    labels["global_orient"] = jnp.where(upright, labels["global_orient"], orient)
    placed = upright | labels["keypoints_3d_valid"][..., 0]
    labels["mano_valid"] = labels["mano_valid"] & placed
    for name in ("keypoints_3d", "vertices"):
        if name in labels:
            labels[name] = turned(labels[name])
    if "vertices" not in labels:
        labels["vertices_valid"] = labels["vertices_valid"] & placed
    pixels = labels["keypoints_2d"] = apply_affine(affine, labels["keypoints_2d"])
    inside = ((pixels >= 0) & (pixels < size)).all(-1)
    labels["keypoints_visible"] = labels["keypoints_visible"] & (inside | ~labels["keypoints_2d_valid"])
    box = labels["box"]
    center, half = (box[..., :2] + box[..., 2:]) / 2, (box[..., 2:] - box[..., :2]) / 2
    has_box = (half > 0).any(-1)
    center = apply_affine(affine, center)
    half = jnp.sqrt(jnp.einsum("ij,...j->...i", affine[:, :2] ** 2, half**2, precision="highest"))
    low, high = center - half, center + half
    labels["box"] = jnp.where(has_box[..., None], jnp.concatenate([low, high], -1), 0.0)
    labels["valid"] = labels["valid"] & (~has_box | ((low < size) & (high > 0)).all(-1))
    return _without_invalid(labels)


def mirror_labels(labels: Labels, width: float) -> dict[str, Array]:
    """Labels of a picture -> those of its mirror image: u -> W - u, x -> -x, axis-angle (a, -b, -c), the other side."""
    labels = dict(labels)
    matrix = labels["intrinsics"]
    camera = Camera(jnp.stack([matrix[0, 0], matrix[1, 1]]), matrix[:2, 2])
    labels["intrinsics"] = intrinsics_matrix(mirror_camera(camera, width))
    params = mirror_params(HandParams(*(labels[name] for name in HandParams._fields)))
    labels |= params._asdict()
    x0, y0, x1, y1 = jnp.moveaxis(labels["box"], -1, 0)
    labels["box"] = jnp.stack([width - x1, y0, width - x0, y1], -1)
    labels["side"] = LEFT + RIGHT - labels["side"]
    labels["keypoints_2d"] = mirror_pixels(labels["keypoints_2d"], width)
    for name in ("keypoints_3d", "vertices"):
        if name in labels:
            labels[name] = mirror_points(labels[name])
    return _without_invalid(labels)


def _turned_matrix(turn: Array, axis_angle: Array) -> Array:
    """(3, 3), (..., 3) -> (..., 3, 3)."""
    return jnp.einsum("ij,...jk->...ik", turn, matrix_from_axis_angle(axis_angle), precision="highest")


def _without_invalid(labels: dict[str, Array]) -> dict[str, Array]:
    """Zeros where a flag is False, and all flags of a slot without a hand False."""
    there = labels["valid"]
    for name in [name for name in labels if name.endswith("_valid") and name not in OF_PICTURE]:
        labels[name] = labels[name] & there.reshape(there.shape + (1,) * (labels[name].ndim - there.ndim))
    for name, flag in FLAGS.items():
        if name in labels:
            known = labels[flag].reshape(labels[flag].shape + (1,) * (labels[name].ndim - labels[flag].ndim))
            labels[name] = jnp.where(known, labels[name], jnp.zeros_like(labels[name]))
    return labels


def _nearest(values: Array, affine: Array, size: int) -> Array:
    """(H, W) -> (size, size), 0 outside."""
    height, width = values.shape
    centres = jnp.arange(size) + 0.5
    grid = jnp.stack(jnp.meshgrid(centres, centres), -1)
    x, y = jnp.moveaxis(jnp.floor(apply_affine(invert_affine(affine), grid.reshape(-1, 2))).astype(jnp.int32), -1, 0)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    found = values.reshape(-1)[jnp.where(inside, y * width + x, 0)]
    return jnp.where(inside, found, jnp.zeros_like(found)).reshape(size, size)
