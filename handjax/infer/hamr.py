"""HAMR on hands in boxes: cut out, mirrored to the network's side, recovered, and put back."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from handjax import mano
from handjax.camera import project
from handjax.checks import check_choice
from handjax.infer.boxes import BoxedHands, CropBatch, InferredHands
from handjax.infer.images import BATCH_SIZE, infer_crops
from handjax.infer.uncrop import FullHands, to_full_image
from handjax.mano import HandModel
from handjax.models.hamr import Hamr
from handjax.models.hamr_decode import decode
from handjax.pipelines import PlacedHands
from handjax.predict.fit import right_hand

HAMR_MARGIN = 1.25
"""Side of the crop over the longer side of the box: the hand fills 80 % of it, as `Hamr.camera_scale` has it."""

LEAST_SCALE = 1.0
"""Pixels of the crop for each metre: where the network says less, or even that the hand is behind the camera."""


def infer_hamr(
    network: Hamr,
    variables: Mapping[str, Any],
    hands: Sequence[BoxedHands],
    *,
    model: HandModel | None = None,
    network_side: str = "right",
    margin: float = HAMR_MARGIN,
    batch_size: int = BATCH_SIZE,
) -> list[InferredHands]:
    """All hands of all images by HAMR (Zhang et al. 2019), in crops of `network.size` pixels.

    The network sees in scaled orthography (eq. 5, `hamr_decode.weak_camera`); the hand is put where the image's camera,
    or `assumed_camera`, sees it as large and at the same place. `predicted_joints` are regressed from the vertices
    (eq. 3), `keypoints_2d` their projection (eq. 4), `weak` the network's camera in pixels of the full image,
    its scale kept above `LEAST_SCALE`.

    Args:
      model: a hand of either side, which serves both. Default: the free hand. The authors' tips: `HAMR_FINGERTIPS`.
      network_side: of the hands that the network was trained on; the others are mirrored. The authors' is MANO's left.
      margin: side of the crop over the longer side of the box.
      batch_size: crops in one call of the network; another size is another compilation.

    Raises ValueError for bones or root depths, which the network predicts, for a network without a mesh, and for
    whatever else is not as `BoxedHands` says.
    """
    check_choice("network_side", network_side, ("left", "right"))
    if not network.mesh:
        raise ValueError("network must have a mesh, got one with mesh=False")
    for index, one in enumerate(hands):
        for name in ("bones", "root_depths"):
            if getattr(one, name) is not None:
                raise ValueError(f"hands[{index}].{name} must be None: the network predicts them")
    model = right_hand(model)
    model = model if network_side == "right" else mano.mirror(model)
    return infer_crops(partial(_hamr_batch, network, variables, model), model, hands, network.size, margin, batch_size)


@partial(jax.jit, static_argnames="network")
def _hamr_batch(network: Hamr, variables: Any, model: HandModel, batch: CropBatch) -> FullHands:
    outputs: Any = network.apply(variables, batch.crops - 0.5)
    placed = jax.vmap(lambda one: _placed(model, one, network))(outputs)
    return to_full_image(model, placed, batch.view, network.size)


def _placed(model: HandModel, outputs: dict[str, Array], network: Hamr) -> PlacedHands:
    """One hand, its wrist at the origin."""
    hand = decode(model, outputs, network)
    weak = hand.camera._replace(scale=jnp.maximum(hand.camera.scale, LEAST_SCALE))
    predicted = hand.keypoints_3d
    joints = mano.keypoints(model, hand.params)
    pixels = project(weak, predicted)
    return PlacedHands(hand.params, jnp.ones(()), hand.vertices, joints, predicted, pixels, weak, outputs)
