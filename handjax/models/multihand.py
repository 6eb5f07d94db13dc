"""All hands of a picture in one pass (Ren, Zhu and Zhang, "End-to-end weakly-supervised single-stage multiple 3D hand
mesh reconstruction from a single RGB image", CVIU 2023), with the parameter names of the authors' code.

A ResNet, a neck that brings its last three stages to one size and one length, and heads that read each cell:
`handjax.models.multihand_decode` makes hands of their maps.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.checks import check_choice
from handjax.models.check_image import check_image
from handjax.models.layers import BatchNorm, Compute, Conv, ConvTranspose, max_pool, uniform_over
from handjax.models.multihand_decode import HAND_NUMBERS
from handjax.models.multihand_keypoints import bilinear, keypoint_branch
from handjax.models.resnet import stages, stem

PRIOR_BIAS = -4.59
"""log(0.01 / 0.99): before training one cell in a hundred is a hand."""

LIGHT_NUMBERS = 27
FEAT_MOMENTUM = 0.01
NECK_GAIN = 10.0
XAVIER = nn.initializers.variance_scaling(1.0, "fan_avg", "normal")
HEAD_INIT = nn.initializers.normal(0.001)
ZEROS = nn.initializers.zeros


class MultiHand(nn.Module):
    """(N, H, W, 3) -> dict of maps (N, H/stride, W/stride, ...), float32.

    centers (..., 1 or 2) and sides (..., 2), before the sigmoid; params (..., 61 or 122); texture (..., 3 V), light
    (..., 27); keypoint_maps (N, H/2, W/2, 21), after it, in [1e-4, 1 - 1e-4]. What the configuration leaves out is not
    there.

    image: ImageNet-normalised, sides multiples of 32. The released weights were trained on BGR under the mean and the
    deviation of RGB. Raises ValueError for another image.
    """

    stride: int = 8  # pixels per cell of the maps, 4 or 8
    depth: int = 50  # of the residual network
    width: int = 64  # channels of its stem, and of the keypoint branch's
    neck: int = 256  # channels of the shared feature map
    light_upsampling: bool = False  # 1 x 1 convolutions and bilinear interpolation instead of transposed convolutions
    center_channels: int = 1  # 2: a map for left and one for right hands, as trained on InterHand2.6M
    side: bool = True  # a head that tells left from right
    per_side: bool = False  # 61 numbers for the left and 61 for the right hand in every cell, instead of 61
    texture_vertices: int = 778  # 0: no texture
    light: bool = True
    keypoints: bool = True  # 21 keypoint maps, through which the residual network sees the picture
    keypoint_depth: int = 18  # of the residual network that draws them
    start_map: bool = False  # params are added to a stored map (zero in practice), which ties the size of the picture
    idle: tuple[str, ...] = ()  # "stem", "keypoints", "p2": weights that checkpoints hold and no forward pass reads
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, image: Array, train: bool = False) -> dict[str, Array]:
        check_choice("stride", self.stride, (4, 8))
        check_image(image, multiple=32)
        if self.keypoints:
            maps, first = keypoint_branch(image, self.keypoint_depth, self.width, train, self.compute)
            outputs = {"keypoint_maps": maps}
        else:
            first, outputs = stem(image, self.width, train, self.compute), {}
        pyramid = stages(max_pool(first, 3, 2, 1), self.depth, self.width, train, self.compute)
        if self.is_initializing():
            self._declare_idle(image, pyramid[0])
        outputs.update(self._heads(self._fused(pyramid, train)))
        if self.start_map:
            n, height, width, count = outputs["params"].shape
            start = self.variable("buffers", "mean_theta", jnp.zeros, (1, count, height, width))
            outputs["params"] += jnp.broadcast_to(jnp.moveaxis(start.value, 1, -1), (n, height, width, count))
        return {name: value.astype(jnp.float32) for name, value in outputs.items()}

    def _fused(self, pyramid: tuple[Array, ...], train: bool) -> Array:
        """Maps at /4, /8, /16, /32 -> (N, H/stride, W/stride, neck): the last three at one size and one length."""
        options = {"compute": self.compute, "kernel_init": XAVIER}
        brought = []
        for stage in (3, 4, 5):
            x, factor, name = pyramid[stage - 2], 2**stage // self.stride, f"p{stage}"
            if factor > 1 and not self.light_upsampling:
                kernel, padding = (4, 1) if factor == 2 else (factor, 0)
                y = ConvTranspose(self.neck, kernel, factor, padding, bias_init=ZEROS, name=name, **options)(x)
            else:
                y = Conv(self.neck, 3 if factor == 1 else 1, bias_init=ZEROS, name=name, **options)(x)
                y = bilinear(y, factor) if factor > 1 else y
            brought.append(L2Norm(name=f"{name}_l2")(y))
        y = Conv(self.neck, 3, use_bias=False, name="feat", **options)(jnp.concatenate(brought, -1))
        return nn.relu(BatchNorm(momentum=FEAT_MOMENTUM, compute=self.compute, name="feat_bn")(y, train))

    def _heads(self, features: Array) -> dict[str, Array]:
        heads = {
            "centers": ("hm", self.center_channels),
            "sides": ("handmap", 2 * self.side),
            "params": ("params", HAND_NUMBERS * (2 if self.per_side else 1)),
            "texture": ("texture", 3 * self.texture_vertices),
            "light": ("light", LIGHT_NUMBERS * self.light),
        }
        return {output: self._head(features, name, size) for output, (name, size) in heads.items() if size}

    def _head(self, features: Array, name: str, size: int) -> Array:
        """3 x 3, ReLU, 1 x 1. Maps of probabilities start at `PRIOR_BIAS`, all others near zero."""
        wide: dict[str, Any] = {"kernel_init": HEAD_INIT, "bias_init": ZEROS}
        narrow = wide
        if name in ("hm", "handmap"):
            # As PyTorch draws a convolution that nobody initialises.
            wide = {"kernel_init": uniform_over(9 * self.neck)}
            narrow = {"kernel_init": uniform_over(self.neck), "bias_init": nn.initializers.constant(PRIOR_BIAS)}
        y = nn.relu(Conv(self.neck, 3, compute=self.compute, name=f"{name}.0", **wide)(features))
        return Conv(size, 1, compute=self.compute, name=f"{name}.2", **narrow)(y)

    def _declare_idle(self, image: Array, first_stage: Array) -> None:
        if "stem" in self.idle:
            stem(image, self.width, False, self.compute)
        if "keypoints" in self.idle:
            keypoint_branch(image, self.keypoint_depth, self.width, False, self.compute)
        if "p2" in self.idle:
            L2Norm(name="p2_l2")(Conv(self.neck, 3, name="p2")(first_stage))


class L2Norm(nn.Module):
    """Each pixel's channels to unit length, times a learned gain for each channel (Liu et al. 2016)."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        gain = self.param("scale", nn.initializers.constant(NECK_GAIN), (x.shape[-1],))
        wide = x.astype(jnp.float32)
        squared = (wide * wide).sum(-1, keepdims=True)
        # A pixel of zeros has no derivative of its length.
        dead = squared == 0
        length = jnp.where(dead, 0.0, jnp.sqrt(jnp.where(dead, 1.0, squared)))
        return (wide / (length + 1e-10) * gain.reshape(1, 1, 1, -1)).astype(x.dtype)


PRESETS = {
    "tiny": MultiHand(
        depth=10, width=8, neck=16, light_upsampling=True, texture_vertices=0, light=False, keypoint_depth=10
    ),
    "small": MultiHand(
        depth=18, width=32, neck=112, light_upsampling=True, texture_vertices=0, light=False, keypoints=False
    ),
    "paper": MultiHand(),
    "released": MultiHand(stride=4, per_side=True, idle=("stem", "p2")),
    "released_2022": MultiHand(per_side=True, side=False, keypoints=False, start_map=True, idle=("keypoints",)),
}
"""released: the authors' code of May 2023; released_2022: of August 2022, whose stride is the paper's. With other
fields by `.clone(...)`."""
