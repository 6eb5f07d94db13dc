"""BiHand and HandTailor on hands in boxes: cut out, mirrored to the right hand, recovered, and put back."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from handjax import mano
from handjax.camera import Camera
from handjax.infer.boxes import BoxedHands, CropBatch, InferredHands
from handjax.infer.images import BATCH_SIZE, infer_crops
from handjax.infer.uncrop import FullHands, network_camera, to_full_image
from handjax.mano import HandModel
from handjax.models.handtailor import HandNet
from handjax.pipelines import BiHand, PlacedHands, run_bihand, run_handtailor
from handjax.pipelines.place import bone_of
from handjax.predict.fit import right_hand

CROP_SIZE = 256
CROP_MARGIN = 2.0
"""Side of the crop over the longer side of the box around the keypoints, as both networks were trained."""


def infer_bihand(
    networks: BiHand,
    variables: Mapping[str, Any],
    hands: Sequence[BoxedHands],
    *,
    model: HandModel | None = None,
    crop_size: int = CROP_SIZE,
    margin: float = CROP_MARGIN,
    batch_size: int = BATCH_SIZE,
    opencv_pixels: bool = True,
) -> list[InferredHands]:
    """All hands of all images by BiHand: see `pipelines.run_bihand`.

    Args:
      model: a hand of either side, which serves both. Default: the free hand.
      crop_size: pixels. margin: side of the crop over the longer side of the box.
      batch_size: crops in one call of the network; another size is another compilation.

    Unknown bones are those of `model` at zero betas; unknown root depths follow from them. Raises ValueError for a
    missing camera, a box that is empty or not finite, and whatever else is not as `BoxedHands` says.
    """
    model = right_hand(model)
    for index, one in enumerate(hands):
        if one.camera is None:
            raise ValueError(f"hands[{index}].camera must be given: BiHand places keypoints by it, got None")
    run = partial(_bihand_batch, networks, variables, model, opencv_pixels=opencv_pixels)
    return infer_crops(run, model, hands, crop_size, margin, batch_size)


def infer_handtailor(
    network: HandNet,
    variables: Mapping[str, Any],
    hands: Sequence[BoxedHands],
    *,
    model: HandModel | None = None,
    crop_size: int = CROP_SIZE,
    margin: float = CROP_MARGIN,
    batch_size: int = BATCH_SIZE,
    opencv_pixels: bool = True,
) -> list[InferredHands]:
    """All hands of all images by HandTailor's hand module: see `pipelines.run_handtailor`; arguments as `infer_bihand`.

    Images without a camera are read in scaled orthography and placed by `assumed_camera`. `bones` are for a network
    that does not predict them, and root depths for none. Raises ValueError as `infer_bihand`.
    """
    model = right_hand(model)
    for index, one in enumerate(hands):
        if one.bones is not None and network.predicts_bone:
            raise ValueError(f"hands[{index}].bones must be None: the network predicts them")
        if one.root_depths is not None:
            raise ValueError(f"hands[{index}].root_depths must be None: the network predicts them")
    found: dict[int, InferredHands] = {}
    for weak in (False, True):
        chosen = [index for index, one in enumerate(hands) if (one.camera is None) == weak]
        run = partial(_handtailor_batch, network, variables, model, weak=weak, opencv_pixels=opencv_pixels)
        names = [f"hands[{index}]" for index in chosen]
        some = infer_crops(run, model, [hands[index] for index in chosen], crop_size, margin, batch_size, names)
        found |= dict(zip(chosen, some, strict=True))
    return [found[index] for index in range(len(hands))]


@partial(jax.jit, static_argnames=("networks", "opencv_pixels"))
def _bihand_batch(
    networks: BiHand, variables: Any, model: HandModel, batch: CropBatch, *, opencv_pixels: bool
) -> FullHands:
    def run(image: Array, camera: Camera) -> PlacedHands:
        bones, depths = _known_bones(model, batch.bones), batch.root_depths
        return run_bihand(
            *(networks, variables, model, image, camera, bones), root_depth=depths, opencv_pixels=opencv_pixels
        )

    return _in_full_image(run, model, batch)


@partial(jax.jit, static_argnames=("network", "weak", "opencv_pixels"))
def _handtailor_batch(
    network: HandNet, variables: Any, model: HandModel, batch: CropBatch, *, weak: bool, opencv_pixels: bool
) -> FullHands:
    def run(image: Array, camera: Camera) -> PlacedHands:
        bones = None if network.predicts_bone else _known_bones(model, batch.bones)
        given = None if weak else camera
        return run_handtailor(network, variables, model, image, given, bones, opencv_pixels=opencv_pixels)

    return _in_full_image(run, model, batch)


def _known_bones(model: HandModel, bones: Array) -> Array:
    usual = bone_of(mano.keypoints(model, mano.zero_params(model))[None])
    return jnp.where(jnp.isnan(bones), usual, bones)


def _in_full_image(run: Callable[[Array, Camera], PlacedHands], model: HandModel, batch: CropBatch) -> FullHands:
    size = batch.crops.shape[1]
    placed = run(batch.crops - 0.5, network_camera(batch.view, size))
    return to_full_image(model, placed, batch.view, size)
