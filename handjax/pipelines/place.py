"""The mesh of predicted rotations and shape, put where the predicted keypoints are."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from handjax import mano
from handjax.camera import WeakCamera, from_opencv_pixels, to_opencv_pixels
from handjax.mano import HandModel, HandParams
from handjax.models.handtailor import ROOT
from handjax.models.siknet import LENGTH_GUARD, REFERENCE_BONE, length


class PlacedHands(NamedTuple):
    """N right hands in the frames of their crops' cameras, metres; pixels of the crops.

    The mesh is `scale * mano.forward(model, params).vertices`. Scaling about the camera moves no pixel, so `params`
    alone are the hand of MANO's own size that looks the same. Where there was no camera, `weak` is one, middle MCP is
    the origin and `scale` is 1; else `weak` is None.
    """

    params: HandParams  # each field with a leading N
    scale: Array  # (N,)
    vertices: Array  # (N, V, 3)
    joints: Array  # (N, 21, 3) of the mesh
    predicted_joints: Array  # (N, 21, 3) what the mesh was made from
    keypoints_2d: Array  # (N, 21, 2) from the heat-maps
    weak: WeakCamera | None
    outputs: dict  # of the networks, by their names


class Mesh(NamedTuple):
    params: HandParams
    scale: Array
    vertices: Array
    joints: Array


def place_mesh(model: HandModel, betas: Array, axis_angle: Array, root: Array, bone: Array | None) -> Mesh:
    """(N, S), (N, 48) -> the hands whose middle MCP is at `root` (N, 3), `bone` (N,) metres from the wrist.

    Without `bone`, they are as large as betas say. Raises ValueError if `model` has other sizes.
    """
    origin = jnp.zeros((len(betas), 3))
    params = HandParams(betas, axis_angle[:, :3], axis_angle[:, 3:], origin)
    posed = mano.forward_batch(model, params)
    keypoints = mano.keypoints_of(model, posed)
    scale = jnp.ones(len(betas)) if bone is None else jnp.maximum(bone, LENGTH_GUARD) / bone_of(keypoints)
    transl = root / scale[:, None] - keypoints[:, ROOT]
    size, shift = scale[:, None, None], transl[:, None]
    return Mesh(params._replace(transl=transl), scale, size * (posed.vertices + shift), size * (keypoints + shift))


def bone_of(joints: Array) -> Array:
    """(N, 21, 3) -> (N,) wrist to middle MCP, kept above 1e-5 so that it divides."""
    start, end = REFERENCE_BONE
    return jnp.maximum(length(joints[:, start] - joints[:, end])[:, 0], LENGTH_GUARD)


def counted_from(center: Array, opencv_pixels: bool) -> Array:
    """A camera's centre as weights count pixels: with the first centre at (0, 0) if `opencv_pixels`."""
    return to_opencv_pixels(center) if opencv_pixels else center


def counted_to(pixels: Array, opencv_pixels: bool) -> Array:
    """Pixels as weights count them -> ours."""
    return from_opencv_pixels(pixels) if opencv_pixels else pixels
