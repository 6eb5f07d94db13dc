"""The multi-hand network from whole pictures to meshes in camera space, in one pass."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import mano
from handjax.camera import Camera, apply_affine, crop_affine, crop_camera, invert_affine, project
from handjax.checks import check_choice
from handjax.detect import LEFT
from handjax.infer.batches import in_batches
from handjax.infer.boxes import faces_of
from handjax.infer.checks import check_all, check_count, check_one_camera, check_picture
from handjax.infer.crops import crop_image
from handjax.mano import HandModel
from handjax.models.backbone import like_imagenet
from handjax.models.multihand import MultiHand
from handjax.models.multihand_decode import (
    DEPTH_RULE,
    SIDES,
    DetectedHands,
    detect_hands,
    pose_hands,
    published_camera,
)
from handjax.predict.fit import right_hand

SIZE = 512
"""Side in pixels of the square that a picture is brought into."""
BATCH_SIZE = 4


class FoundHands(NamedTuple):
    """The n hands found in one image, best first, in its camera's frame: metres; pixels of the full image.

    Fields with a leading n: sides 0 left, 1 right; scores and side_scores in [0, 1]; params; vertices (V, 3) and
    joints (21, 3); keypoints_2d (21, 2), where joints fall; faces (F, 3), counter-clockwise from outside; albedo
    (V, 3) and light (27), None without these heads. `camera` is the full image's.
    """

    sides: np.ndarray
    scores: np.ndarray
    side_scores: np.ndarray
    params: mano.HandParams
    vertices: np.ndarray
    joints: np.ndarray
    keypoints_2d: np.ndarray
    faces: np.ndarray
    albedo: np.ndarray | None
    light: np.ndarray | None
    camera: Camera


class _Pictures(NamedTuple):
    """(B, S, S, 3) in [0, 1], how they were cut (B, 2, 3), and the camera (B, 2) of each full image."""

    squares: Array
    affine: Array
    camera: Camera


class _Slots(NamedTuple):
    """Of B pictures, K slots each."""

    hands: DetectedHands
    vertices: Array
    joints: Array
    keypoints_2d: Array


def infer_multihand(
    network: MultiHand,
    variables: Mapping[str, Any],
    images: Sequence[np.ndarray],
    cameras: Sequence[Camera | None] | None = None,
    *,
    model: HandModel | None = None,
    size: int = SIZE,
    count: int = 10,
    threshold: float = 0.4,
    bgr: bool = False,
    side: str = "right",
    depth_rule: tuple[float, float] = DEPTH_RULE,
    batch_size: int = BATCH_SIZE,
) -> list[FoundHands]:
    """All hands of images (H, W, 3) uint8 RGB, `batch_size` images in one call of the network.

    Args:
      cameras: of the full images. None: the one that the network takes the square for, `published_camera`.
      model: a hand of either side, which serves both. Default: the free hand.
      size: pixels, a multiple of 32: pictures are brought into the middle of a black square of this side.
      count: hands that an image can have. threshold: least score.
      bgr: the weights take blue first, as the released ones do.
      side, depth_rule: see `multihand_decode.detect_hands`.

    Raises ValueError for an image or camera of another kind, or a number out of range.
    """
    check_count("size", size, 32)
    check_count("count", count)
    check_count("batch_size", batch_size)
    check_choice("side", side, SIDES)
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must lie in [0, 1], got {threshold}")
    cameras = [None] * len(images) if cameras is None else cameras
    check_all("cameras", cameras, len(images))
    for index, (image, camera) in enumerate(zip(images, cameras, strict=True)):
        check_picture(f"images[{index}]", image)
        if camera is not None:
            check_one_camera(f"cameras[{index}]", camera)
    if not images:
        return []
    model = right_hand(model)
    affines = [_into_square(image, size) for image in images]
    full_cameras = [_full_camera(camera, affine, size) for camera, affine in zip(cameras, affines, strict=True)]
    numbers = {"count": count, "threshold": threshold, "depth_rule": tuple(depth_rule)}
    run = partial(_multihand_batch, network, variables, model, bgr=bgr, side=side, **numbers)
    rows = [partial(_picture, *row, size) for row in zip(images, affines, full_cameras, strict=True)]
    slots = in_batches(run, rows, rows[0], batch_size)
    return [
        _found(model, jax.tree.map(lambda array, index=index: array[index], slots), camera)
        for index, camera in enumerate(full_cameras)
    ]


def _into_square(image: np.ndarray, size: int) -> Array:
    height, width = np.shape(image)[:2]
    return crop_affine(jnp.array([0.0, 0.0, width, height]), 0.0, size)


def _full_camera(camera: Camera | None, affine: Array, size: int) -> Camera:
    if camera is None:
        camera, _ = crop_camera(published_camera(size, size), invert_affine(affine))
    return Camera(*(jnp.asarray(values, jnp.float32) for values in camera))


def _picture(image: np.ndarray, affine: Array, camera: Camera, size: int) -> _Pictures:
    return _Pictures(crop_image(jnp.asarray(image), affine, size), affine, camera)


@partial(jax.jit, static_argnames=("network", "count", "threshold", "bgr", "side", "depth_rule"))
def _multihand_batch(
    network: MultiHand,
    variables: Any,
    model: HandModel,
    pictures: _Pictures,
    *,
    count: int,
    threshold: float,
    bgr: bool,
    side: str,
    depth_rule: tuple[float, float],
) -> _Slots:
    outputs: Any = network.apply(variables, _normalised(pictures.squares, bgr))

    def one(outputs: dict[str, Array], affine: Array, camera: Camera) -> _Slots:
        seen, _ = crop_camera(camera, affine)
        hands = detect_hands(
            outputs,
            stride=network.stride,
            count=count,
            threshold=threshold,
            camera=seen,
            side=side,
            depth_rule=depth_rule,
        )
        posed = pose_hands(model, hands)
        joints = mano.keypoints_of(model, posed)
        hands = hands._replace(centers=apply_affine(invert_affine(affine), hands.centers))
        return _Slots(hands, posed.vertices, joints, project(camera, joints))

    return jax.vmap(one)(outputs, pictures.affine, pictures.camera)


def _normalised(squares: Array, bgr: bool) -> Array:
    """As the network was trained; blue first is scaled by the numbers of red first, as published."""
    return like_imagenet(squares[..., ::-1] if bgr else squares)


def _found(model: HandModel, slots: _Slots, camera: Camera) -> FoundHands:
    """What is valid of one image's slots."""
    slots = jax.tree.map(lambda array: array[slots.hands.valid], slots)
    hands = slots.hands
    sides = np.asarray(hands.sides, np.int8)
    return FoundHands(
        sides=sides,
        scores=np.asarray(hands.scores),
        side_scores=np.asarray(hands.side_scores),
        params=hands.params,
        vertices=np.asarray(slots.vertices),
        joints=np.asarray(slots.joints),
        keypoints_2d=np.asarray(slots.keypoints_2d),
        faces=faces_of(model, sides == LEFT),
        albedo=None if hands.albedo is None else np.asarray(hands.albedo),
        light=None if hands.light is None else np.asarray(hands.light),
        camera=camera,
    )
