"""The hand module of HandTailor (Lv et al. 2021, "HandTailor: Towards High-Precision Monocular 3D Hand Recovery",
section 3.1): an image to keypoints, MANO's rotations and shape, and the root in space. The fit is `handjax.optim`."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.camera import Camera
from handjax.checks import check_last_axes
from handjax.models.check_image import check_image
from handjax.models.hourglass import ConvNormRelu, Hourglass, PostBottleneck, stem
from handjax.models.layers import Compute, Conv, Mlp, max_pool
from handjax.models.liftnet import DEPTH_RANGE, joints_from_uvd
from handjax.models.siknet import REFERENCE_BONE, length, relative_joints
from handjax.rotations import axis_angle_from_quaternion

ROOT = 9
"""The keypoint that is the root: the middle MCP."""

LEAST_MASS = 1e-12
"""Of a heat-map's sum, which sigmoids that underflow can leave at 0."""
LEAST_TILT = 1e-2
"""The reference bone counts as at least 6 degrees away from the optical axis."""
LEAST_SPAN = 1e-6
"""The reference bone counts as at least a thousandth of the image long."""


class Stacks(nn.Module):
    """Hourglasses one after the other: each one's sigmoid maps are joined to its features and both reduced again.

    -> the features (N, H, W, features) after the last and the maps (N, stacks, H, W, maps). `names` are those of the
    hourglasses and of the maps' convolutions. With `from_image` the input is (N, 4 H, 4 W, 3).
    """

    names: tuple[str, str]
    maps: int
    stacks: int = 2
    features: int = 256
    depth: int = 4
    from_image: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> tuple[Array, Array]:
        hourglass, head = self.names
        if self.from_image:
            x = stem(x, train, block=PostBottleneck, features=self.features, compute=self.compute)
        found = []
        for stack in range(self.stacks):
            (x,), _ = Hourglass(
                *(PostBottleneck, self.features, self.depth), compute=self.compute, name=f"{hourglass}.{stack}"
            )(x, train)
            x = PostBottleneck(self.features, compute=self.compute, name=f"res.{stack}.0")(x, train)
            found.append(nn.sigmoid(Conv(self.maps, compute=self.compute, name=f"{head}.{stack}")(x)))
            joined = jnp.concatenate([x, found[-1]], -1)
            x = ConvNormRelu(self.features, compute=self.compute, name=f"fc.{stack}")(joined, train)
        return x, jnp.stack(found, 1) if found else jnp.zeros((x.shape[0], 0, *x.shape[1:3], self.maps))


class PooledFeatures(nn.Module):
    """(N, H, W, C) -> (N, features): four times halved and through two bottlenecks, then the mean."""

    features: int = 512
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        for layer in range(1, 5):
            x = max_pool(x, window=3, stride=2, padding=1)
            for block in range(2):
                x = PostBottleneck(self.features, compute=self.compute, name=f"layer{layer}.{block}")(x, train)
        return x.astype(jnp.float32).mean((1, 2))


class HandNet(nn.Module):
    """(N, H, W, 3) RGB in [-0.5, 0.5] (square, 256 px as published) and its `camera` or None -> a dict, float32.

    `heatmaps_2d` (N, stacks, H/4, W/4, 21), of the first stacks, and `heatmaps`, `depths` of the later ones, all in
    (0, 1); `uvd` (N, 21, 3), see `integrate`; `quaternions` (N, 16, 4) and `axis_angle` (N, 48) in the parents' frames,
    from the flat hand; `betas` (N, 10); `bone` (N,) metres, by which depths are scaled, and `root_depth` (N,) metres.
    With a camera (the crop's): `joints` (N, 21, 3) metres by `liftnet.joints_from_uvd`, `root` (N, 3) and
    `bone_length` (N,), wrist to middle MCP of these joints, which the released code hands to the fit as its bone.
    Without: `joints` in reference bones and `scale` (N,), by `weak_joints`; `bone` and `root_depth` place nothing.

    With `predicts_bone` bone and root depth come out of sigmoids: below one metre. Without, as in the paper, `bone`
    must be given and the root's depth is predicted in bones. Raises ValueError for an image that is not float, not
    square or not of a multiple of 4 * 2^depth px, or a `bone` that is missing or not wanted.
    """

    stacks_2d: int = 2
    stacks_3d: int = 2
    features: int = 256
    depth: int = 4
    pooled_features: int = 512
    shape_widths: tuple[int, ...] = (512, 512, 1024, 1024, 512, 256)
    rotation_widths: tuple[int, ...] = (256, 512, 1024, 1024, 512, 256)
    predicts_bone: bool = True
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, image: Array, camera: Camera | None, bone: Array | None = None, *, train: bool = False
    ) -> dict[str, Array]:
        check_image(image, 4 * 2**self.depth)
        if image.shape[1] != image.shape[2]:
            raise ValueError(f"image must be square, got {image.shape[1]} x {image.shape[2]}")
        if self.predicts_bone == (bone is not None):
            raise ValueError(f"bone must be {'None: it is predicted' if self.predicts_bone else 'given, in metres'}")
        outputs = self._maps(image, train)
        features = outputs.pop("features")
        self.sow("intermediates", "features_last", features)
        outputs |= self._shape(features, bone, train)
        uvd = outputs["uvd"] = integrate(outputs["heatmaps"][:, -1], outputs["depths"][:, -1])
        if camera is None:
            outputs["joints"], outputs["scale"] = weak_joints(uvd)
        else:
            placed = joints_from_uvd(uvd, camera, outputs["bone"], outputs["root_depth"], image.shape[1])
            start, end = REFERENCE_BONE
            bone_length = length(placed[:, start] - placed[:, end])[:, 0]
            outputs |= {"joints": placed, "root": placed[:, ROOT], "bone_length": bone_length}
        return outputs | self._rotations(outputs["joints"], train)

    def _maps(self, image: Array, train: bool) -> dict[str, Array]:
        sizes = {"features": self.features, "depth": self.depth, "compute": self.compute}
        first = Stacks(("hg2b", "hm"), 21, self.stacks_2d, from_image=True, **sizes, name="hand3d.hand2d")
        later = Stacks(("hg3d2b", "hm3d"), 42, self.stacks_3d, **sizes, name="hand3d.hand2dto3d")
        x, heatmaps_2d = first(image, train)
        x, both = later(x, train)
        heatmaps, depths = jnp.split(both.astype(jnp.float32), 2, axis=-1)
        maps = {"features": x, "heatmaps": heatmaps, "depths": depths}
        return maps | ({"heatmaps_2d": heatmaps_2d.astype(jnp.float32)} if self.stacks_2d else {})

    def _shape(self, features: Array, bone: Array | None, train: bool) -> dict[str, Array]:
        pooled = PooledFeatures(self.pooled_features, self.compute, name="decoder")(features, train)
        widths = (*self.shape_widths, 12 if self.predicts_bone else 11)
        y = Mlp(widths, batch_norm=True, compute=self.compute, name="shapereg_layers")(pooled, train)
        y = y.astype(jnp.float32)
        if bone is None:
            return {"bone": nn.sigmoid(y[:, 0]), "root_depth": nn.sigmoid(y[:, 1]), "betas": y[:, 2:]}
        bone = jnp.broadcast_to(jnp.asarray(bone, jnp.float32), y.shape[:1])
        return {"bone": bone, "root_depth": y[:, 0] * bone, "betas": y[:, 1:]}

    def _rotations(self, joints: Array, train: bool) -> dict[str, Array]:
        relative = relative_joints(joints, joints[:, ROOT]).reshape(-1, 63)
        network = Mlp((*self.rotation_widths, 64), batch_norm=True, compute=self.compute, name="iknet.invk_layers")
        quaternions = network(relative, train).astype(jnp.float32).reshape(-1, 16, 4)
        return {"quaternions": quaternions, "axis_angle": axis_angle_from_quaternion(quaternions).reshape(-1, 48)}


PRESETS = {
    "tiny": HandNet(1, 1, features=16, depth=2, pooled_features=16, shape_widths=(16,), rotation_widths=(16,)),
    "small": HandNet(1, 1, 96, 4, 192, (256, 256), (256, 512, 512, 256)),
    "paper": HandNet(stacks_2d=0, predicts_bone=False),
    "released": HandNet(),
}
"""With other fields by `.clone(...)`. The paper describes one stacked hourglass, of whose maps none is 2D only."""


def integrate(heatmaps: Array, depths: Array) -> Array:
    """(N, H, W, K) heat-maps and depths in (0, 1) -> (N, K, 3): the mean u, v, d under each heat-map over its sum.

    A share of each axis, index / size. No soft-max: the background's mass draws the mean towards the centre.
    """
    n, h, w, k = heatmaps.shape
    v, u = jnp.meshgrid(jnp.arange(h) / h, jnp.arange(w) / w, indexing="ij")
    moments = jnp.stack([jnp.ones_like(u), u, v]).reshape(3, h * w)
    mass, u, v = jnp.einsum("mp,npk->mnk", moments, heatmaps.reshape(n, h * w, k), precision="highest")
    d = (heatmaps * depths).sum((1, 2))
    return jnp.stack([u, v, d], -1) / jnp.maximum(mass, LEAST_MASS)[..., None]


def weak_joints(uvd: Array) -> tuple[Array, Array]:
    """(..., 21, 3) shares -> keypoints (..., 21, 3) in reference bones, and `scale` (...), image sides per bone.

    Depth is 3 d bones. The scale is that by which wrist and middle MCP are one bone apart,
    scale^2 = (du^2 + dv^2) / (1 - dd^2), each sample's own. Where the bone points along the optical axis it is
    undefined (0 / 0, and the square root of a negative number beyond): 1 - dd^2 is kept above `LEAST_TILT` and
    du^2 + dv^2 above `LEAST_SPAN`. Nothing else changes; there the bone is just not one long, as the IK network allows.
    """
    check_last_axes("uvd", uvd, (21, 3))
    depth = DEPTH_RANGE * uvd[..., 2]
    start, end = REFERENCE_BONE
    span = jnp.square(uvd[..., start, :2] - uvd[..., end, :2]).sum(-1)
    tilt = 1 - jnp.square(depth[..., start] - depth[..., end])
    scale = jnp.sqrt(jnp.maximum(span, LEAST_SPAN) / jnp.maximum(tilt, LEAST_TILT))
    return jnp.concatenate([uvd[..., :2] / scale[..., None, None], depth[..., None]], -1), scale
