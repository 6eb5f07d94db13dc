"""PyTorch's layers on channels-last arrays, as the published networks use them.

The path of a leaf, joined by ".", is the PyTorch name of its tensor, save for the last part, which says how the tensor
is laid out (`handjax.torch_weights` converts). A module of an `nn.Sequential` is named at once: `Conv(name="hm.0")`.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax
from jax.typing import DTypeLike

KAIMING = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
"""He et al. 2015, eq. 10, not truncated: `kaiming_normal_` with its defaults."""

EPSILON = 1e-5
MOMENTUM = 0.1
"""The share of the new batch in PyTorch's running statistics; flax counts the share of the old."""


Initializer = Callable[..., Array]
"""(key, shape) -> array."""


@dataclasses.dataclass(frozen=True)
class Compute:
    """How a network computes: the type of its activations (parameters and statistics stay float32), and the mapped
    axis over which batch statistics are taken together, if any."""

    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @property
    def wide(self) -> DTypeLike:
        """The type of statistics, long sums and outputs: float32, or float64 where activations are."""
        return jnp.promote_types(self.dtype, jnp.float32)


def uniform_over(fan_in: int) -> Initializer:
    """U(-1, 1) / sqrt(fan_in): what PyTorch draws biases, and the kernels of linear layers, from."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Conv(nn.Module):
    """(N, H, W, C) -> (N, H', W', features). PyTorch's Conv2d: `padding` zeros on each side; None keeps the size."""

    features: int
    kernel_size: int = 1
    stride: int = 1
    padding: int | None = None
    dilation: int = 1
    use_bias: bool = True
    compute: Compute = Compute()
    kernel_init: Initializer = KAIMING
    bias_init: Initializer | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        fan_in = self.kernel_size**2 * x.shape[-1]
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        padding = self.dilation * (self.kernel_size - 1) // 2 if self.padding is None else self.padding
        y = _convolve(
            x.astype(self.compute.dtype), kernel.astype(self.compute.dtype), self.stride, padding, self.dilation
        )
        if not self.use_bias:
            return y
        return _add_last(y, self.param("bias", self.bias_init or uniform_over(fan_in), (self.features,)))


class ConvTranspose(nn.Module):
    """(N, H, W, C) -> (N, s (H - 1) + k - 2 p, ..., features). PyTorch's ConvTranspose2d of kernel k, stride s."""

    features: int
    kernel_size: int
    stride: int
    padding: int = 0
    use_bias: bool = True
    compute: Compute = Compute()
    kernel_init: Initializer = KAIMING
    bias_init: Initializer | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("transposed_kernel", self.kernel_init, shape)
        dtype = self.compute.dtype
        y = transposed_convolution(x.astype(dtype), kernel.astype(dtype), self.stride, self.padding)
        if not self.use_bias:
            return y
        # PyTorch takes the fan-in of a transposed kernel from its axis of outputs.
        return _add_last(
            y, self.param("bias", self.bias_init or uniform_over(self.kernel_size**2 * self.features), (self.features,))
        )


def transposed_convolution(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """(N, H, W, C), (k, k, C, F) -> (N, s (H - 1) + k - 2 p, ..., F).

    A plain convolution gives the s x s values of every tile of the result as channels: the usual one over x with
    zeros between its pixels multiplies these, too, s^2 times the work on a CPU.
    """
    size, _, channels, features = kernel.shape
    taps = -(-size // stride)
    spare = taps * stride - size
    tiles = jnp.pad(kernel, ((0, spare), (0, spare), (0, 0), (0, 0))).reshape(taps, stride, taps, stride, channels, -1)
    # A pixel's values go forward, so the convolution, which looks back, reads the kernel from its end.
    tiles = jnp.flip(tiles.transpose(0, 2, 4, 1, 3, 5), (0, 1)).reshape(taps, taps, channels, -1)
    margin = (taps - 1, taps - 1)
    y = lax.conv_general_dilated(x, tiles, (1, 1), (margin, margin), dimension_numbers=("NHWC", "HWIO", "NHWC"))
    n, rows, columns, _ = y.shape
    y = y.reshape(n, rows, columns, stride, stride, features).transpose(0, 1, 3, 2, 4, 5)
    y = y.reshape(n, rows * stride, columns * stride, features)
    height, width = (stride * (side - 1) + size - 2 * padding for side in x.shape[1:3])
    return y[:, padding : padding + height, padding : padding + width]


class Linear(nn.Module):
    """(..., C) -> (..., features), drawn as PyTorch draws it unless told otherwise."""

    features: int
    compute: Compute = Compute()
    kernel_init: Initializer | None = None
    bias_init: Initializer | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        default = uniform_over(x.shape[-1])
        kernel = self.param("kernel", self.kernel_init or default, (x.shape[-1], self.features))
        bias = self.param("bias", self.bias_init or default, (self.features,))
        return _add_last(x.astype(self.compute.dtype) @ kernel.astype(self.compute.dtype), bias)


class BatchNorm(nn.Module):
    """Normalises the last axis over all others, by PyTorch's rule.

    In training by the batch's mean and biased variance, while the running statistics move by `momentum` towards the
    batch's mean and *unbiased* variance, which flax's own layer does not do; else by the running statistics. With
    `compute.axis_name` the batch is that of all devices. Statistics and products are `compute.wide`.
    """

    compute: Compute = Compute()
    epsilon: float = EPSILON
    momentum: float = MOMENTUM
    scale_init: Initializer = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        features = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (features,))
        scale = self.param("scale", self.scale_init, (features,))
        bias = self.param("bias", nn.initializers.zeros, (features,))
        mean, var = running_mean.value, running_var.value
        if train:
            # While the variables are made there is no mapped axis yet.
            axis_name = None if self.is_initializing() else self.compute.axis_name
            mean, var, count = batch_statistics(x, axis_name)
            if not self.is_initializing():
                unbiased = var * (count / max(count - 1, 1))
                running_mean.value += self.momentum * (mean - running_mean.value)
                running_var.value += self.momentum * (unbiased - running_var.value)
        factor = scale * lax.rsqrt(var + self.epsilon)
        y = _times_last(x.astype(self.compute.wide), factor) + _as_last(bias - mean * factor, x.ndim)
        return y.astype(self.compute.dtype)


def batch_statistics(x: Array, axis_name: str | None) -> tuple[Array, Array, int]:
    """(..., C) -> mean (C,), biased variance (C,), and the number of values that each is of, over all devices."""
    axes = tuple(range(x.ndim - 1))
    count = math.prod(x.shape[:-1])
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = x.mean(axes)
    if axis_name is not None:
        mean = lax.pmean(mean, axis_name)
        count *= lax.axis_size(axis_name)
    # Around the mean: the difference of mean squares loses the variance of a channel far from zero.
    var = jnp.square(x - _as_last(mean, x.ndim)).mean(axes)
    return mean, var if axis_name is None else lax.pmean(var, axis_name), count


class Mlp(nn.Module):
    """Linear layers of `features`, a ReLU between them: after batch norm if `batch_norm`, before dropout if a rate is
    given. The names are the places in PyTorch's `nn.Sequential`: 0, 2, ... plain, 0, 1, 3, 4, ... with batch norm."""

    features: tuple[int, ...]
    batch_norm: bool = False
    dropout: float | None = None
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        place = 0
        for features in self.features[:-1]:
            x = Linear(features, compute=self.compute, name=str(place))(x)
            if self.batch_norm:
                x = BatchNorm(compute=self.compute, name=str(place + 1))(x, train)
            x = nn.relu(x)
            if self.dropout is not None:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
            place += 2 + self.batch_norm + (self.dropout is not None)
        return Linear(self.features[-1], compute=self.compute, name=str(place))(x)


def _convolve(x: Array, kernel: Array, stride: int, padding: int, dilation: int) -> Array:
    if kernel.shape[0] == 1 and not padding:
        # The same thing as a product of matrices, which a CPU does in half the time.
        return jnp.einsum("nhwc,cd->nhwd", x[:, ::stride, ::stride], kernel[0, 0])
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def max_pool(x: Array, window: int = 2, stride: int = 2, padding: int = 0) -> Array:
    """PyTorch's MaxPool2d on (N, H, W, C): what is padded never wins."""
    if padding:
        margin = (padding, padding)
        x = jnp.pad(x, ((0, 0), margin, margin, (0, 0)), constant_values=-jnp.inf)
    return nn.max_pool(x, window_shape=(window, window), strides=(stride, stride))


def upsample(x: Array, factor: int = 2) -> Array:
    """(N, H, W, C) -> (N, factor H, factor W, C), each pixel repeated."""
    n, h, w, c = x.shape
    repeated = jnp.broadcast_to(x[:, :, None, :, None], (n, h, factor, w, factor, c))
    return repeated.reshape(n, h * factor, w * factor, c)


def _as_last(values: Array, ndim: int) -> Array:
    return values.reshape((1,) * (ndim - 1) + values.shape)


def _add_last(x: Array, bias: Array) -> Array:
    return x + _as_last(bias.astype(x.dtype), x.ndim)


def _times_last(x: Array, factor: Array) -> Array:
    return x * _as_last(factor, x.ndim)
