"""SeedNet and LiftNet of BiHand in PyTorch, as published, to measure ours against. Names are those of its checkpoints.

Written from the description of the layers; equal to ours for the same weights, which `benchmarks.networks` checks.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

KEYPOINTS = 21
MASS_GUARD = 1e-6


class Bottleneck(nn.Module):
    """Normalise, ReLU, convolve, three times, and add."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        middle = max(inputs, outputs) // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, middle, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(middle), nn.Conv2d(middle, middle, 3, padding=1)
        self.bn3, self.conv3 = nn.BatchNorm2d(middle), nn.Conv2d(middle, outputs, 1)
        self.relu = nn.ReLU(inplace=True)
        self.conv4 = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(self.relu(self.bn1(x)))
        y = self.conv2(self.relu(self.bn2(y)))
        y = self.conv3(self.relu(self.bn3(y)))
        return y + (x if self.conv4 is None else self.conv4(x))


def block(features: int) -> nn.Sequential:
    return nn.Sequential(Bottleneck(features, features))


class BisectedHourglass(nn.Module):
    """One way down, two ways across and up."""

    def __init__(self, features: int, depth: int):
        super().__init__()
        self.hg = nn.ModuleList([self._level(features, level) for level in range(depth)])

    @staticmethod
    def _level(features: int, level: int) -> nn.ModuleList:
        pairs = {0, 2} if level else {0, 2, 3}
        places = [
            nn.ModuleList([block(features) for _ in range(2)]) if place in pairs else nn.ModuleList([block(features)])
            for place in range(max(pairs) + 1)
        ]
        return nn.ModuleList(places)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self._descend(len(self.hg) - 1, x)

    def _descend(self, level: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        across, (into,), back, *apart = [list(place.children()) for place in self.hg[level].children()]
        first, second = (way(x) for way in across)
        down = into(functional.max_pool2d(x, 2, 2))
        if level:
            inner_first, inner_second, bottom = self._descend(level - 1, down)
        else:
            (inner_first, inner_second), bottom = (way(down) for way in apart[0]), down
        first = first + functional.interpolate(back[0](inner_first), scale_factor=2)
        second = second + functional.interpolate(back[1](inner_second), scale_factor=2)
        return first, second, bottom


def heads(features: int, stacks: int) -> nn.ModuleList:
    return nn.ModuleList([block(features) for _ in range(stacks)])


def norm_relu_layers(features: int, stacks: int) -> nn.ModuleList:
    return nn.ModuleList(
        [
            nn.Sequential(nn.Conv2d(features, features, 1, bias=False), nn.BatchNorm2d(features), nn.ReLU(inplace=True))
            for _ in range(stacks)
        ]
    )


def merges(features: int, inputs: list[int]) -> nn.ModuleList:
    return nn.ModuleList([nn.Conv2d(count, features, 1, bias=False) for count in inputs])


class SeedNet(nn.Module):
    """(N, 3, H, W) -> the last heat-maps, masks and encoding."""

    def __init__(self, features: int = 256, depth: int = 4, stacks: int = 2):
        super().__init__()
        self.conv1 = nn.Conv2d(3, features // 4, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(features // 4)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(Bottleneck(features // 4, features // 2))
        self.layer2 = nn.Sequential(Bottleneck(features // 2, features))
        self.layer3 = block(features)
        self.hg2b = nn.ModuleList([BisectedHourglass(features, depth) for _ in range(stacks)])
        self.res1, self.res2 = heads(features, stacks), heads(features, stacks)
        self.fc1, self.fc2 = norm_relu_layers(features, stacks), norm_relu_layers(features, stacks)
        self.hm = nn.ModuleList([nn.Conv2d(features, KEYPOINTS, 1) for _ in range(stacks)])
        self.mask = nn.ModuleList([nn.Conv2d(features, 1, 1) for _ in range(stacks)])
        between = stacks - 1
        self._fc1, self._fc2 = merges(features, [features] * between), merges(features, [features] * between)
        self._hm, self._mask = merges(features, [KEYPOINTS] * between), merges(features, [1] * between)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.relu(self.bn1(self.conv1(image)))
        x = functional.max_pool2d(self.layer1(x), 2, 2)
        x = self.layer3(self.layer2(x))
        heatmaps = mask = x
        for stack, hourglass in enumerate(self.hg2b):
            first, second, _ = hourglass(x)
            first = self.fc1[stack](self.res1[stack](first))
            second = self.fc2[stack](self.res2[stack](second))
            heatmaps, mask = self.hm[stack](first), self.mask[stack](second)
            if stack == len(self.hg2b) - 1:
                x = x + first + second
            else:
                x = x + self._fc1[stack](first) + self._fc2[stack](second)
                x = x + self._hm[stack](heatmaps) + self._mask[stack](mask)
        return heatmaps, mask, x


class LiftNet(nn.Module):
    """SeedNet's three outputs -> each stack's (u, v, d) (N, stacks, 21, 3) and depth maps (N, stacks, H, W)."""

    def __init__(self, features: int = 256, depth: int = 4, layers: tuple[int, ...] = (32, 64)):
        super().__init__()
        stacks = len(layers)
        self.layers = layers
        self._hm_prev, self._mask_prev = nn.Conv2d(KEYPOINTS, features, 1), nn.Conv2d(1, features, 1)
        self.hg3d2b = nn.ModuleList([BisectedHourglass(features, depth) for _ in range(stacks)])
        self.res1, self.res2 = heads(features, stacks), heads(features, stacks)
        self.fc1, self.fc2 = norm_relu_layers(features, stacks), norm_relu_layers(features, stacks)
        volumes = [KEYPOINTS * count for count in layers]
        self.hm3d = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(features, count, 1), nn.ReLU(inplace=True)) for count in volumes]
        )
        self.dep = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(features, 1, 1), nn.ReLU(inplace=True)) for _ in range(stacks)]
        )
        between = stacks - 1
        self._fc1, self._fc2 = merges(features, [features] * between), merges(features, [features] * between)
        self._hm3d, self._dep = merges(features, volumes[:-1]), merges(features, [1] * between)

    def forward(self, heatmaps: Tensor, mask: Tensor, encoding: Tensor) -> tuple[Tensor, Tensor]:
        x = self._hm_prev(heatmaps) + self._mask_prev(mask) + encoding
        uvds, depths = [], []
        for stack, hourglass in enumerate(self.hg3d2b):
            first, second, _ = hourglass(x)
            first = self.fc1[stack](self.res1[stack](first))
            second = self.fc2[stack](self.res2[stack](second))
            volumes, depth = self.hm3d[stack](first), self.dep[stack](second)
            uvds.append(integral(volumes, self.layers[stack]))
            depths.append(depth[:, 0])
            if stack < len(self.hg3d2b) - 1:
                x = x + self._fc1[stack](first) + self._fc2[stack](second)
                x = x + self._hm3d[stack](volumes) + self._dep[stack](depth)
        return torch.stack(uvds, 1), torch.stack(depths, 1)


def integral(volumes: Tensor, layers: int) -> Tensor:
    """(N, 21 layers, H, W), keypoint-major -> (N, 21, 3): the mean index under each volume over its axis's length."""
    n, _, h, w = volumes.shape
    volumes = volumes.reshape(n, KEYPOINTS, layers, h, w)
    shares = volumes / (volumes.sum((2, 3, 4), keepdim=True) + MASS_GUARD)
    ends = []
    for axes, length in (((2, 3), w), ((2, 4), h), ((3, 4), layers)):
        index = torch.arange(length, dtype=volumes.dtype, device=volumes.device)
        ends.append(shares.sum(axes) @ index / length)
    return torch.stack(ends, -1)


class Upstream(nn.Module):
    """(N, 3, H, W) -> LiftNet's outputs of SeedNet's."""

    def __init__(self, features: int = 256, depth: int = 4, layers: tuple[int, ...] = (32, 64)):
        super().__init__()
        self.seednet, self.liftnet = SeedNet(features, depth), LiftNet(features, depth, layers)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.liftnet(*self.seednet(image))
