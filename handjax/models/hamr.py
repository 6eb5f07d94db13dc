"""A hand mesh from a crop by iterative regression (Zhang et al., "End-to-end hand mesh recovery from a monocular RGB
image", ICCV 2019, HAMR), with the parameter names of the authors' code.

A stacked hourglass draws heat-maps, an encoder makes one vector of them and of the stem's features, and a regressor
improves the camera, the pose and the shape a few times. `handjax.models.hamr_decode` makes a hand of these numbers.
"""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from handjax.checks import check_choice
from handjax.models.check_image import check_image
from handjax.models.layers import BatchNorm, Compute, Conv, Mlp, max_pool, upsample

KEYPOINTS = 21
CAMERA = 3
"""scale, x, y: `hamr_decode.weak_camera`."""

STEM_STRIDE = 4


class Hamr(nn.Module):
    """(N, size, size, 3) -> dict of float32 arrays.

    heatmaps (N, stacks, size/4, size/4, maps); features (N, encoder[-1]); camera (N, 3); global_orient (N, 3), pca
    (N, pca) and betas (N, betas), or joints (N, 21, 3) without a mesh.

    image: RGB in [-0.5, 0.5]; neither paper nor code says which. Training needs a "dropout" key.
    Of the authors' regressor no weights and no names are published: `regressor.0`, `.3`, `.6` are ours.
    Raises ValueError for another image or a size that the encoder does not bring to one pixel.
    """

    size: int = 256  # pixels along the side of the crop; four times 2 to the number of encoder layers
    stem: tuple[int, int, int, int] = (64, 128, 128, 256)  # channels of its convolutions, the last the hourglass's
    growth: int = 128  # channels more at each level of the hourglass
    levels: int = 4
    stacks: int = 2
    maps: int = 64  # heat-maps a stack, the first 21 of them trained
    pool: str = "average"  # in the hourglass, or "max"
    batch_norm: bool = True  # after the 3 x 3 convolutions of stem and hourglass; the encoder always has it
    encoder: tuple[int, ...] = (320, 320, 320, 640, 1280, 2048)
    hidden: int = 2048  # of the regressor
    dropout: float = 0.4
    iterations: int = 3  # 0: the encoder alone
    pca: int = 6  # pose coefficients
    betas: int = 10
    mesh: bool = True  # False: 21 joints are regressed instead of pose and shape
    start_camera: tuple[float, float, float] = (1.0, 0.0, 0.0)  # where the iteration starts; all else starts at 0
    camera_scale: float = 9.0  # the scale for which the network says 1: a hand of 0.18 m fills 80 % of the crop
    compute: Compute = Compute()

    @property
    def numbers(self) -> dict[str, int]:
        """What the regressor puts out, in order: 22 numbers in the paper, 28 in the code."""
        if not self.mesh:
            return {"camera": CAMERA, "joints": 3 * KEYPOINTS}
        return {"camera": CAMERA, "global_orient": 3, "pca": self.pca, "betas": self.betas}

    @nn.compact
    def __call__(self, image: Array, train: bool = False) -> dict[str, Array]:
        if self.size != STEM_STRIDE * 2 ** len(self.encoder):
            raise ValueError(f"size must be 4 * 2^len(encoder), got {self.size} and {self.encoder}")
        check_choice("pool", self.pool, ("average", "max"))
        check_image(image, size=self.size)
        stemmed = self._stem(image, train)
        heatmaps = self._stacked_hourglass(stemmed, train)
        x = jnp.concatenate([stemmed, heatmaps[-1]], -1)
        last = len(self.encoder) - 1
        for number, channels in enumerate(self.encoder):
            name, inner = f"fe.conv.{number}", number < last
            x = self._conv(x, channels, 3, name, train, stride=2, relu=inner, batch_norm=inner)
        features = x.reshape(len(x), -1)
        numbers = self._iterate(features, train)
        outputs = {"heatmaps": jnp.stack(heatmaps, 1), "features": features, **self._named(numbers)}
        return {name: value.astype(jnp.float32) for name, value in outputs.items()}

    def _stem(self, image: Array, train: bool) -> Array:
        first, second, third, fourth = self.stem
        norm = self.batch_norm
        x = self._conv(image, first, 7, "hg.pre.0", train, stride=2, batch_norm=norm)
        x = max_pool(self._conv(x, second, 3, "hg.pre.1", train, batch_norm=norm))
        x = self._conv(x, third, 3, "hg.pre.3", train, batch_norm=norm)
        return self._conv(x, fourth, 3, "hg.pre.4", train, batch_norm=norm)

    def _stacked_hourglass(self, x: Array, train: bool) -> list[Array]:
        width, heatmaps = x.shape[-1], []
        for stack in range(self.stacks):
            y = self._hourglass(x, self.levels, f"hg.features.{stack}.0", train)
            y = self._conv(y, width, 3, f"hg.features.{stack}.1", train)
            y = self._conv(y, width, 3, f"hg.features.{stack}.2", train)
            heatmaps.append(self._conv(y, self.maps, 1, f"hg.outs.{stack}", train, relu=False))
            if stack < self.stacks - 1:
                x = x + self._conv(heatmaps[-1], width, 1, f"hg.merge_preds.{stack}.conv", train, relu=False)
                x = x + self._conv(y, width, 1, f"hg.merge_features.{stack}.conv", train, relu=False)
        return heatmaps

    def _hourglass(self, x: Array, levels: int, name: str, train: bool) -> Array:
        width, norm = x.shape[-1], self.batch_norm
        inner = width + self.growth
        skip = self._conv(x, width, 3, f"{name}.up1", train, batch_norm=norm)
        halved = max_pool(x) if self.pool == "max" else nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        low = self._conv(halved, inner, 3, f"{name}.low1", train, batch_norm=norm)
        if levels > 1:
            low = self._hourglass(low, levels - 1, f"{name}.low2", train)
        else:
            low = self._conv(low, inner, 3, f"{name}.low2", train, batch_norm=norm)
        return skip + upsample(self._conv(low, width, 3, f"{name}.low3", train))

    def _iterate(self, features: Array, train: bool) -> Array:
        """HMR's regressor (Kanazawa et al. 2018, section 3.2): what to add, from the features and what there is."""
        total = sum(self.numbers.values())
        start = jnp.zeros(total).at[:CAMERA].set(jnp.array(self.start_camera))
        # In float32 whatever the activations: a sum of small steps.
        numbers = jnp.broadcast_to(start, (len(features), total))
        widths = (self.hidden, self.hidden, total)
        regressor = Mlp(widths, dropout=self.dropout, compute=self.compute, name="regressor")
        for _ in range(self.iterations):
            step = regressor(jnp.concatenate([features.astype(jnp.float32), numbers], -1), train)
            numbers = numbers + step.astype(jnp.float32)
        return numbers

    def _named(self, numbers: Array) -> dict[str, Array]:
        ends = np.cumsum(list(self.numbers.values()))[:-1]
        named = dict(zip(self.numbers, jnp.split(numbers, ends, axis=-1), strict=True))
        return {name: part.reshape(-1, KEYPOINTS, 3) if name == "joints" else part for name, part in named.items()}

    def _conv(
        self, x: Array, features: int, kernel: int, name: str, train: bool, *, stride=1, relu=True, batch_norm=False
    ) -> Array:
        """Convolution, ReLU, batch norm: in this order, unlike most networks."""
        y = Conv(features, kernel, stride, compute=self.compute, name=f"{name}.conv")(x)
        y = nn.relu(y) if relu else y
        return BatchNorm(compute=self.compute, name=f"{name}.bn")(y, train) if batch_norm else y


PRESETS = {
    "tiny": Hamr(
        size=32, stem=(8, 8, 8, 16), growth=4, levels=2, maps=24, encoder=(24, 24, 32), hidden=32, dropout=0.1
    ),
    "small": Hamr(
        size=128, stem=(32, 64, 64, 96), growth=32, stacks=1, maps=32, encoder=(128, 128, 160, 224, 320), hidden=512
    ),
    "paper": Hamr(),
    "released": Hamr(
        pool="max",
        batch_norm=False,
        hidden=1024,
        dropout=0.5,
        pca=12,
        start_camera=(1.0, 1.0, 1.0),
        camera_scale=1.0,
    ),
}
"""With other fields by `.clone(...)`."""
