"""Residual networks (He et al. 2016) with torchvision's parameter names, so that ImageNet weights for them load.

The stride of a bottleneck is in its 3 x 3 convolution, as in torchvision.
"""

from flax import linen as nn
from jax import Array

from handjax.checks import check_choice
from handjax.models.layers import BatchNorm, Compute, Conv, max_pool

BLOCKS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks of the four stages by depth: basic ones up to 34 layers, bottlenecks from 50. The paper has no 10."""

EXPANSION = 4
"""Channels out of a bottleneck over those within."""

KAIMING_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
"""He et al. 2015, eq. 14: the variance of the backward pass, as torchvision draws residual networks."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a skip connection."""

    features: int
    stride: int = 1
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        y = nn.relu(_conv_norm(x, self.features, 3, self.stride, "1", train, self.compute))
        y = _conv_norm(y, self.features, 3, 1, "2", train, self.compute)
        return nn.relu(y + _shortcut(x, y.shape[-1], self.stride, train, self.compute))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution around a skip connection: `features` within, four times as many out."""

    features: int
    stride: int = 1
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        y = nn.relu(_conv_norm(x, self.features, 1, 1, "1", train, self.compute))
        y = nn.relu(_conv_norm(y, self.features, 3, self.stride, "2", train, self.compute))
        y = _conv_norm(y, self.features * EXPANSION, 1, 1, "3", train, self.compute)
        return nn.relu(y + _shortcut(x, y.shape[-1], self.stride, train, self.compute))


def stem(image: Array, width: int, train: bool, compute: Compute) -> Array:
    """(N, H, W, 3) -> (N, H/2, W/2, width): `conv1` and `bn1` of the module that calls it."""
    return nn.relu(_conv_norm(image, width, 7, 2, "1", train, compute))


def stages(x: Array, depth: int, width: int, train: bool, compute: Compute) -> tuple[Array, Array, Array, Array]:
    """(N, H, W, C) -> what `layer1` to `layer4` of the module that calls it make of it, at H, H/2, H/4 and H/8."""
    check_choice("depth", depth, tuple(BLOCKS))
    block = BasicBlock if depth < 50 else Bottleneck
    maps = []
    for stage, count in enumerate(BLOCKS[depth]):
        for number in range(count):
            stride = 2 if stage and not number else 1
            name = f"layer{stage + 1}.{number}"
            x = block(width * 2**stage, stride, compute=compute, name=name)(x, train)
        maps.append(x)
    return tuple(maps)


class ResNet(nn.Module):
    """(N, H, W, 3) -> five maps: the stem at H/2, then the four stages at H/4, H/8, H/16 and H/32.

    depth: a key of `BLOCKS`. width: channels of the stem; torchvision's networks have 64.
    The state_dict of torchvision's network of that depth fits, without `fc`.
    """

    depth: int = 50
    width: int = 64
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, image: Array, train: bool) -> tuple[Array, ...]:
        first = stem(image, self.width, train, self.compute)
        return first, *stages(max_pool(first, 3, 2, 1), self.depth, self.width, train, self.compute)


def _conv_norm(x: Array, features: int, kernel: int, stride: int, number: str, train: bool, compute: Compute) -> Array:
    y = Conv(features, kernel, stride, use_bias=False, compute=compute, kernel_init=KAIMING_OUT, name=f"conv{number}")(
        x
    )
    return BatchNorm(compute=compute, name=f"bn{number}")(y, train)


def _shortcut(x: Array, features: int, stride: int, train: bool, compute: Compute) -> Array:
    if x.shape[-1] == features and stride == 1:
        return x
    y = Conv(features, 1, stride, use_bias=False, compute=compute, kernel_init=KAIMING_OUT, name="downsample.0")(x)
    return BatchNorm(compute=compute, name="downsample.1")(y, train)
