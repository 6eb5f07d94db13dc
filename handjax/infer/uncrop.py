"""From a crop's frame back to the full image's: mirrored, turned and in its pixels."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from handjax.camera import (
    Camera,
    WeakCamera,
    apply_affine,
    crop_camera,
    invert_affine,
    mirror_camera,
    mirror_pixels,
    transl_from_weak,
)
from handjax.conventions import move_params
from handjax.mano import HandModel, HandParams, mirror_params, mirror_points
from handjax.pipelines import PlacedHands


class CropView(NamedTuple):
    """How B crops were cut: affine (B, 2, 3) from the full image, not mirrored; mirrored (B,) bool, whether they then
    were; the full images' camera, focal and center (B, 2)."""

    affine: Array
    mirrored: Array
    camera: Camera


class FullHands(NamedTuple):
    """B hands of their own sides in the full images' frames: see `InferredHands`."""

    params: HandParams
    scale: Array
    vertices: Array
    joints: Array
    predicted_joints: Array
    keypoints_2d: Array
    weak: WeakCamera | None


def network_camera(view: CropView, size: float) -> Camera:
    """The camera of the crops as the network sees them."""
    cropped, _ = crop_camera(view.camera, view.affine)
    return _where(view.mirrored, mirror_camera(cropped, size), cropped)


def to_full_image(model: HandModel, placed: PlacedHands, view: CropView, size: float) -> FullHands:
    """Hands of the network's side in their crops' frames -> hands of either side in the full images'.

    In scaled orthography, the hands are put at the distance at which the full camera sees them so.
    """
    _, turn = crop_camera(view.camera, view.affine)
    # Mirroring turns the sense of a rotation about the optical axis: the way back from it is `turn` itself.
    back = _where(view.mirrored, turn, turn.mT)
    weak, offset = None, jnp.zeros((len(back), 3))
    if placed.weak is not None:
        weak = _full_weak(placed.weak, view, size)
        offset = transl_from_weak(weak, view.camera)

    def points(values: Array) -> Array:
        turned = jnp.einsum("nij,nkj->nki", back, values, precision="highest")
        return _where(view.mirrored, mirror_points(turned), turned) + offset[:, None]

    params = move_params(model, placed.params, back, jnp.zeros_like(offset))
    params = _where(view.mirrored, mirror_params(params), params)
    return FullHands(
        params._replace(transl=params.transl + offset),
        placed.scale,
        points(placed.vertices),
        points(placed.joints),
        points(placed.predicted_joints),
        _full_pixels(placed.keypoints_2d, view, size),
        weak,
    )


def _full_weak(weak: WeakCamera, view: CropView, size: float) -> WeakCamera:
    zoom = jnp.sqrt(jnp.square(view.affine[:, :, 0]).sum(-1))
    return WeakCamera(weak.scale / zoom, _full_pixels(weak.translation, view, size))


def _full_pixels(pixels: Array, view: CropView, size: float) -> Array:
    upright = _where(view.mirrored, mirror_pixels(pixels, size), pixels)
    return apply_affine(invert_affine(view.affine), upright)


def _where(chosen: Array, ones, others):
    """Trees with a leading B: of `ones` where chosen (B,), else of `others`."""
    return jax.tree.map(
        lambda one, other: jnp.where(chosen.reshape(-1, *[1] * (one.ndim - 1)), one, other), ones, others
    )
