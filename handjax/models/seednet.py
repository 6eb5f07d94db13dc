"""SeedNet of BiHand (Yang et al. 2020, "BiHand: Recovering Hand Mesh with Multi-stage Bisected Hourglass Networks"):
an image to the heat-maps of 21 keypoints and the hand's silhouette."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.models.check_image import check_image
from handjax.models.hourglass import BisectedStack, PreBottleneck, stem
from handjax.models.layers import Compute, Conv


class SeedNet(nn.Module):
    """(N, H, W, 3) RGB in [-0.5, 0.5] (256 px as published) -> a dict of float32 arrays at a quarter of the size.

    `heatmaps` (N, stacks, H/4, W/4, keypoints), linear; `mask` (N, stacks, H/4, W/4), logits, unless `silhouette` is
    False: the hourglasses then have one branch; `encoding` (N, H/4, W/4, features), what LiftNet goes on from.
    Raises ValueError if the image is not float, or its sides are not multiples of 4 * 2^depth.
    """

    stacks: int = 2
    features: int = 256
    depth: int = 4
    keypoints: int = 21
    silhouette: bool = True
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, image: Array, *, train: bool = False) -> dict[str, Array]:
        check_image(image, 4 * 2**self.depth)
        block = BisectedStack("hg2b", self.features, self.depth, 1 + self.silhouette, self.compute)
        x = stem(image, train, block=PreBottleneck, features=self.features, compute=self.compute)
        heatmaps, masks = [], []
        for stack in range(self.stacks):
            features, _ = block.features_of(stack, x, train)
            heatmaps.append(Conv(self.keypoints, compute=self.compute, name=f"hm.{stack}")(features[0]))
            maps = {"_hm": heatmaps[-1]}
            if self.silhouette:
                masks.append(Conv(1, compute=self.compute, name=f"mask.{stack}")(features[1]))
                maps["_mask"] = masks[-1]
            last = stack == self.stacks - 1
            x = sum(features, x) if last else block.merged(stack, x, features, maps)
            self.sow("intermediates", f"encoding_stack{stack}", x)
        outputs = {"heatmaps": jnp.stack(heatmaps, 1), "encoding": x}
        if self.silhouette:
            outputs["mask"] = jnp.stack(masks, 1)[..., 0]
        return {name: output.astype(self.compute.wide) for name, output in outputs.items()}


PRESETS = {
    "tiny": SeedNet(features=16, depth=2),
    "small": SeedNet(features=88),
    "paper": SeedNet(),
    "released": SeedNet(),
}
"""Other fields by `PRESETS["paper"].clone(compute=Compute(jnp.bfloat16))`. `small`, with LiftNet's, takes less than
1 GMAC for a crop of 128 px."""
