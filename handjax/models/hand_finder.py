"""The network of the default model that finds hands: a centre map over the whole picture, read cell by cell.

The single-stage design of the multi-hand network (Ren, Zhu and Zhang 2023, section 3.2), for a laptop: what it reads at
a centre is the box of the hand's keypoints and its side; `models.crop_hand` looks at each.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.models.check_image import check_image
from handjax.models.layers import Compute, Conv, upsample
from handjax.models.light import ConvNorm, Residual, patches
from handjax.models.multihand import PRIOR_BIAS
from handjax.models.multihand_decode import find_peaks

STRIDE = 8
"""Pixels of a cell."""
MULTIPLE = 32
USUAL_SIDE_PX = 64.0
"""Longer side of a hand's box before training."""
LONGEST_LOG = 4.0
"""A box is at most exp(this) times longer, so that nothing overflows."""


class HandFinder(nn.Module):
    """(N, H, W, 3) RGB in [-0.5, 0.5], sides multiples of 32 -> dict of maps (N, H/8, W/8, ...), float32.

    centers (..., 1): logits; offsets (..., 2): from the cell's centre to that of the box around the keypoints, in
    cells; sides_px (...): its longer side; right (...): the logit of a right hand. Raises ValueError for another image.
    """

    widths: tuple[int, int, int, int] = (16, 48, 96, 160)  # at 4, 8, 16 and 32 px a cell
    blocks: tuple[int, int, int, int] = (1, 2, 2, 2)  # on the way down
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, image: Array, train: bool = False) -> dict[str, Array]:
        check_image(image, MULTIPLE)
        x = ConvNorm(self.widths[0], compute=self.compute, name="stem")(patches(image, 4), train)
        x, skips = self._residuals(x, 0, train), []
        for level in (1, 2, 3):
            x = ConvNorm(self.widths[level], 1, compute=self.compute, name=f"down{level}")(patches(x, 2), train)
            x = self._residuals(x, level, train)
            skips.append(x)
        for level in (2, 1):
            y = ConvNorm(self.widths[level], 1, compute=self.compute, name=f"up{level}")(x, train)
            x = Residual(compute=self.compute, name=f"merged{level}")(upsample(y) + skips[level - 1], train)
        x = ConvNorm(self.widths[1], compute=self.compute, name="last")(x, train)
        bias = nn.initializers.constant(PRIOR_BIAS)
        centers = Conv(1, compute=self.compute, bias_init=bias, name="centers")(x).astype(jnp.float32)
        numbers = Conv(4, compute=self.compute, name="boxes")(x).astype(jnp.float32)
        sides = USUAL_SIDE_PX * jnp.exp(jnp.clip(numbers[..., 2], -LONGEST_LOG, LONGEST_LOG))
        return {"centers": centers, "offsets": numbers[..., :2], "sides_px": sides, "right": numbers[..., 3]}

    def _residuals(self, x: Array, level: int, train: bool) -> Array:
        for block in range(self.blocks[level]):
            x = Residual(compute=self.compute, name=f"down{level}.{block}")(x, train)
        return x


PRESETS = {
    "tiny": HandFinder(widths=(8, 16, 24, 32), blocks=(1, 1, 1, 1)),
    "small": HandFinder(),
    "paper": HandFinder(widths=(48, 128, 256, 384), blocks=(2, 3, 3, 3)),
}
"""paper: none is; the size for a GPU."""


class FoundHands(NamedTuple):
    """K slots, best first: valid (K,) bool; scores (K,); centers (K, 2) and sides_px (K,) of square boxes, px of the
    network's picture; right (K,) in [0, 1], that it is a right hand."""

    valid: Array
    scores: Array
    centers: Array
    sides_px: Array
    right: Array


def read_hands(outputs: dict[str, Array], *, count: int = 10, threshold: float = 0.3) -> FoundHands:
    """Outputs for one picture, without the batch axis -> its hands: peaks of the centre map and what is read there.

    Raises ValueError as `multihand_decode.find_peaks`.
    """
    peaks = find_peaks(outputs["centers"], count, threshold, window=3)
    column, row = peaks.cells[:, 0], peaks.cells[:, 1]
    centers = STRIDE * (peaks.cells + 0.5 + outputs["offsets"][row, column])
    return FoundHands(
        *(peaks.valid, peaks.scores, centers, outputs["sides_px"][row, column]),
        jax.nn.sigmoid(outputs["right"][row, column]),
    )
