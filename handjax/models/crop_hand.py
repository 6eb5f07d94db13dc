"""The network of the default model: one right hand in a crop to keypoints, depths and its side, on a laptop.

The hand module of HandTailor (Lv et al. 2021, section 3.1) made small: a heat-map and a depth map for each keypoint,
here of one encoder and decoder with a layer between that sees the whole crop, instead of stacked hourglasses.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.checks import check_shape
from handjax.models.check_image import check_image
from handjax.models.layers import Compute, Conv, Linear, upsample
from handjax.models.light import ConvNorm, Residual, patches
from handjax.models.siknet import REFERENCE_BONE

CELL = 4
"""Pixels of the crop along a cell of the maps."""
MULTIPLE = 16
KEYPOINTS = 21
ROOT = 9
WINDOW = 5
"""Cells along the side of the square around the highest one, over which a keypoint's place is the mean."""
USUAL_SCALE = 0.3
"""Share of the crop's side that a reference bone has which lies in the picture's plane, before training."""


class CropHand(nn.Module):
    """(N, S, S, 3) RGB in [-0.5, 0.5], S a multiple of 16 -> dict, float32.

    heatmaps (N, S/4, S/4, 21): logits, whose softmax over all cells is where the keypoint is; depths (N, S/4, S/4, 21):
    reference bones from the middle finger's base; right (N,): the logit of a right hand, negative for a left one, of
    which the other outputs mean nothing; scale (N,): of a reference bone at the root's depth, as a share of the crop's
    side. Raises ValueError for another image.
    """

    widths: tuple[int, int, int] = (40, 80, 160)  # at 4, 8 and 16 px a cell
    blocks: tuple[int, int, int] = (1, 2, 2)  # on the way down
    whole: int = 192  # numbers through which the cells see the whole crop
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, image: Array, train: bool = False) -> dict[str, Array]:
        check_image(image, MULTIPLE)
        if image.shape[1] != image.shape[2]:
            raise ValueError(f"image must be square, got {image.shape[1]} x {image.shape[2]}")
        x = ConvNorm(self.widths[0], compute=self.compute, name="stem")(patches(image, CELL), train)
        x, skips = self._residuals(x, 0, train), []
        for level in (1, 2):
            skips.append(x)
            x = ConvNorm(self.widths[level], 1, compute=self.compute, name=f"down{level}")(patches(x, 2), train)
            x = self._residuals(x, level, train)
        seen = nn.relu(Linear(self.whole, compute=self.compute, name="whole")(x.reshape(len(x), -1)))
        told = Linear(x[0].size, compute=self.compute, name="told")(seen)
        x = nn.relu(x + told.reshape(x.shape))
        for level in (1, 0):
            y = ConvNorm(self.widths[level], 1, compute=self.compute, name=f"up{level}")(x, train)
            x = Residual(compute=self.compute, name=f"merged{level}")(upsample(y) + skips[level], train)
        maps = Conv(2 * KEYPOINTS, compute=self.compute, name="maps")(x).astype(jnp.float32)
        right, scale = jnp.moveaxis(Linear(2, compute=self.compute, name="hand")(seen).astype(jnp.float32), -1, 0)
        heatmaps, depths = jnp.split(maps, 2, axis=-1)
        return {"heatmaps": heatmaps, "depths": depths, "right": right, "scale": USUAL_SCALE * jnp.exp(scale)}

    def _residuals(self, x: Array, level: int, train: bool) -> Array:
        for block in range(self.blocks[level]):
            x = Residual(compute=self.compute, name=f"down{level}.{block}")(x, train)
        return x


PRESETS = {
    "tiny": CropHand(widths=(16, 24, 32), blocks=(1, 1, 1), whole=32),
    "small": CropHand(),
    "paper": CropHand(widths=(96, 192, 384), blocks=(2, 3, 3), whole=512),
}
"""paper: none is; the size for a GPU."""


class CropKeypoints(NamedTuple):
    """Of N crops: keypoints_2d (N, 21, 2) px of the crop; confidence (N, 21) in [0, 1], the share of the heat-map that
    lies around the keypoint; joints (N, 21, 3) in reference bones from the root, by scaled orthography; right (N,) in
    [0, 1], that the hand is a right one."""

    keypoints_2d: Array
    confidence: Array
    joints: Array
    right: Array


def probabilities(heatmaps: Array) -> Array:
    """(N, h, w, 21) logits -> the same shape, each map's sum 1."""
    n, h, w, k = heatmaps.shape
    return jax.nn.softmax(heatmaps.reshape(n, h * w, k), axis=1).reshape(n, h, w, k)


def cell_centres(height: int, width: int) -> Array:
    """(h, w, 2) x then y, px of the crop."""
    x, y = jnp.meshgrid(jnp.arange(width), jnp.arange(height))
    return CELL * (jnp.stack([x, y], -1) + 0.5)


def mean_place(shares: Array) -> Array:
    """(N, h, w, 21), each map's sum 1 -> (N, 21, 2) px of the crop: the mean over all cells."""
    centres = cell_centres(*shares.shape[1:3])
    return jnp.einsum("nhwk,hwc->nkc", shares, centres, precision="highest")


def read_keypoints(outputs: dict[str, Array]) -> CropKeypoints:
    """The network's outputs -> keypoints: the mean place and depth in a window around each heat-map's highest cell.

    Raises ValueError for maps of another shape.
    """
    heatmaps = outputs["heatmaps"]
    check_shape("outputs['heatmaps']", heatmaps, ("N", "h", "w", KEYPOINTS))
    n, height, width, k = heatmaps.shape
    shares = probabilities(heatmaps)
    highest = shares.reshape(n, height * width, k).argmax(1)
    column, row = highest % width, highest // width
    across = jnp.abs(jnp.arange(width)[None, :, None] - column[:, None]) <= WINDOW // 2
    down = jnp.abs(jnp.arange(height)[None, :, None] - row[:, None]) <= WINDOW // 2
    near = shares * (down[:, :, None] & across[:, None])
    confidence = near.sum((1, 2))
    near = near / confidence[:, None, None]
    places = mean_place(near)
    depths = (near * outputs["depths"]).sum((1, 2))
    size = CELL * width
    plane = (places - places[:, ROOT : ROOT + 1]) / (size * outputs["scale"][:, None, None])
    joints = jnp.concatenate([plane, (depths - depths[:, ROOT : ROOT + 1])[..., None]], -1)
    return CropKeypoints(places, confidence, joints, jax.nn.sigmoid(outputs["right"]))


def scale_of(keypoints_3d: Array, focal: Array, size: float) -> Array:
    """(..., 21, 3) metres, focal (...) px of the crop -> (...): what `scale` is trained to be."""
    start, end = REFERENCE_BONE
    bone = jnp.linalg.norm(keypoints_3d[..., start, :] - keypoints_3d[..., end, :], axis=-1)
    return focal * bone / (jnp.maximum(keypoints_3d[..., ROOT, 2], 1e-3) * size)
