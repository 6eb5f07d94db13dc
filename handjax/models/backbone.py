"""A residual network of ImageNet inside another one: its weights, from a torchvision state_dict that the user has, and
pictures as it knows them."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.torch_weights import to_state_dict, to_variables
from handjax.torch_weights.names import COUNTER, Variables

RESNET_PARTS = ("conv1.", "bn1.", "layer")
STEM_PARTS = ("conv1.", "bn1.")
CLASSIFIER = "fc."
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1]."""


def like_imagenet(images: Array) -> Array:
    """(N, H, W, 3) in [0, 1] -> of mean 0 and deviation 1 over ImageNet."""
    mean, deviation = (jnp.array(each, jnp.float32)[None, None, None] for each in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / deviation


def with_backbone(variables: Variables, state_dict: Mapping[str, np.ndarray], prefix: str = "") -> Variables:
    """The variables of a network with torchvision's weights in its residual network, all others as they are.

    prefix: before the names of that residual network: "backbone_net.resnet." in `DeepHandMesh`, "" for the trunk and
    "backbone." for the keypoint branch of `MultiHand`. A trunk without a stem of its own takes the stages alone.

    Raises ValueError for a network of another depth or width, naming what does not fit.
    """
    current = to_state_dict(variables)
    own = {name for name in current if name.startswith(tuple(prefix + part for part in RESNET_PARTS))}
    if not own:
        raise ValueError(f"variables must hold a residual network whose names begin with {prefix!r}")
    has_stem = any(name.startswith(prefix + STEM_PARTS[0]) for name in own)
    left_out = (CLASSIFIER,) if has_stem else (CLASSIFIER, *STEM_PARTS)
    given = {prefix + name: value for name, value in state_dict.items() if not name.startswith(left_out)}
    counters = {name for name in own | given.keys() if name.endswith(COUNTER)}
    if wrong := sorted((own ^ given.keys()) - counters):
        raise ValueError(f"state_dict must hold the residual network of these variables; they differ in {wrong[0]}")
    return to_variables(current | given, variables)
