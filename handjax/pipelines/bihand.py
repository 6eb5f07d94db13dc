"""BiHand from the crop to the mesh (Yang et al. 2020, "BiHand: Recovering Hand Mesh with Multi-stage Bisected Hourglass
Networks"): SeedNet, LiftNet, SIKNet and the hand model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from handjax.camera import MIN_DEPTH, Camera, unproject
from handjax.checks import check_shape
from handjax.mano import HandModel
from handjax.models import liftnet, seednet, siknet
from handjax.models.handtailor import ROOT
from handjax.models.liftnet import DEPTH_MIN, DEPTH_RANGE, LiftNet, joints_from_uvd
from handjax.models.seednet import SeedNet
from handjax.models.siknet import REFERENCE_BONE, SIKNet, relative_joints
from handjax.pipelines.check_crops import check_bone, check_camera, check_crops, check_finite
from handjax.pipelines.place import PlacedHands, counted_from, counted_to, place_mesh

LEAST_SPAN = 1e-6
"""Squared tangent of the angle that the reference bone spans in the picture, from which its distance is solved."""


@dataclasses.dataclass(frozen=True)
class BiHand:
    """The three networks. Their variables are a dict of these names."""

    seednet: SeedNet
    liftnet: LiftNet
    siknet: SIKNet


PRESETS = {
    name: BiHand(seednet.PRESETS[name], liftnet.PRESETS[name], siknet.PRESETS[name])
    for name in ("tiny", "small", "paper", "released")
}


def run_bihand(
    networks: BiHand,
    variables: Mapping[str, Any],
    model: HandModel,
    image: Array,
    camera: Camera | None,
    bone: Array,
    *,
    root: Array | None = None,
    root_depth: Array | None = None,
    opencv_pixels: bool = True,
) -> PlacedHands:
    """Crops (N, S, S, 3) of right hands, RGB in [-0.5, 0.5] (256 px as published) -> their meshes.

    Args:
      variables: of `seednet`, `liftnet` and `siknet`.
      model: a right hand.
      camera: of the crops, focal and center (N, 2).
      bone: (N,) metres from wrist to middle MCP: one picture does not tell how large a hand is.
      root: (N, 3) metres, the middle MCP, as the published evaluation gives it. By default the predicted one, at
        `root_depth` (N,) metres, which where None or NaN comes from `root_depth_of`.
      opencv_pixels: the weights count pixels from a first centre at (0, 0), as the published ones do; False for those
        that were trained with pixels counted as this library counts them.

    Raises ValueError for a missing camera, wrong shapes, images out of range, or `root` and `root_depth` together.
    """
    check_crops(image)
    count, size = image.shape[:2]
    if camera is None:
        raise ValueError("camera must be given: BiHand places keypoints by it, got None")
    check_camera(camera, count)
    check_bone(bone, count)
    if missing := [field.name for field in dataclasses.fields(networks) if field.name not in variables]:
        raise ValueError(f"variables must hold those of {', '.join(missing)}, got {sorted(variables)}")
    if root_depth is not None:
        check_shape("root_depth", root_depth, (count,))
        if root is not None:
            raise ValueError("root_depth must be None where root is given: it is root[:, 2]")
    if root is not None:
        check_shape("root", root, (count, 3))
        check_finite("root", root)
        root_depth = jnp.asarray(root, jnp.float32)[:, 2]
    bone = jnp.asarray(bone, jnp.float32)
    counted = camera._replace(center=counted_from(camera.center, opencv_pixels))
    outputs = _upstream(networks, variables, image)
    uvd = outputs["liftnet"]["uvd"][:, -1]
    depth = _depth(uvd, counted, bone, root_depth, size)
    predicted = joints_from_uvd(uvd, counted, bone, depth, size)
    root = predicted[:, ROOT] if root is None else jnp.asarray(root, jnp.float32)
    found: Any = networks.siknet.apply(variables["siknet"], relative_joints(predicted, root))
    mesh = place_mesh(model, found["betas"], found["axis_angle"], root, bone)
    keypoints = counted_to(uvd[..., :2] * size, opencv_pixels)
    return PlacedHands(*mesh, predicted, keypoints, None, outputs | {"siknet": found})


def root_depth_of(uvd: Array, camera: Camera, bone: Array, size: float) -> Array:
    """(N, 21, 3) of LiftNet -> the root's depth (N,) metres at which wrist and middle MCP are `bone` (N,) apart.

    Of the two solutions the farther one (Iqbal et al. 2018, "Hand Pose Estimation via Latent 2.5D Heatmap Regression",
    eqs. 4-7). Where the bone spans next to no angle, or is deeper than it is long, the nearest finite answer; never
    nearer than would put one of both behind the camera. `camera` counts pixels as the network does.
    """
    ends = uvd[:, jnp.array(REFERENCE_BONE)]
    rays = unproject(camera, ends[..., :2] * size, 1.0)
    deep = DEPTH_RANGE * ends[..., 2] + DEPTH_MIN
    across = rays[:, 0] - rays[:, 1]
    along = rays[:, 0] * deep[:, :1] - rays[:, 1] * deep[:, 1:]
    # |z across + along| = 1, all in bones.
    span = jnp.maximum((across * across).sum(-1), LEAST_SPAN)
    half = (across * along).sum(-1)
    inside = half * half - span * ((along * along).sum(-1) - 1)
    real = inside > 0
    far = (-half + jnp.where(real, jnp.sqrt(jnp.where(real, inside, 1.0)), 0.0)) / span
    # The gradient of `min` looks for its result among what may be computed anew, and rounded differently.
    nearer = jnp.where(deep[:, 0] < deep[:, 1], deep[:, 0], deep[:, 1])
    return bone * jnp.maximum(far, MIN_DEPTH - nearer)


def _depth(uvd: Array, camera: Camera, bone: Array, given: Array | None, size: float) -> Array:
    if given is None:
        return root_depth_of(uvd, camera, bone, size)
    given = jnp.asarray(given, jnp.float32)
    return jnp.where(jnp.isnan(given), root_depth_of(uvd, camera, bone, size), given)


def _upstream(networks: BiHand, variables: Mapping[str, Any], image: Array) -> dict[str, Any]:
    seed: Any = networks.seednet.apply(variables["seednet"], image)
    mask = seed["mask"][:, -1] if networks.seednet.silhouette else None
    lift = networks.liftnet.apply(variables["liftnet"], seed["heatmaps"][:, -1], mask, seed["encoding"])
    return {"seednet": seed, "liftnet": lift}
