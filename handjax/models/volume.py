"""LiftNet's heat-map volumes, read off without ever being there whole: a slab is made, integrated and forgotten.

One volume of 21 keypoints at 64 x 64 x 64 is 22 MB for each image, several times all else that the network holds; a
slab of rows stays in the cache. In training a slab is made again for its gradients.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax
from jax.typing import DTypeLike

from handjax.models.layers import KAIMING, Compute, uniform_over

MASS_GUARD = 1e-6
"""Added to the sum of a volume, as published."""

CPU_ROWS = 8
"""Rows of one image that a CPU takes at a time: its slab, 2.7 MB as published, fits the cache."""

STEPS = 8
"""In how many steps an accelerator goes through a batch: a launch costs it more than memory."""


class Pointwise(NamedTuple):
    """What a 1x1 convolution of C to F channels multiplies by, (C, F), and adds, (F,) or None."""

    kernel: Array
    bias: Array | None


class PointwiseParameters(nn.Module):
    """The parameters of `Conv(features)`, under its names, for those who apply them elsewhere."""

    features: int
    use_bias: bool = True
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, channels: int) -> Pointwise:
        kernel = self.param("kernel", KAIMING, (1, 1, channels, self.features))
        bias = self.param("bias", uniform_over(channels), (self.features,)) if self.use_bias else None
        dtype = self.compute.dtype
        return Pointwise(kernel[0, 0].astype(dtype), None if bias is None else bias.astype(dtype))


def read_volumes(x: Array, head: Pointwise, merge: Pointwise | None, layers: int) -> tuple[Array, Array | None]:
    """Features (N, H, W, C) -> the keypoints u, v, d (N, K, 3), at least float32, of the volumes ReLU(`head`), K of
    `layers` layers each, keypoint-major; and `merge` of the volumes (N, H, W, F), if given.

    u, v, d are the mean under the volume divided by its sum (Yang et al. 2020, eq. 3; no soft-max), as shares of each
    axis, index / size: the last index is short of 1. A volume without any mass gives 0, as published.
    """
    n, h, w, _ = x.shape
    whole, part = (n // STEPS, h) if n % STEPS == 0 else (1, _divisor(h, -(-h // STEPS)))
    planes, merged = lax.platform_dependent(
        *(x, head, merge),
        cpu=partial(_in_slabs, samples=1, rows=_divisor(h, CPU_ROWS)),
        default=partial(_in_slabs, samples=whole, rows=part),
    )
    planes = planes.reshape(3, n, -1, layers)
    mass = planes[0].sum(-1) + MASS_GUARD
    d = jnp.matmul(planes[0], jnp.arange(layers, dtype=planes.dtype), precision="highest")
    uvd = jnp.stack([planes[1].sum(-1) / w, planes[2].sum(-1) / h, d / layers], -1) / mass[..., None]
    return uvd, merged


def _divisor(length: int, most: int) -> int:
    return next(size for size in range(min(length, most), 0, -1) if length % size == 0)


def _in_slabs(
    x: Array, head: Pointwise, merge: Pointwise | None, *, samples: int, rows: int
) -> tuple[Array, Array | None]:
    """The sums of 1, u and v (indices) under each channel of the volumes (3, N, K * layers), and `merge` of them."""
    n, h, w, c = x.shape
    slabs = x.reshape(n * h // (samples * rows), samples, rows * w, c)
    # Whole indices: they are exact in bfloat16 too.
    columns, lines = jnp.arange(w, dtype=jnp.float32), jnp.arange(rows, dtype=jnp.float32)
    moments = jnp.stack([jnp.ones(rows * w), jnp.tile(columns, rows), jnp.repeat(lines, w)])

    @jax.checkpoint
    def step(_, slab):
        volumes = volumes_of(slab, head)
        sums = jnp.einsum(
            *("mp,spc->msc", moments.astype(volumes.dtype), volumes),
            precision="highest",
            preferred_element_type=_wide(volumes),
        )
        return None, (sums, None if merge is None else volumes @ merge.kernel)

    _, (sums, merged) = lax.scan(step, None, slabs)
    mass, u, v = sums.transpose(1, 0, 2, 3).reshape(3, n, h // rows, -1)
    first_rows = jnp.arange(0, h, rows, dtype=mass.dtype).reshape(1, -1, 1)
    planes = jnp.stack([mass.sum(1), u.sum(1), (v + first_rows * mass).sum(1)])
    return planes, None if merged is None else merged.reshape(n, h, w, -1)


def volumes_of(x: Array, head: Pointwise) -> Array:
    """(..., C) -> (..., K * layers), none negative."""
    y = x @ head.kernel
    return nn.relu(y if head.bias is None else y + head.bias.reshape((1,) * (y.ndim - 1) + head.bias.shape))


def normalised_volumes(x: Array, head: Pointwise, layers: int) -> Array:
    """The volumes themselves, each with sum 1: (N, K, layers, H, W)."""
    n, h, w, _ = x.shape
    volumes = volumes_of(x, head)
    volumes = volumes.astype(_wide(volumes)).reshape(n, h, w, -1, layers)
    shares = volumes / (volumes.sum((1, 2, 4), keepdims=True) + MASS_GUARD)
    return shares.transpose(0, 3, 4, 1, 2)


def _wide(array: Array) -> DTypeLike:
    return jnp.promote_types(array.dtype, jnp.float32)
