"""Weights of our own, trained on the free hand by this project's launches; `handjax/weights/README.md` tells how."""

from functools import cache
from importlib import resources
from typing import Any

from handjax.models.siknet import PRESETS, SIKNet
from handjax.weights.files import read_weights, write_weights

__all__ = ["read_weights", "siknet", "write_weights"]


@cache
def siknet() -> tuple[SIKNet, dict[str, Any]]:
    """Keypoints to joint rotations and shape of `mano.default()`: the `small` network and its variables.

        network, variables = weights.siknet()
        found = network.apply(variables, relative_joints(joints, joints[:, 9]))

    joints (N, 21, 3) of right hands, of any size, place and view.
    """
    with resources.as_file(resources.files("handjax.weights") / "siknet.npz") as path:
        variables, _ = read_weights(path)
    return PRESETS["small"], variables
