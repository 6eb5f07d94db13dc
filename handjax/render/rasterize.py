"""Which face each pixel sees: a z-buffer over a static work list of (face, 8 x 8 block) rows. No gradient.

A face meets few blocks, so the list is short; a prefix sum makes it, and one scatter-max of packed (depth, face) keys
resolves it. That is 10 to 100 times fewer pixel tests than trying every face at every pixel.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from handjax.camera import MIN_DEPTH
from handjax.checks import check_shape
from handjax.render.view import as_float

BLOCK = 8
"""Pixels along a side of a block; the scatter writes whole blocks, which is what makes it fast."""

MAX_FACES = 2**19
"""Above this, fewer than 12 of the key's 31 bits would be left for depth."""


CHUNK = 512
"""Rows of the work list handled at once: their keys stay in a core's cache."""


class Raster(NamedTuple):
    """face_ids (H, W) int32, -1 where no face; overflow () bool: too many rows to count, and face_ids is empty."""

    face_ids: Array
    overflow: Array


def face_planes(pixels: Array, depth: Array, faces: Array) -> tuple[Array, Array]:
    """Screen-affine functions of each face: ((F, 9), twice the signed area (F,) in pixels).

    The nine: first vertex (2), gradient of the second and third barycentric (2 + 2), 1 / z at the first vertex and its
    gradient (1 + 2). 1 / z is affine on the screen, z is not. Everything is relative to the face's own first
    vertex: with absolute offsets slivers lose their float32 digits. Degenerate faces get zero gradients.
    """
    corners, inverse_depth = pixels[faces], (1.0 / jnp.maximum(depth, MIN_DEPTH))[faces]
    origin = corners[:, 0]
    edge1, edge2 = corners[:, 1] - origin, corners[:, 2] - origin
    area = edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0]
    # Both branches of `where` are differentiated: keep the unused one finite.
    solid = jnp.abs(area) > 1e-8
    scale = jnp.where(solid, 1.0 / jnp.where(solid, area, 1.0), 0.0)
    second_x, second_y = edge2[:, 1] * scale, -edge2[:, 0] * scale
    third_x, third_y = -edge1[:, 1] * scale, edge1[:, 0] * scale
    rise1, rise2 = inverse_depth[:, 1] - inverse_depth[:, 0], inverse_depth[:, 2] - inverse_depth[:, 0]
    planes = [
        *(origin[:, 0], origin[:, 1], second_x, second_y, third_x, third_y, inverse_depth[:, 0]),
        *(rise1 * second_x + rise2 * third_x, rise1 * second_y + rise2 * third_y),
    ]
    return jnp.stack(planes, axis=-1), area


@partial(jax.jit, static_argnames=("size",))
def rasterize(pixels: ArrayLike, depth: ArrayLike, faces: ArrayLike, size: tuple[int, int]) -> Raster:
    """Nearest face at every pixel centre of a `size` = (H, W) image; both sides of a face are seen.

    pixels (V, 2) projected vertices, depth (V,) metres, faces (F, 3). A centre on an edge belongs to both faces,
    so shared edges leave no holes. Faces with a vertex nearer than `MIN_DEPTH` (behind the camera) are left out whole.
    Depth is resolved to 2^-(31 - log2 F) of the range of 1 / z; within that, the higher face id wins.
    """
    check_shape("pixels", pixels, ("V", 2))
    check_shape("depth", depth, (np.shape(pixels)[0],))
    check_shape("faces", faces, ("F", 3))
    height, width = size
    if height <= 0 or width <= 0:
        raise ValueError(f"size must be (height, width) with both positive, got {size}")
    faces = jnp.asarray(faces, jnp.int32)
    if len(faces) > MAX_FACES:
        raise ValueError(f"faces must be at most {MAX_FACES}, got {len(faces)}")
    if len(faces) == 0:
        return Raster(jnp.full(size, -1, jnp.int32), jnp.array(False))
    pixels, depth = lax.stop_gradient((as_float(pixels), as_float(depth)))
    blocks_y, blocks_x = -(-height // BLOCK), -(-width // BLOCK)
    planes, area = face_planes(pixels, depth, faces)
    visible = (jnp.abs(area) > 1e-8) & (depth[faces] > MIN_DEPTH).all(axis=-1)
    first, last, visible = _block_range(pixels[faces], visible, blocks_x, blocks_y)
    count = jnp.where(visible, (last - first + 1).prod(axis=-1, dtype=jnp.int32), 0)
    overflow = count.astype(jnp.float32).sum() > 2.0**30
    end = jnp.cumsum(jnp.where(overflow, 0, count), dtype=jnp.int32)
    ranges = jnp.concatenate([first, last[:, :1] - first[:, :1] + 1, (end - count)[:, None]], axis=-1)
    table = jnp.concatenate([_edge_columns(pixels[faces], area), _level_columns(planes, depth)], axis=-1)

    def resolve(chunk: Array, nearest: Array) -> Array:
        row = chunk * CHUNK + jnp.arange(CHUNK, dtype=jnp.int32)
        face = jnp.searchsorted(end, row, side="right", method="scan").astype(jnp.int32)
        face = jnp.minimum(face, len(faces) - 1)
        first_x, first_y, wide, start = _take(ranges, face)
        block_x = first_x + (row - start) % wide
        block_y = first_y + (row - start) // wide
        keys = _block_keys(table, face, block_x * BLOCK, block_y * BLOCK)
        block = jnp.where(row < end[-1], block_y * blocks_x + block_x, blocks_y * blocks_x)
        return nearest.at[block].max(keys, mode="drop", wrap_negative_indices=False)

    nearest = jnp.full((blocks_y * blocks_x, BLOCK * BLOCK), -1, jnp.int32)
    nearest = lax.fori_loop(0, (end[-1] + CHUNK - 1) // CHUNK, resolve, nearest)
    nearest = nearest.reshape(blocks_y, blocks_x, BLOCK, BLOCK).swapaxes(1, 2)
    nearest = nearest.reshape(blocks_y * BLOCK, blocks_x * BLOCK)[:height, :width]
    return Raster(jnp.where(nearest < 0, -1, nearest & (2 ** _id_bits(len(faces)) - 1)), overflow)


def _id_bits(num_faces: int) -> int:
    return max((num_faces - 1).bit_length(), 1)


def _block_range(corners: Array, visible: Array, blocks_x: int, blocks_y: int) -> tuple[Array, Array, Array]:
    """Blocks (F, 2) from first to last whose pixel centres the face's bounding box holds, and who has any."""
    lowest = jnp.ceil(corners.min(axis=1) - 0.5)
    highest = jnp.floor(corners.max(axis=1) - 0.5)
    edge = jnp.array([[blocks_x * BLOCK, blocks_y * BLOCK]], jnp.float32)
    visible &= (highest >= lowest).all(axis=-1) & (highest >= 0).all(axis=-1) & (lowest < edge).all(axis=-1)
    # Clipped as floats: a far vertex may exceed the integers. NaN compares false above and is never used.
    first = jnp.clip(lowest, 0, edge - 1).astype(jnp.int32) // BLOCK
    last = jnp.clip(highest, 0, edge - 1).astype(jnp.int32) // BLOCK
    return first, last, visible


def _depth_levels(num_faces: int) -> float:
    # float32 counts integers exactly up to 2^24; more depth bits would be noise.
    return 2.0 ** min(31 - _id_bits(num_faces), 23) - 1


def _level_columns(planes: Array, depth: Array) -> Array:
    """(F, 5): first vertex, and the key's level of 1 / z there with its gradient."""
    in_front = depth > MIN_DEPTH
    inverse = 1.0 / jnp.where(in_front, depth, 1.0)
    lowest = jnp.where(in_front, inverse, jnp.inf).min()
    span = jnp.maximum(jnp.where(in_front, inverse, 0.0).max() - lowest, 1e-12)
    scale = _depth_levels(len(planes)) / span
    start = (planes[:, 6:7] - lowest) * scale
    return jnp.concatenate([planes[:, :2], start, planes[:, 7:] * scale], axis=-1)


def _edge_columns(corners: Array, area: Array) -> Array:
    """(F, 12): for each edge a point on it and the normal into the face.

    Each edge is taken from its left end to its right one, whichever face asks. Two faces that share it then compute
    the same number, one wants it >= 0 and the other <= 0, and no centre can fall between them by rounding.
    """
    columns = []
    for first, second in ((0, 1), (1, 2), (2, 0)):
        start, end = corners[:, first], corners[:, second]
        swap = (end[:, 0] < start[:, 0]) | ((end[:, 0] == start[:, 0]) & (end[:, 1] < start[:, 1]))
        start, end = jnp.where(swap[:, None], end, start), jnp.where(swap[:, None], start, end)
        sign = jnp.where(swap == (area < 0), 1.0, -1.0)
        columns += [start, jnp.stack([(start[:, 1] - end[:, 1]), end[:, 0] - start[:, 0]], axis=-1) * sign[:, None]]
    return jnp.concatenate(columns, axis=-1)


def _block_keys(table: Array, face: Array, left: Array, top: Array) -> Array:
    """(B, 64) int32: quantised 1 / z above the face id where the pixel centre is inside, -1 elsewhere."""
    row = [column[:, None] for column in _take(table, face)]
    offset = jnp.arange(BLOCK * BLOCK, dtype=jnp.int32)[None]
    x = (left[:, None] + offset % BLOCK).astype(table.dtype) + 0.5
    y = (top[:, None] + offset // BLOCK).astype(table.dtype) + 0.5
    edges = [row[k + 2] * (x - row[k]) + row[k + 3] * (y - row[k + 1]) for k in (0, 4, 8)]
    inside = jnp.minimum(jnp.minimum(edges[0], edges[1]), edges[2]) >= 0.0
    level = row[14] + row[15] * (x - row[12]) + row[16] * (y - row[13])
    bits = _id_bits(len(table))
    key = (jnp.clip(level, 0.0, _depth_levels(len(table))).astype(jnp.int32) << bits) | face[:, None]
    return jnp.where(inside, key, -1)


def _take(table: Array, face: Array) -> list[Array]:
    """Column by column: gathers of single numbers fuse with the arithmetic that follows, those of rows do not."""
    return [column.at[face].get(mode="promise_in_bounds", wrap_negative_indices=False) for column in table.T]
