"""Hourglasses of bottlenecks (Newell et al. 2016) and the bisected one of BiHand (Yang et al. 2020, section 3.1)."""

from collections.abc import Callable
from typing import NamedTuple

from flax import linen as nn
from jax import Array

from handjax.models.layers import BatchNorm, Compute, Conv, max_pool, upsample


def middle_width(inputs: int, outputs: int) -> int:
    """Half of the wider end."""
    return max(inputs, outputs) // 2


class PreBottleneck(nn.Module):
    """(N, H, W, C) -> (N, H, W, features): normalise, ReLU, convolve, three times, and add. Nothing after the sum."""

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        middle = middle_width(x.shape[-1], self.features)
        y = x
        for place, (features, kernel_size) in enumerate([(middle, 1), (middle, 3), (self.features, 1)], start=1):
            y = nn.relu(BatchNorm(compute=self.compute, name=f"bn{place}")(y, train))
            y = Conv(features, kernel_size, compute=self.compute, name=f"conv{place}")(y)
        return y + _skip(self, x)


class PostBottleneck(nn.Module):
    """(N, H, W, C) -> (N, H, W, features): convolve, normalise, ReLU; the sum comes before the last normalisation."""

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        middle = middle_width(x.shape[-1], self.features)
        y = x
        for place, (features, kernel_size) in enumerate([(middle, 1), (middle, 3), (self.features, 1)], start=1):
            y = Conv(features, kernel_size, compute=self.compute, name=f"conv{place}")(y)
            if place == 3:
                y = y + _skip(self, x)
            y = nn.relu(BatchNorm(compute=self.compute, name=f"bn{place}")(y, train))
        return y


def _skip(block: PreBottleneck | PostBottleneck, x: Array) -> Array:
    if x.shape[-1] == block.features:
        return x.astype(block.compute.dtype)
    return Conv(block.features, compute=block.compute, name="conv4")(x)


Block = Callable[..., nn.Module]


class Hourglass(nn.Module):
    """(N, H, W, features) -> one map of that shape for each branch, and the bottom (N, H / 2^depth, ...).

    Branches share what leads down, their ways up and across are their own. `branches=None` is the ordinary hourglass:
    one branch, which has no number in the names.
    """

    block: Block
    features: int
    depth: int = 4
    branches: int | None = None
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> tuple[list[Array], Array]:
        return self._level(self.depth - 1, x, train)

    def _level(self, level: int, x: Array, train: bool) -> tuple[list[Array], Array]:
        across = [self._apply(level, 0, branch, x, train) for branch in range(self.branches or 1)]
        down = self._apply(level, 1, 0, max_pool(x), train)
        if level:
            inner, bottom = self._level(level - 1, down, train)
        else:
            bottom = down
            inner = [self._apply(level, 3, branch, down, train) for branch in range(self.branches or 1)]
        up = [upsample(self._apply(level, 2, branch, y, train)) for branch, y in enumerate(inner)]
        return [skip + y for skip, y in zip(across, up, strict=True)], bottom

    def _apply(self, level: int, place: int, branch: int, x: Array, train: bool) -> Array:
        numbers = f"{level}.{place}" if self.branches is None else f"{level}.{place}.{branch}"
        return self.block(self.features, compute=self.compute, name=f"hg.{numbers}.0")(x, train)


class ConvNormRelu(nn.Module):
    """A convolution without bias, batch norm and ReLU: places 0, 1 and 2 of an `nn.Sequential`."""

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        y = Conv(self.features, use_bias=False, compute=self.compute, name="0")(x)
        return nn.relu(BatchNorm(compute=self.compute, name="1")(y, train))


def stem(image: Array, train: bool, *, block: Block, features: int, compute: Compute) -> Array:
    """(N, H, W, 3) -> (N, H / 4, W / 4, features): the first layers of all the hourglass networks, called inside one.

    Their widths are 1/4, 1/2 and all of `features`: 64, 128, 256 as published.
    """
    x = Conv(features // 4, 7, 2, compute=compute, name="conv1")(image)
    x = nn.relu(BatchNorm(compute=compute, name="bn1")(x, train))
    x = max_pool(block(features // 2, compute=compute, name="layer1.0")(x, train))
    x = block(features, compute=compute, name="layer2.0")(x, train)
    return block(features, compute=compute, name="layer3.0")(x, train)


class BisectedStack(NamedTuple):
    """The parts that each stack of SeedNet and LiftNet has, to be called inside one of them."""

    name: str
    features: int
    depth: int
    branches: int
    compute: Compute

    def features_of(self, stack: int, x: Array, train: bool) -> tuple[list[Array], Array]:
        """Each branch's features, as large as `x`, and the hourglass's bottom."""
        ways, bottom = Hourglass(
            *(PreBottleneck, self.features, self.depth, self.branches, self.compute), name=f"{self.name}.{stack}"
        )(x, train)
        return [self._head(f"{place}.{stack}", way, train) for place, way in enumerate(ways, start=1)], bottom

    def _head(self, numbers: str, x: Array, train: bool) -> Array:
        x = PreBottleneck(self.features, compute=self.compute, name=f"res{numbers}.0")(x, train)
        return ConvNormRelu(self.features, compute=self.compute, name=f"fc{numbers}")(x, train)

    def merged(self, stack: int, x: Array, features: list[Array], maps: dict[str, Array]) -> Array:
        """What the next stack starts from: `x` and all that this stack found, each through a 1x1 convolution."""
        found = {f"_fc{place}": y for place, y in enumerate(features, start=1)} | maps
        for name, y in found.items():
            x = x + Conv(self.features, use_bias=False, compute=self.compute, name=f"{name}.{stack}")(y)
        return x
