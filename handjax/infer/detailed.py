"""DeepHandMesh on hands in boxes: cut out, mirrored to the right hand, posed, and put where known joints are."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.camera import Camera
from handjax.checks import check_shape
from handjax.detect import LEFT
from handjax.infer.batches import in_batches
from handjax.infer.boxes import BoxedHands, CheckedHands, CropBatch, blank_row, checked, faces_of, rows_of
from handjax.infer.checks import check_all
from handjax.infer.images import BATCH_SIZE, check_numbers_of_crops, of_images
from handjax.mano import DETAILED_JOINTS
from handjax.models.deephandmesh import DeepHandMesh
from handjax.models.deephandmesh_decode import ALIGNMENT_JOINTS, Motion, aligned, decode, decode_rest, wrist_frame
from handjax.models.hand_template import HandTemplate

DETAILED_MARGIN = 1.5
"""Sides of the crop over those of the box around the keypoints, as the authors cut theirs."""
DETAILED_SIZE = 256

KEYPOINT_NAMES = tuple(name for name in DETAILED_JOINTS if name != "thumb0")
"""Of the 21 keypoints, in their order."""
REFERENCE = ("wrist", "middle1")
"""The ends of the bone that `BoxedHands.bones` measures."""
FEWEST = 3
"""Joints of the palm that place a hand."""


class DetailedHands(NamedTuple):
    """The n hands of one image by DeepHandMesh, metres. Fields with a leading n.

    vertices (V, 3) and joints (J, 3), joints in the order of the network: in the camera's frame where `placed`, else in
    the wrist's, a left hand's mirrored in x. faces (F, 3): counter-clockwise from outside for the side. angles (J, 3)
    radians: of the right hand of which a left one is the mirror image. scale: over the person's own size.
    """

    sides: np.ndarray
    placed: np.ndarray
    angles: np.ndarray
    scale: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    faces: np.ndarray
    camera: Camera


class _Row(NamedTuple):
    """What is known of a hand; of a right one's joints in the order of the network, or of its mirror image's."""

    crop: CropBatch
    target: Array
    valid: Array
    placed: Array


class _Posed(NamedTuple):
    angles: Array
    scale: Array
    vertices: Array
    joints: Array


def infer_deephandmesh(
    network: DeepHandMesh,
    variables: Mapping[str, Any],
    hands: Sequence[BoxedHands],
    identity_code: ArrayLike,
    template: HandTemplate,
    *,
    joints: Sequence[ArrayLike | None] | None = None,
    crop_size: int = DETAILED_SIZE,
    margin: float = DETAILED_MARGIN,
    stretch: bool = True,
    batch_size: int = BATCH_SIZE,
) -> list[DetailedHands]:
    """All hands of all images by DeepHandMesh (Moon et al. 2020), which says how a hand is bent, not where it is.

    Args:
      identity_code: (network.identity,) of the one person that the weights were trained for.
      template: a right hand, with the network's joints and number of vertices.
      joints: for each image (n, 21, 3), metres, our keypoints in the camera's frame, NaN where unknown: another
        network's `InferredHands.joints`, say. The hand's palm is laid over them as in training (section 5, rigid
        alignment); bones that are given make it larger or smaller first. None: hands stay in the wrist's frame, where
        the authors' test leaves them.
      crop_size: pixels, a multiple of 32. margin: sides of the crop over those of the box.
      stretch: the box in the image fills the crop, whatever its proportions, as the authors' does; else a square.
      batch_size: crops in one call of the network; another size is another compilation.

    Raises ValueError for root depths, fewer than three known joints of the palm, a code, template or decoder that does
    not fit, and whatever else is not as `BoxedHands` says.
    """
    check_numbers_of_crops(crop_size, margin, batch_size)
    if network.decoder != "template":
        raise ValueError(f"network must have decoder='template', got {network.decoder!r}")
    check_shape("identity_code", identity_code, (network.identity,))
    joints = [None] * len(hands) if joints is None else joints
    check_all("joints", joints, len(hands))
    complete = []
    for index, one in enumerate(hands):
        if one.root_depths is not None:
            raise ValueError(f"hands[{index}].root_depths must be None: hands are placed by `joints`")
        complete.append(checked(f"hands[{index}]", one))
    if not hands:
        return []
    targets = [_targets(f"joints[{at}]", *each, network) for at, each in enumerate(zip(complete, joints, strict=True))]
    rows = [
        partial(_row, crop, target)
        for one, each in zip(complete, targets, strict=True)
        for crop, target in zip(rows_of(one, crop_size, margin, stretch=stretch), each, strict=True)
    ]
    unknown = np.full((len(network.joints), 3), np.nan, np.float32)
    run = partial(_batch, network, variables, template, jnp.asarray(identity_code, jnp.float32))
    posed = in_batches(run, rows, partial(_row, partial(blank_row, crop_size), unknown), batch_size)
    return [
        _result(template, one, given is not None, part)
        for one, given, part in zip(complete, joints, of_images(complete, posed), strict=True)
    ]


def _targets(name: str, hands: CheckedHands, joints: ArrayLike | None, network: DeepHandMesh) -> np.ndarray:
    """(n, J, 3) in the order of the network, a left hand's mirrored; NaN where unknown."""
    count = len(hands.boxes)
    found = np.full((count, len(network.joints), 3), np.nan, np.float32)
    if joints is None:
        return found
    check_shape(name, joints, (count, len(KEYPOINT_NAMES), 3))
    joints = np.array(joints, np.float32)
    joints[hands.sides == LEFT, :, 0] *= -1
    for place, keypoint in enumerate(KEYPOINT_NAMES):
        if keypoint in network.joints:
            found[:, network.joints.index(keypoint)] = joints[:, place]
    palm = [network.joints.index(joint) for joint in ALIGNMENT_JOINTS]
    known = np.isfinite(found[:, palm]).all(-1).sum(-1)
    if (known < FEWEST).any():
        raise ValueError(f"{name} must have {FEWEST} known joints of the palm for each hand, got {known.tolist()}")
    return found


def _row(crop: Any, target: np.ndarray) -> _Row:
    valid = np.all(np.isfinite(target), axis=-1)
    known = np.where(valid[:, None], target, np.float32(0))
    return _Row(crop(), jnp.asarray(known), jnp.asarray(valid), jnp.asarray(valid.any()))


@partial(jax.jit, static_argnames="network")
def _batch(network: DeepHandMesh, variables: Any, template: HandTemplate, code: Array, batch: _Row) -> _Posed:
    outputs: Any = network.apply(variables, batch.crop.crops, code)
    return jax.vmap(partial(_posed, network, template))(outputs, batch)


def _posed(network: DeepHandMesh, template: HandTemplate, outputs: dict[str, Array], row: _Row) -> _Posed:
    """One hand: as large as its bone, laid over its joints, and mirrored if it is a left one."""
    start, end = (network.joints.index(name) for name in REFERENCE)
    rest = decode_rest(template, outputs, network).joints
    bone = row.crop.bones
    scale = jnp.where(jnp.isnan(bone), 1.0, bone / jnp.linalg.norm(rest[start] - rest[end]))
    found = aligned(template, outputs, network, row.target / scale, row.valid)
    motion = jax.tree.map(partial(jnp.where, row.placed), found, wrist_frame(template))
    hand = decode(template, outputs, network, Motion(*motion))
    sign = jnp.where(row.crop.view.mirrored, -1.0, 1.0) * scale
    size = jnp.stack([sign, scale, scale])[None]
    return _Posed(outputs["angles"], scale, hand.vertices * size, hand.joints * size)


def _result(template: HandTemplate, hands: CheckedHands, placed: bool, posed: _Posed) -> DetailedHands:
    return DetailedHands(
        sides=hands.sides,
        placed=np.full(len(hands.sides), placed),
        angles=np.asarray(posed.angles),
        scale=np.asarray(posed.scale),
        vertices=np.asarray(posed.vertices),
        joints=np.asarray(posed.joints),
        faces=faces_of(template, hands.sides == LEFT),
        camera=hands.camera,
    )
