"""The keypoint branch of the multi-hand network: maps of 21 keypoints, through which its trunk sees the picture."""

from itertools import combinations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.models.layers import BatchNorm, Compute, Conv
from handjax.models.multihand_decode import scores
from handjax.models.resnet import ResNet

KEYPOINTS = 21
FINGERTIPS = (4, 8, 12, 16, 20)
RELATIONS = (*combinations(FINGERTIPS, 2), *(tuple(range(tip - 3, tip + 1)) for tip in FINGERTIPS))
"""Keypoints whose maps are added: each pair of fingertips, then each finger."""


def keypoint_branch(image: Array, depth: int, width: int, train: bool, compute: Compute) -> tuple[Array, Array]:
    """(N, H, W, 3) -> maps (N, H/2, W/2, 21) in (0, 1), and what the trunk's stages read instead of a stem, as large.

    Its modules, `backbone` to `reduce`, are those of the module that calls it.
    """
    pyramid = ResNet(depth, width, compute=compute, name="backbone")(image, train)
    x = pyramid[4]
    for number, channels in enumerate((4 * width, 2 * width, width, width)):
        x = bilinear(x, 2)
        if number < 3:
            x = jnp.concatenate([x, pyramid[3 - number]], -1)
        x = nn.relu(_conv_norm(x, channels, 3, f"uv_delayer.{number}", train, compute))
    maps = scores(Conv(KEYPOINTS, 3, compute=compute, name="uv_head.conv")(x))
    related = [maps[..., list(members)].sum(-1, keepdims=True) for members in RELATIONS]
    x = jnp.concatenate([pyramid[0], *(part.astype(x.dtype) for part in (maps, *related))], -1)
    x = nn.relu(_conv_norm(x, x.shape[-1], 3, "reduce.0", train, compute))
    x = nn.relu(_conv_norm(x, 2 * width, 3, "reduce.1", train, compute))
    return maps, _conv_norm(x, width, 1, "reduce.2", train, compute)


def bilinear(x: Array, factor: int) -> Array:
    """(N, H, W, C) -> `factor` times as large, pixel centres at half-integers (PyTorch's align_corners=False)."""
    n, height, width, channels = x.shape
    return jax.image.resize(x, (n, factor * height, factor * width, channels), "bilinear", antialias=False)


def _conv_norm(x: Array, features: int, kernel: int, name: str, train: bool, compute: Compute) -> Array:
    y = Conv(features, kernel, compute=compute, name=f"{name}.conv")(x)
    return BatchNorm(compute=compute, name=f"{name}.norm")(y, train)
