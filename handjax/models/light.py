"""Layers of the default model's two networks, chosen for a CPU: few of them at full size, no grouped convolutions."""

from flax import linen as nn
from jax import Array

from handjax.models.layers import BatchNorm, Compute, Conv


def patches(x: Array, size: int) -> Array:
    """(N, H, W, C) -> (N, H / size, W / size, size^2 C): each square of pixels as channels."""
    n, h, w, c = x.shape
    tiles = x.reshape(n, h // size, size, w // size, size, c).transpose(0, 1, 3, 2, 4, 5)
    return tiles.reshape(n, h // size, w // size, size * size * c)


class ConvNorm(nn.Module):
    """(N, H, W, C) -> (N, H, W, features): a convolution, batch norm and, if `active`, a ReLU."""

    features: int
    kernel_size: int = 3
    active: bool = True
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        x = Conv(self.features, self.kernel_size, use_bias=False, compute=self.compute, name="conv")(x)
        x = BatchNorm(compute=self.compute, name="norm")(x, train)
        return nn.relu(x) if self.active else x


class Residual(nn.Module):
    """(N, H, W, C) -> the same shape: two convolutions of 3 x 3, whose result is added."""

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        y = ConvNorm(x.shape[-1], compute=self.compute, name="0")(x, train)
        return nn.relu(x + ConvNorm(x.shape[-1], active=False, compute=self.compute, name="1")(y, train))
