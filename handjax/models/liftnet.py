"""LiftNet of BiHand (Yang et al. 2020, section 3.1): what SeedNet found, lifted to keypoints in 3D and a depth map."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.camera import Camera, unproject
from handjax.checks import check_last_axes, check_shape
from handjax.models.hourglass import BisectedStack
from handjax.models.layers import Compute, Conv
from handjax.models.volume import PointwiseParameters, normalised_volumes, read_volumes

DEPTH_RANGE = 3.0
DEPTH_MIN = -1.5
"""Depth d in [0, 1] stands for DEPTH_RANGE * d + DEPTH_MIN reference bones behind the root (wrist to middle MCP)."""


class LiftNet(nn.Module):
    """SeedNet's last `heatmaps` (N, H, W, keypoints), `mask` (N, H, W) and `encoding` (N, H, W, features) -> a dict.

    `uvd` (N, stacks, keypoints, 3): soft-argmax of each stack's volume, a share of each axis in [0, 1) for
    `joints_from_uvd`; `depth` (N, stacks, H, W) of the hand's surface, unless `depth_map` is False: the hourglasses
    then have one branch; `latent`, the last hourglass's bottom. `volume_depths` is 32, then 64 layers as published.
    `mask` is None for a network without `silhouette`. Raises ValueError if an input has another shape.
    """

    volume_depths: tuple[int, ...] = (32, 64)
    features: int = 256
    depth: int = 4
    keypoints: int = 21
    silhouette: bool = True
    depth_map: bool = True
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, heatmaps: Array, mask: Array | None, encoding: Array, *, train: bool = False
    ) -> dict[str, Array]:
        self._check(heatmaps, mask, encoding)
        x = Conv(self.features, compute=self.compute, name="_hm_prev")(heatmaps) + encoding.astype(self.compute.dtype)
        if self.silhouette and mask is not None:
            x = x + Conv(self.features, compute=self.compute, name="_mask_prev")(mask[..., None])
        block = BisectedStack("hg3d2b", self.features, self.depth, 1 + self.depth_map, self.compute)
        uvds, depths = [], []
        latent = x
        for stack, layers in enumerate(self.volume_depths):
            last = stack == len(self.volume_depths) - 1
            features, latent = block.features_of(stack, x, train)
            head = self._pointwise(self.keypoints * layers, f"hm3d.{stack}.0", True)(self.features)
            merge = None if last else self._pointwise(self.features, f"_hm3d.{stack}", False)(self.keypoints * layers)
            uvd, merged = read_volumes(features[0], head, merge, layers)
            uvds.append(uvd)
            if self.is_mutable_collection("intermediates"):
                self.sow("intermediates", f"heatmaps3d_stack{stack}", normalised_volumes(features[0], head, layers))
            maps = {}
            if self.depth_map:
                depths.append(nn.relu(Conv(1, compute=self.compute, name=f"dep.{stack}.0")(features[1])))
                maps["_dep"] = depths[-1]
            if merged is not None:
                x = block.merged(stack, x, features, maps) + merged
        outputs = {"uvd": jnp.stack(uvds, 1), "latent": latent}
        if self.depth_map:
            outputs["depth"] = jnp.stack(depths, 1)[..., 0]
        return {name: output.astype(self.compute.wide) for name, output in outputs.items()}

    def _pointwise(self, features: int, name: str, use_bias: bool) -> PointwiseParameters:
        return PointwiseParameters(features, use_bias, self.compute, name=name)

    def _check(self, heatmaps: Array, mask: Array | None, encoding: Array) -> None:
        check_shape("heatmaps", heatmaps, (None, None, None, self.keypoints))
        n, h, w, _ = heatmaps.shape
        if h % 2**self.depth or w % 2**self.depth:
            raise ValueError(f"heatmaps must have sides that are multiples of {2**self.depth}, got {h} x {w}")
        check_shape("encoding", encoding, (n, h, w, self.features))
        if self.silhouette != (mask is not None):
            raise ValueError(f"mask must {'be given' if self.silhouette else 'be None'}: silhouette={self.silhouette}")
        if mask is not None:
            check_shape("mask", mask, (n, h, w))


PRESETS = {
    "tiny": LiftNet(volume_depths=(8, 16), features=16, depth=2),
    "small": LiftNet(volume_depths=(16, 32), features=88),
    "paper": LiftNet(),
    "released": LiftNet(),
}
"""With other fields by `.clone(...)`."""


def joints_from_uvd(uvd: Array, camera: Camera, bone: Array, root_depth: Array, size: float) -> Array:
    """(..., K, 3) shares -> (..., K, 3) metres in the camera's frame.

    Depth is (3 d - 1.5) `bone` + `root_depth` (..., metres: the reference bone's length and the root's depth), pixels
    are (u, v) `size`, the crop's side; `camera` is the crop's. A network counts pixels as its training data did: where
    their first centre was at (0, 0), give a camera whose centre is shifted by -0.5.
    """
    check_last_axes("uvd", uvd, (3,))
    bone, root_depth = jnp.asarray(bone)[..., None], jnp.asarray(root_depth)[..., None]
    depth = (DEPTH_RANGE * uvd[..., 2] + DEPTH_MIN) * bone + root_depth
    return unproject(camera, uvd[..., :2] * size, depth)
