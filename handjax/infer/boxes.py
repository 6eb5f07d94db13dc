"""The hands of full images as rows of crops, and rows of results as the hands of each image."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax import mano
from handjax.camera import Camera, WeakCamera, assumed_camera, crop_affine, square_box
from handjax.checks import check_shape
from handjax.detect import LEFT, RIGHT, Detection, keypoint_box
from handjax.infer.checks import check_numbers, check_one_camera, check_picture
from handjax.infer.crops import crop_image, mirrored_crop, stretched_crop
from handjax.infer.uncrop import CropView, FullHands
from handjax.mano import HandModel
from handjax.models.hand_template import HandTemplate
from handjax.pipelines.check_crops import LONGEST_BONE


class BoxedHands(NamedTuple):
    """One image and the n hands in it to look at.

    image (H, W, 3) uint8 RGB; boxes (n, 4) x0 y0 x1 y1 around the keypoints, pixels; sides (n,) 0 left, 1 right;
    camera of the full image, or None; rotations (n,) radians, by which the crops are turned as `crop_affine` says;
    bones (n,) and root_depths (n,) metres, NaN where unknown: wrist to middle MCP, and that from the camera.
    """

    image: np.ndarray
    boxes: ArrayLike
    sides: ArrayLike
    camera: Camera | None = None
    rotations: ArrayLike | None = None
    bones: ArrayLike | None = None
    root_depths: ArrayLike | None = None


def boxed(image: np.ndarray, detections: Sequence[Detection], camera: Camera | None = None) -> BoxedHands:
    """What a detector found in an image, in boxes around the keypoints that it saw."""
    boxes = [keypoint_box(hand.keypoints_2d, hand.confidence) for hand in detections]
    return BoxedHands(image, np.reshape(boxes, (-1, 4)), np.array([hand.side for hand in detections], np.int8), camera)


class InferredHands(NamedTuple):
    """The n hands of one image in its camera's frame, metres; pixels of the full image. Fields with a leading n.

    The mesh is `scale * mano.forward(model of that side, params).vertices`; `joints` (21, 3) are its keypoints,
    `predicted_joints` (21, 3) and `keypoints_2d` (21, 2) those that the network read off the picture. `faces` (F, 3)
    are counter-clockwise from outside for the side. `camera` is the full image's, as given or assumed; `weak` the
    scaled orthography that it was placed by, where none was given.
    """

    sides: np.ndarray
    params: mano.HandParams
    scale: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    predicted_joints: np.ndarray
    keypoints_2d: np.ndarray
    faces: np.ndarray
    camera: Camera
    weak: WeakCamera | None


class CropBatch(NamedTuple):
    """Crops (B, S, S, 3) in [0, 1], hands of one side all; how they were cut; bones, root_depths (B,) metres or NaN."""

    crops: Array
    view: CropView
    bones: Array
    root_depths: Array


class CheckedHands(NamedTuple):
    """The same as `BoxedHands`, as arrays, with nothing left out."""

    image: np.ndarray
    boxes: np.ndarray
    sides: np.ndarray
    camera: Camera
    rotations: np.ndarray
    bones: np.ndarray
    root_depths: np.ndarray


def checked(name: str, hands: BoxedHands) -> CheckedHands:
    """Raises ValueError for whatever is not as `BoxedHands` says; `name` is that of the argument."""
    image = np.asarray(hands.image)
    check_picture(f"{name}.image", image)
    boxes = np.asarray(hands.boxes, np.float32).reshape(-1, 4) if np.size(hands.boxes) == 0 else hands.boxes
    check_shape(f"{name}.boxes", boxes, ("n", 4))
    boxes = np.asarray(boxes, np.float32)
    check_numbers(f"{name}.boxes", boxes)
    if not (boxes[:, 2:] > boxes[:, :2]).all():
        raise ValueError(f"{name}.boxes must have x1 > x0 and y1 > y0, got {boxes.tolist()}")
    count = len(boxes)
    check_shape(f"{name}.sides", hands.sides, (count,))
    sides = np.asarray(hands.sides)
    if not np.isin(sides, (LEFT, RIGHT)).all():
        raise ValueError(f"{name}.sides must be 0 (left) or 1 (right), got {sides.tolist()}")
    rotations = _numbers(f"{name}.rotations", hands.rotations, count, 0.0)
    check_numbers(f"{name}.rotations", rotations)
    bones = _numbers(f"{name}.bones", hands.bones, count, np.nan)
    if not (np.isnan(bones) | ((bones > 0) & (bones < LONGEST_BONE))).all():
        raise ValueError(f"{name}.bones must be in metres, above 0 and below {LONGEST_BONE:g}, got {bones.tolist()}")
    depths = _numbers(f"{name}.root_depths", hands.root_depths, count, np.nan)
    if not (np.isnan(depths) | ((depths > 0) & np.isfinite(depths))).all():
        raise ValueError(f"{name}.root_depths must be metres in front of the camera, got {depths.tolist()}")
    camera = hands.camera
    if camera is None:
        height, width = image.shape[:2]
        camera = assumed_camera(height, width, hand_px=float((boxes[:, 2:] - boxes[:, :2]).max(initial=0)))
    check_one_camera(f"{name}.camera", camera)
    camera = Camera(*(jnp.asarray(values, jnp.float32) for values in camera))
    return CheckedHands(image, boxes, sides.astype(np.int8), camera, rotations, bones, depths)


def _numbers(name: str, values: ArrayLike | None, count: int, default: float) -> np.ndarray:
    if values is None:
        return np.full(count, default, np.float32)
    check_shape(name, values, (count,))
    return np.asarray(values, np.float32)


def rows_of(
    hands: CheckedHands, size: int, margin: float, side: int = RIGHT, *, stretch: bool = False
) -> list[Callable[[], CropBatch]]:
    """What makes each hand's row, without the leading B. Only then does the image go to the device.

    side: of the hands that the network knows; the others are mirrored. stretch: `stretched_crop` of the box, as far as
    it lies in the image, instead of a square; there is no camera of such a crop.
    """
    others = (hands.boxes, hands.sides != side, hands.rotations, hands.bones, hands.root_depths)
    return [
        partial(_row, hands.image, hands.camera, *row, margin, size=size, stretch=stretch)
        for row in zip(*others, strict=True)
    ]


@partial(jax.jit, static_argnames=("size", "stretch"))
def _row(
    image: ArrayLike,
    camera: Camera,
    box: ArrayLike,
    mirrored: ArrayLike,
    rotation: ArrayLike,
    bone: ArrayLike,
    root_depth: ArrayLike,
    margin: ArrayLike,
    *,
    size: int,
    stretch: bool,
) -> CropBatch:
    if stretch:
        affine = stretched_crop(_inside(box, margin, np.shape(image)), rotation, size)
    else:
        affine = crop_affine(square_box(box, margin), rotation, size)
    crop = crop_image(image, jnp.where(mirrored, mirrored_crop(affine, size), affine), size)
    view = CropView(affine, jnp.asarray(mirrored), camera)
    return CropBatch(crop, view, jnp.asarray(bone), jnp.asarray(root_depth))


def _inside(box: ArrayLike, margin: ArrayLike, shape: tuple[int, ...]) -> Array:
    """The box with each side `margin` times as long, cut off at the edges of an image of this shape."""
    box = jnp.asarray(box, jnp.float32)
    center, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * margin
    ends = jnp.array([shape[1], shape[0]], jnp.float32)
    return jnp.concatenate([jnp.clip(center - half, 0.0, ends), jnp.clip(center + half, 0.0, ends)])


def blank_row(size: int) -> CropBatch:
    """Of the shapes and types of any other."""
    numbers = jnp.zeros(())
    view = CropView(jnp.zeros((2, 3)), jnp.zeros((), bool), Camera(jnp.zeros(2), jnp.zeros(2)))
    return CropBatch(jnp.zeros((size, size, 3)), view, numbers, numbers)


def result(model: HandModel, hands: CheckedHands, full: FullHands) -> InferredHands:
    """The rows of one image, with what was known before."""
    return InferredHands(
        sides=hands.sides,
        params=full.params,
        scale=np.asarray(full.scale),
        vertices=np.asarray(full.vertices),
        joints=np.asarray(full.joints),
        predicted_joints=np.asarray(full.predicted_joints),
        keypoints_2d=np.asarray(full.keypoints_2d),
        faces=faces_of(model, hands.sides != side_of(model)),
        camera=hands.camera,
        weak=full.weak,
    )


def side_of(model: HandModel) -> int:
    return RIGHT if model.side == "right" else LEFT


def faces_of(model: HandModel | HandTemplate, mirrored: np.ndarray) -> np.ndarray:
    """(n, F, 3) for n hands of a model, turned round for those that are its mirror image (n,)."""
    faces = np.asarray(model.faces)
    return np.where(mirrored[:, None, None], faces[:, ::-1], faces)
