"""A mesh before a camera as pictures with true gradients, at outlines and where one part hides another too."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer
from jax.typing import ArrayLike

from handjax.camera import Camera, WeakCamera
from handjax.checks import check_shape
from handjax.render.contours import Contours, attach, blend, default_room, find_contours
from handjax.render.harmonics import BANDS, lit_channels
from handjax.render.interpolate import face_table, read_image
from handjax.render.rasterize import Raster, face_planes, rasterize
from handjax.render.scene import SKIN
from handjax.render.shade import vertex_normals
from handjax.render.topology import Topology
from handjax.render.view import View, as_float, view

MOST_CROSSINGS = 2**20
"""Above this, fewer than 11 of the 31 bits that choose among the crossings of one pixel pair would be left."""


class Maps(NamedTuple):
    """image (H, W, 3); mask (H, W) covered share of the pixel; depth (H, W) metres; normals (H, W, 3) unit, of the side
    that is seen; face_ids (H, W) int32; overflow () bool. Where nothing is, depth and normals are 0 and ids -1.

    image and mask are antialiased; depth, normals and face_ids are those of the pixel's centre.
    """

    image: Array
    mask: Array
    depth: Array
    normals: Array
    face_ids: Array
    overflow: Array


class Silhouette(NamedTuple):
    """mask (H, W): antialiased share of the pixel that is covered, in [0, 1]; overflow () bool."""

    mask: Array
    overflow: Array


class DepthMap(NamedTuple):
    """depth (H, W) metres at the pixel's centre, 0 where nothing is; mask (H, W) antialiased; overflow () bool."""

    depth: Array
    mask: Array
    overflow: Array


class Antialiased(NamedTuple):
    """channels (H, W, C); overflow () bool."""

    channels: Array
    overflow: Array


def draw_maps(
    camera: Camera | WeakCamera,
    vertices: ArrayLike,
    topology: Topology,
    colors: ArrayLike | None = None,
    harmonics: ArrayLike | None = None,
    *,
    size: tuple[int, int],
    background: ArrayLike = 0.0,
    crossings: int | None = None,
) -> Maps:
    """Draws a mesh (V, 3) metres in the camera frame; see `silhouette` for gradients, limits and errors.

    colors: (3,) or (V, 3) albedo, `SKIN` if None. harmonics: (27,) light, see `lit_by_harmonics`; None leaves colours
    as they are. background: a number, (3,) or (H, W, 3). Several meshes are drawn as one: `merge_meshes`.

    Under a WeakCamera depth is z itself, of any sign: see `face_ids` for where the mesh is.
    """
    size = _check(camera, vertices, topology, size, crossings)
    if colors is not None:
        check_shape("colors", colors, (np.shape(vertices)[0], 3) if np.ndim(colors) == 2 else (3,))
    if harmonics is not None:
        check_shape("harmonics", harmonics, (3 * BANDS,))
    if np.ndim(background):
        check_shape("background", background, (*size, 3) if np.ndim(background) == 3 else (3,))
    drawn = _draw_maps(
        *(camera, as_float(vertices), topology, SKIN if colors is None else colors, harmonics, background),
        size=size,
        room=crossings or default_room(size),
    )
    return _unless_overflow(drawn)


def silhouette(
    camera: Camera | WeakCamera,
    vertices: ArrayLike,
    topology: Topology,
    *,
    size: tuple[int, int],
    crossings: int | None = None,
) -> Silhouette:
    """The share of each pixel of a `size` = (H, W) picture that a mesh (V, 3) metres in the camera frame covers.

    Differentiable in vertices and camera. Gradients come from where contours cross rows or columns of pixel centres,
    and are exact for those crossings; where two faces cut through each other away from any edge there is none.
    `crossings` is the room for crossings, 16 max(H, W) by default, four times what a hand needs.

    Faces with a vertex nearer than `MIN_DEPTH`, or behind the camera, are left out whole; a WeakCamera has no such
    limit. float64 vertices are drawn in float64, all else in float32. One mesh a call; for many, `jax.lax.map` on a
    CPU, where it is about twice as fast as `jax.vmap`, and `jax.vmap` elsewhere.

    Raises TypeError for another camera or topology, ValueError for wrong shapes, faces of vertices that do not
    exist, vertices that are not finite, OverflowError when crossings or covered blocks exceed their room. Inside jit
    values cannot be checked: broken vertices draw nothing, and `overflow` is to be read.
    """
    size = _check(camera, vertices, topology, size, crossings)
    drawn = _silhouette(camera, as_float(vertices), topology, size=size, room=crossings or default_room(size))
    return _unless_overflow(drawn)


def depth_map(
    camera: Camera | WeakCamera,
    vertices: ArrayLike,
    topology: Topology,
    *,
    size: tuple[int, int],
    crossings: int | None = None,
) -> DepthMap:
    """Depth in metres of the nearest face at each pixel's centre, and the antialiased mask; see `silhouette`.

    depth is never mixed from two surfaces, yet has their gradient where one hides the other. It has none where
    nothing is behind: there the mask has.
    """
    size = _check(camera, vertices, topology, size, crossings)
    drawn = _depth_map(camera, as_float(vertices), topology, size=size, room=crossings or default_room(size))
    return _unless_overflow(drawn)


def antialias(
    channels: ArrayLike,
    camera: Camera | WeakCamera,
    vertices: ArrayLike,
    topology: Topology,
    face_ids: ArrayLike,
    *,
    crossings: int | None = None,
) -> Antialiased:
    """Channels (H, W, C), drawn at the face ids (H, W) of `draw_maps`, mixed across contours; see `silhouette`.

    Gives any picture of the mesh, shaded by whatever means, its gradient at outlines. Differentiable in channels too.
    Depth to be mixed comes from `interpolate`: that of `draw_maps` has the gradient where one part hides another.
    """
    check_shape("channels", channels, ("H", "W", "C"))
    size = _check(camera, vertices, topology, np.shape(channels)[:2], crossings)
    check_shape("face_ids", face_ids, size)
    room = crossings or default_room(size)
    drawn = _antialias(as_float(channels), camera, as_float(vertices), topology, jnp.asarray(face_ids), room=room)
    return _unless_overflow(drawn)


@partial(jax.jit, static_argnames=("size", "room"))
def _draw_maps(camera, vertices, topology, colors, harmonics, background, *, size, room) -> Maps:
    seen, raster, contours = _look(camera, vertices, topology, size, room)
    normals = _seen_normals(seen, vertices, topology)
    colors = jnp.broadcast_to(jnp.asarray(colors, vertices.dtype), vertices.shape)[topology.faces]
    channels, depth = _read(seen, topology, raster.face_ids, jnp.concatenate([colors, normals], axis=-1))
    covered = raster.face_ids >= 0
    lit, normal = channels[:3], _unit(channels[3:], covered)
    if harmonics is not None:
        lit = lit_channels(lit, normal, as_float(harmonics))
    background = jnp.broadcast_to(jnp.asarray(background, vertices.dtype), (*size, 3))
    lit = [jnp.where(covered, color, background[..., axis]) for axis, color in enumerate(lit)]
    image = _on_flat(blend, [*lit, covered.astype(vertices.dtype)], contours)
    surface = _on_flat(attach, [depth, *normal], _between_surfaces(contours, raster.face_ids))
    overflow = raster.overflow | contours.overflow
    normals = jnp.stack(surface[1:], axis=-1)
    return Maps(jnp.stack(image[:3], axis=-1), image[3], surface[0], normals, raster.face_ids, overflow)


@partial(jax.jit, static_argnames=("size", "room"))
def _silhouette(camera, vertices, topology, *, size, room) -> Silhouette:
    _, raster, contours = _look(camera, vertices, topology, size, room)
    return Silhouette(_mask(raster, contours, vertices.dtype), raster.overflow | contours.overflow)


@partial(jax.jit, static_argnames=("size", "room"))
def _depth_map(camera, vertices, topology, *, size, room) -> DepthMap:
    seen, raster, contours = _look(camera, vertices, topology, size, room)
    _, depth = _read(seen, topology, raster.face_ids, None)
    depth = _on_flat(attach, [depth], _between_surfaces(contours, raster.face_ids))[0]
    mask = _mask(raster, contours, vertices.dtype)
    return DepthMap(depth, mask, raster.overflow | contours.overflow)


@partial(jax.jit, static_argnames=("room",))
def _antialias(channels, camera, vertices, topology, face_ids, *, room) -> Antialiased:
    contours = find_contours(view(camera, vertices), topology, face_ids, room)
    blended = _on_flat(blend, list(jnp.moveaxis(channels, -1, 0)), contours)
    return Antialiased(jnp.stack(blended, axis=-1), contours.overflow)


def _look(camera, vertices, topology, size, room) -> tuple[View, Raster, Contours]:
    seen = view(camera, vertices)
    raster = rasterize(seen.pixels, _ordering_depth(seen), topology.faces, size)
    return seen, raster, find_contours(seen, topology, raster.face_ids, room)


def _ordering_depth(seen: View) -> Array:
    """A depth whose inverse is the nearness; behind the near plane it is 0."""
    in_front = seen.nearness > 0
    return jnp.where(in_front, 1.0 / jnp.where(in_front, seen.nearness, 1.0), 0.0)


def _read(seen: View, topology: Topology, face_ids: Array, corners: Array | None) -> tuple[list[Array], Array]:
    """Corner attributes (F, 3, C) at the pixels, a list of C arrays (H, W), and the depth (H, W)."""
    depth = seen.depth[topology.faces][..., None]
    corners = depth if corners is None else jnp.concatenate([corners, depth], axis=-1)
    table = face_table(seen.pixels, 1.0 / seen.weights, jnp.asarray(topology.faces), corners)
    channels, _ = read_image(table, face_ids)
    return channels[:-1], channels[-1]


def _seen_normals(seen: View, vertices: Array, topology: Topology) -> Array:
    """(F, 3, 3): normals at the corners, turned to the side of the face that the camera sees."""
    seen, faces = lax.stop_gradient(seen), jnp.asarray(topology.faces)
    _, area = face_planes(seen.pixels, seen.depth, faces)
    # With y down, faces that are counter-clockwise seen from outside turn the other way on the screen.
    return vertex_normals(vertices, faces)[faces] * jnp.where(area < 0, 1.0, -1.0)[:, None, None]


def _unit(vector: list[Array], known: Array) -> list[Array]:
    square = sum(axis * axis for axis in vector)
    known = known & (square > 1e-12)
    shrink = jnp.where(known, lax.rsqrt(jnp.where(known, square, 1.0)), 0.0)
    return [axis * shrink for axis in vector]


def _mask(raster: Raster, contours: Contours, dtype) -> Array:
    return _on_flat(blend, [(raster.face_ids >= 0).astype(dtype)], contours)[0]


def _between_surfaces(contours: Contours, face_ids: Array) -> Contours:
    """Without the cuts that have no surface behind them."""
    ids, nowhere = face_ids.reshape(-1), face_ids.size
    behind = ids.at[contours.behind].get(mode="fill", fill_value=-1, wrap_negative_indices=False) >= 0
    front, back = (jnp.where(behind, pixel, nowhere) for pixel in (contours.front, contours.behind))
    return contours._replace(front=front, behind=back)


def _on_flat(change: Callable, channels: list[Array], contours: Contours) -> list[Array]:
    """Pictures (H, W), changed by `blend` or `attach`."""
    return [flat.reshape(channels[0].shape) for flat in change([channel.reshape(-1) for channel in channels], contours)]


def _check(camera, vertices, topology, size, crossings) -> tuple[int, int]:
    if not isinstance(camera, Camera | WeakCamera):
        raise TypeError(f"camera must be a Camera or a WeakCamera, got {type(camera).__name__}")
    names = ("focal", "center") if isinstance(camera, Camera) else ("scale", "translation")
    for name, value, shape in zip(
        names, camera, [(2,), (2,)] if isinstance(camera, Camera) else [(), (2,)], strict=True
    ):
        check_shape(f"camera.{name}", value, shape)
    if not isinstance(topology, Topology):
        raise TypeError(f"topology must be made by handjax.render.topology, got {type(topology).__name__}")
    check_shape("vertices", vertices, ("V", 3))
    if not isinstance(topology.faces, Tracer) and np.max(topology.faces) >= np.shape(vertices)[0]:
        raise ValueError(f"vertices must be at least {np.max(topology.faces) + 1}, got {np.shape(vertices)[0]}")
    if not isinstance(vertices, Tracer) and not np.isfinite(np.asarray(vertices)).all():
        raise ValueError("vertices must be finite, got NaN or infinite ones")
    if len(size) != 2 or min(size) <= 0:
        raise ValueError(f"size must be (height, width) with both positive, got {tuple(size)}")
    if crossings is not None and not 0 < crossings <= MOST_CROSSINGS:
        raise ValueError(f"crossings must be from 1 to {MOST_CROSSINGS}, got {crossings}")
    return int(size[0]), int(size[1])


def _unless_overflow(drawn: Any) -> Any:
    if not isinstance(drawn.overflow, Tracer) and np.any(drawn.overflow):
        raise OverflowError(
            "contours cross more pixels than there is room for, or faces cover too many blocks: "
            "give more crossings, or draw a smaller picture"
        )
    return drawn
