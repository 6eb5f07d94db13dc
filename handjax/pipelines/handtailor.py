"""HandTailor's hand module from the crop to the mesh (Lv et al. 2021, "HandTailor: Towards High-Precision Monocular 3D
Hand Recovery", section 3.1); the fit that follows it there is `handjax.optim`."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from handjax.camera import Camera, WeakCamera
from handjax.mano import HandModel
from handjax.models.handtailor import ROOT, HandNet
from handjax.pipelines.check_crops import check_bone, check_camera, check_crops
from handjax.pipelines.place import PlacedHands, bone_of, counted_from, counted_to, place_mesh


def run_handtailor(
    network: HandNet,
    variables: Mapping[str, Any],
    model: HandModel,
    image: Array,
    camera: Camera | None,
    bone: Array | None = None,
    *,
    opencv_pixels: bool = True,
) -> PlacedHands:
    """Crops (N, S, S, 3) of right hands, RGB in [-0.5, 0.5] (256 px as published) -> their meshes.

    Args:
      model: a right hand.
      camera: of the crops, focal and center (N, 2). The mesh then stands at the predicted root and is as large as the
        predicted keypoints. None: scaled orthography, a hand of the size that betas say, `weak` its camera.
      bone: (N,) metres from wrist to middle MCP, for a network that does not predict it.
      opencv_pixels: the weights count pixels from a first centre at (0, 0), as the published ones do; False for those
        that were trained with pixels counted as this library counts them.

    Raises ValueError for wrong shapes, images out of range, or a `bone` that is missing or not wanted.
    """
    check_crops(image)
    count, size = image.shape[:2]
    counted = None
    if camera is not None:
        check_camera(camera, count)
        counted = camera._replace(center=counted_from(camera.center, opencv_pixels))
    if bone is not None:
        check_bone(bone, count)
    outputs: Any = network.apply(variables, image, counted, bone)
    keypoints = counted_to(outputs["uvd"][..., :2] * size, opencv_pixels)
    predicted, weak = outputs["joints"], None
    if camera is not None:
        mesh = place_mesh(model, outputs["betas"], outputs["axis_angle"], outputs["root"], outputs["bone_length"])
    else:
        mesh = place_mesh(model, outputs["betas"], outputs["axis_angle"], jnp.zeros((count, 3)), None)
        own = bone_of(mesh.joints)
        predicted = (predicted - predicted[:, ROOT, None]) * own[:, None, None]
        weak = WeakCamera(outputs["scale"] * size / own, keypoints[:, ROOT])
    return PlacedHands(*mesh, predicted, keypoints, weak, {"handnet": outputs})
