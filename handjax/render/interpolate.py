"""Vertex attributes at the pixels of a face-id image, perspective-correct and differentiable."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.camera import MIN_DEPTH
from handjax.checks import check_shape
from handjax.render.rasterize import face_planes
from handjax.render.view import as_float

FILL = {"mode": "fill", "fill_value": 0.0, "wrap_negative_indices": False}
DROP = {"mode": "drop", "wrap_negative_indices": False}
"""How pixels of no face read and write: past the end, where they find nothing and leave nothing."""


class Interpolated(NamedTuple):
    """attributes (H, W, C), depth (H, W) metres, mask (H, W) bool; both are 0 where no face is."""

    attributes: Array
    depth: Array
    mask: Array


@jax.jit
def interpolate(
    pixels: ArrayLike, depth: ArrayLike, faces: ArrayLike, face_ids: ArrayLike, attributes: ArrayLike
) -> Interpolated:
    """Attributes (V, C) of the vertices, or (F, 3, C) of the face corners, at every pixel of face_ids (H, W).

    pixels (V, 2), depth (V,) metres and faces (F, 3) as given to `rasterize`. At screen barycentrics l the value is
    sum(l a / z) / sum(l / z). Differentiable in pixels, depth and attributes for a given face_ids.
    """
    check_shape("pixels", pixels, ("V", 2))
    check_shape("faces", faces, ("F", 3))
    check_shape("face_ids", face_ids, ("H", "W"))
    faces, face_ids = jnp.asarray(faces, jnp.int32), jnp.asarray(face_ids, jnp.int32)
    corners = as_float(attributes)
    if corners.ndim == 2:
        check_shape("attributes", attributes, (np.shape(pixels)[0], "C"))
        corners = corners[faces]
    check_shape("attributes", corners, (faces.shape[0], 3, "C"))
    pixels, depth = as_float(pixels), as_float(depth)

    table = face_table(pixels, depth, faces, corners)
    channels, pixel_depth = read_image(table, face_ids)
    return Interpolated(jnp.stack(channels, axis=-1), pixel_depth, face_ids >= 0)


def face_table(pixels: Array, depth: Array, faces: Array, corners: Array) -> Array:
    """(F, 5 + 3 C): what `read_table` needs of each face with corner attributes (F, 3, C); C >= 1.

    First vertex (2), 1 / z there and its gradient (3), then attribute / z there (C), its slope in x (C) and in y (C).
    """
    planes, _ = face_planes(pixels, depth, faces)
    corners = corners / jnp.maximum(depth, MIN_DEPTH)[faces][..., None]
    rise = corners[:, 1:] - corners[:, :1]
    slope_x = rise[:, 0] * planes[:, 2:3] + rise[:, 1] * planes[:, 4:5]
    slope_y = rise[:, 0] * planes[:, 3:4] + rise[:, 1] * planes[:, 5:6]
    return jnp.concatenate([planes[:, :2], planes[:, 6:], corners[:, 0], slope_x, slope_y], axis=-1)


def read_table(table: Array, face_ids: Array, x: Array, y: Array) -> tuple[list[Array], Array]:
    """C channels and the depth, each of the shape of face_ids, at pixels x, y; 0 where no face is."""
    mask = face_ids >= 0
    # Background reads past the end, so that the transpose drops it instead of adding it to a face. Column by column
    # the gathers fuse with the arithmetic: on a CPU three times faster than one wide row a pixel.
    face = jnp.where(mask, face_ids, table.shape[0])
    columns = [column.at[face].get(**FILL) for column in table.T]
    x, y = x - columns[0], y - columns[1]
    depth = 1.0 / jnp.where(mask, columns[2] + columns[3] * x + columns[4] * y, 1.0)
    count = (len(columns) - 5) // 3
    starts, slopes_x, slopes_y = (columns[5 + k * count : 5 + (k + 1) * count] for k in range(3))
    planes = zip(starts, slopes_x, slopes_y, strict=True)
    return [(start + along_x * x + along_y * y) * depth for start, along_x, along_y in planes], depth * mask


def read_image(table: Array, face_ids: Array) -> tuple[list[Array], Array]:
    """`read_table` at the pixel centres of a whole picture of face ids (H, W)."""
    height, width = face_ids.shape
    x, y = jnp.arange(width, dtype=table.dtype) + 0.5, jnp.arange(height, dtype=table.dtype) + 0.5
    return read_table(table, face_ids, x[None, :], y[:, None])
