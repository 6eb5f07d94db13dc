"""Weights of our own, trained on the free hand by this project's launches; `handjax/weights/README.md` tells how."""

from functools import cache
from importlib import resources
from typing import Any

from handjax.models import crop_hand as crop_hands
from handjax.models import hand_finder as hand_finders
from handjax.models.siknet import PRESETS, SIKNet
from handjax.weights.files import read_weights, write_weights

__all__ = ["crop_hand", "hand_finder", "read_weights", "siknet", "write_weights"]


@cache
def siknet() -> tuple[SIKNet, dict[str, Any]]:
    """Keypoints to joint rotations and shape of `mano.default()`: the `small` network and its variables.

        network, variables = weights.siknet()
        found = network.apply(variables, relative_joints(joints, joints[:, 9]))

    joints (N, 21, 3) of right hands, of any size, place and view.
    """
    return PRESETS["small"], _shipped("siknet")


@cache
def hand_finder() -> tuple[hand_finders.HandFinder, dict[str, Any]]:
    """Whole pictures to the hands in them: the `small` network and its variables; `models.hand_finder.read_hands` reads
    its maps. Raises FileNotFoundError where the weights are not installed."""
    return hand_finders.PRESETS["small"], _shipped("hand_finder")


@cache
def crop_hand() -> tuple[crop_hands.CropHand, dict[str, Any]]:
    """Crops of right hands to keypoints, depths and side: the `small` network and its variables;
    `models.crop_hand.read_keypoints` reads its maps. Raises FileNotFoundError where the weights are not installed."""
    return crop_hands.PRESETS["small"], _shipped("crop_hand")


def _shipped(name: str) -> dict[str, Any]:
    with resources.as_file(resources.files("handjax.weights") / f"{name}.npz") as path:
        if not path.is_file():
            raise FileNotFoundError(
                f"the weights {name}.npz are not in this installation of handjax: `python -m launch.train_{name}` "
                f"trains them, and `python -m launch.pack_weights` packs them as {path}"
            )
        variables, _ = read_weights(path)
    return variables
