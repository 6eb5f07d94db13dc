"""Meshes before a camera -> a picture with its mask, depth and face ids."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from handjax.camera import Camera, project
from handjax.checks import check_shape
from handjax.render.interpolate import interpolate
from handjax.render.rasterize import face_planes, rasterize
from handjax.render.shade import SOFT_LIGHT, Light, shade, vertex_normals

SKIN = np.array([0.86, 0.68, 0.58], np.float32)

INSIDE_SHADE = 0.55
"""Colour factor of faces seen from behind: the inside of an open wrist."""


class RenderOutput(NamedTuple):
    """image (H, W, 3) in [0, 1]; mask (H, W) share of the pixel that is covered; depth (H, W) metres, 0 = none.

    face_ids (H, W) int32, -1 = none. depth and face_ids are those of the pixel centre whatever the supersampling.
    overflow () bool: see `rasterize`.
    """

    image: Array
    mask: Array
    depth: Array
    face_ids: Array
    overflow: Array


class Scene(NamedTuple):
    """Several meshes as one: vertices (V, 3), faces (F, 3), face_mesh (F,) int32 index of the mesh of each face."""

    vertices: Array
    faces: Array
    face_mesh: Array


def merge_meshes(vertices: Sequence[ArrayLike] | Array, faces: Sequence[ArrayLike] | ArrayLike) -> Scene:
    """N meshes -> one: vertices N times (V_i, 3), faces N times (F_i, 3) or one (F, 3) array for all of them."""
    meshes = [jnp.asarray(mesh, jnp.float32) for mesh in vertices]
    if not meshes:
        raise ValueError("vertices must hold at least one mesh, got none")
    topologies = list(faces) if isinstance(faces, list | tuple) else [faces] * len(meshes)
    if len(topologies) != len(meshes):
        raise ValueError(f"faces must be one (F, 3) or one per mesh ({len(meshes)}), got {len(topologies)}")
    for mesh, topology in zip(meshes, topologies, strict=True):
        check_shape("vertices", mesh, ("V", 3))
        check_shape("faces", topology, ("F", 3))
    starts = np.cumsum([0] + [len(mesh) for mesh in meshes[:-1]]).tolist()
    merged = [jnp.asarray(topology, jnp.int32) + start for topology, start in zip(topologies, starts, strict=True)]
    owner = np.repeat(np.arange(len(meshes), dtype=np.int32), [len(topology) for topology in merged])
    return Scene(jnp.concatenate(meshes), jnp.concatenate(merged), jnp.asarray(owner))


def mesh_mask(face_ids: ArrayLike, face_mesh: ArrayLike) -> Array:
    """(H, W) face ids, (F,) mesh of each face -> (H, W) int8: 0 background, mesh + 1 elsewhere."""
    face_ids, face_mesh = jnp.asarray(face_ids, jnp.int32), jnp.asarray(face_mesh, jnp.int32)
    return jnp.where(face_ids >= 0, face_mesh[jnp.maximum(face_ids, 0)] + 1, 0).astype(jnp.int8)


def render(
    camera: Camera,
    vertices: ArrayLike,
    faces: ArrayLike,
    colors: ArrayLike = SKIN,
    *,
    size: tuple[int, int],
    light: Light = SOFT_LIGHT,
    background: ArrayLike = 0.0,
    supersample: int = 1,
) -> RenderOutput:
    """Draws a mesh (V, 3) metres in the camera frame, (F, 3) faces, as a `size` = (H, W) picture.

    colors: (3,) or (V, 3) in [0, 1]. background: a number, (3,) or (H, W, 3). `supersample` is the number of samples
    along a pixel's side. Compiled once per (H, W, F, V, supersample). Insides of open meshes are drawn darker.
    Raises ValueError for wrong shapes, TypeError for a WeakCamera (see `transl_from_weak`), OverflowError when the
    mesh covers more blocks than the rasteriser can count; inside jit read `overflow` instead.
    """
    if not isinstance(camera, Camera):
        raise TypeError(f"camera must be a Camera, got {type(camera).__name__}")
    check_shape("vertices", vertices, ("V", 3))
    check_shape("faces", faces, ("F", 3))
    if np.ndim(colors) == 2:
        check_shape("colors", colors, (np.shape(vertices)[0], 3))
    else:
        check_shape("colors", colors, (3,))
    if np.ndim(background) == 3:
        check_shape("background", background, (*size, 3))
    elif np.ndim(background) != 0:
        check_shape("background", background, (3,))
    if supersample < 1:
        raise ValueError(f"supersample must be at least 1, got {supersample}")
    # One number becomes three: fewer variants to compile.
    background = jnp.broadcast_to(jnp.asarray(background, jnp.float32), (3,) if np.ndim(background) < 2 else (*size, 3))
    arguments = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (camera, vertices, colors, light, background))
    output = _render(*arguments, jnp.asarray(faces, jnp.int32), tuple(size), supersample)
    if not isinstance(output.overflow, Tracer) and output.overflow:
        raise OverflowError(f"faces cover too many blocks of a {size} picture; render it in parts")
    return output


@partial(jax.jit, static_argnames=("size", "supersample"))
def _render(camera, vertices, colors, light, background, faces, size, supersample) -> RenderOutput:
    pixels, depth = project(camera, vertices), vertices[:, 2]
    fine = rasterize(pixels * supersample, depth, faces, (size[0] * supersample, size[1] * supersample))
    corners = shading_corners(pixels, vertices, faces, colors)
    surface = interpolate(pixels * supersample, depth, faces, fine.face_ids, corners)
    lit = shade(surface.attributes[..., :3], surface.attributes[..., 3:], light)

    fine_mask = surface.mask[..., None]
    coverage = _mean_of_blocks(fine_mask.astype(jnp.float32), supersample)
    image = _mean_of_blocks(jnp.where(fine_mask, lit, 0.0), supersample)
    image += (1.0 - coverage) * jnp.broadcast_to(background, image.shape)
    if supersample == 1:
        return RenderOutput(image, coverage[..., 0], surface.depth, fine.face_ids, fine.overflow)
    centers = rasterize(pixels, depth, faces, size)
    at_centers = interpolate(pixels, depth, faces, centers.face_ids, depth[:, None])
    overflow = fine.overflow | centers.overflow
    return RenderOutput(image, coverage[..., 0], at_centers.depth, centers.face_ids, overflow)


def shading_corners(pixels: Array, vertices: Array, faces: Array, colors: ArrayLike) -> Array:
    """(F, 3, 6): normal towards the viewer and colour at each face corner; insides are darkened."""
    _, area = face_planes(pixels, vertices[:, 2], faces)
    # With y down, faces that are counter-clockwise seen from outside turn the other way on the screen.
    outside = (area < 0)[:, None, None]
    normals = vertex_normals(vertices, faces)[faces] * jnp.where(outside, 1.0, -1.0)
    colors = jnp.broadcast_to(jnp.asarray(colors, jnp.float32), vertices.shape)[faces]
    return jnp.concatenate([normals, colors * jnp.where(outside, 1.0, INSIDE_SHADE)], axis=-1)


def _mean_of_blocks(values: Array, side: int) -> Array:
    """(s H, s W, C) -> (H, W, C)."""
    height, width, channels = values.shape
    return values.reshape(height // side, side, width // side, side, channels).mean(axis=(1, 3))
