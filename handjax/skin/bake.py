"""Layers baked into the atlas: from a function of the rest position to a picture."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from handjax.checks import check_choice
from handjax.mano import HandModel
from handjax.render import interpolate, rasterize
from handjax.skin.atlas import chart
from handjax.skin.frame import HandFrame, hand_frame, rest_surface
from handjax.skin.layers import SkinLayers, skin_layers
from handjax.skin.place import place
from handjax.skin.texture import MASKS, SkinTexture, pack

SIZES = (128, 256, 512, 1024)
GUTTER_TEXELS = 6
BORDER_FACING = 0.45
"""Faces of the other chart whose normals turn away by less than this cosine are drawn beyond the border."""
TEXELS_AT_ONCE = 8192


def bake_skin(model: HandModel, size: int = 512, seed: int = 0) -> SkinTexture:
    """The layers of one skin (palm lines, veins, freckles of person `seed`), for every hand of this atlas.

    Takes a second or two; `SkinParams` then colour it for each hand at no further cost. Left hands use the same one.
    Raises ValueError for a model without MANO's joints or a size other than 128, 256, 512, 1024.
    """
    check_choice("size", size, SIZES)
    frame = hand_frame(model)
    surface = _surface_in_atlas(model, frame, size)
    covered = np.flatnonzero(np.abs(surface[:, 3:]).sum(axis=1) > 0.0)
    padded = np.pad(covered, (0, -len(covered) % TEXELS_AT_ONCE), mode="edge")
    layers = _layers_of(frame, surface[padded], seed)[: len(covered)]
    pictures = np.zeros((len(SkinLayers._fields), size * size), np.float32)
    pictures[:, covered] = np.asarray(layers).T
    pictures = pictures.reshape(-1, size, size)
    return pack(jnp.asarray(np.concatenate([pictures[: len(MASKS)], *_slopes(pictures[len(MASKS) :], frame)])))


def _surface_in_atlas(model: HandModel, frame: HandFrame, size: int) -> np.ndarray:
    """(size^2, 6): rest position and normal at each texel, zeros where there is no skin within the gutter."""
    points, normals = rest_surface(model, frame)
    spots = place(frame, jnp.asarray(points, jnp.float32), jnp.asarray(normals, jnp.float32))
    faces, facing = np.asarray(model.faces), np.asarray(spots.facing)
    towards = facing[faces].sum(axis=1)
    pieces, depths = [], []
    for palm in (False, True):
        own = (towards < 0.0) == palm
        near = ~own & (np.abs(facing[faces]).max(axis=1) < BORDER_FACING)
        for chosen, depth in ((own, 1.0), (near, 2.0)):
            corners = np.concatenate([chart(frame, spots, palm), points, normals], axis=1)[faces[chosen]]
            pieces.append(corners.reshape(-1, 8))
            depths.append(np.full(3 * chosen.sum(), depth))
    corners, depth = np.concatenate(pieces).astype(np.float32), np.concatenate(depths).astype(np.float32)
    triangles = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    pixels = corners[:, :2] * size
    ids = rasterize(pixels, depth, triangles, (size, size)).face_ids
    drawn = interpolate(pixels, depth, triangles, ids, corners[:, 2:])
    return np.asarray(_spread(drawn.attributes, drawn.mask)).reshape(-1, 6)


@jax.jit
def _spread(values: Array, known: Array) -> Array:
    """(H, W, C), (H, W) -> the same with unknown texels near known ones filled by their neighbours' mean."""

    def grow(_, state):
        values, known = state
        total, count = jnp.zeros_like(values), jnp.zeros(known.shape)
        for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
            beside = jnp.roll(known, shift, axis)
            total += jnp.where(beside[..., None], jnp.roll(values, shift, axis), 0.0)
            count += beside
        filled = total / jnp.maximum(count, 1.0)[..., None]
        return jnp.where(known[..., None], values, filled), known | (count > 0)

    values, _ = lax.fori_loop(0, GUTTER_TEXELS, grow, (values, known))
    return values


def _layers_of(frame: HandFrame, surface: np.ndarray, seed: int) -> Array:
    return _layers_in_chunks(jax.tree.map(jnp.asarray, frame), jnp.asarray(surface), seed)


@jax.jit
def _layers_in_chunks(frame: HandFrame, surface: Array, seed: ArrayLike) -> Array:
    def some(rows: Array) -> Array:
        normals = rows[:, 3:] / jnp.maximum(jnp.linalg.norm(rows[:, 3:], axis=-1, keepdims=True), 1e-6)
        return jnp.stack(skin_layers(frame, rows[:, :3], normals, seed), axis=-1)

    return lax.map(some, surface.reshape(-1, TEXELS_AT_ONCE, 6)).reshape(len(surface), -1)


def _slopes(heights: np.ndarray, frame: HandFrame) -> list[np.ndarray]:
    """(2, H, W) mm -> per height two pictures, along u and v, in metres per unit of uv."""
    metres = heights / frame.scale
    size = heights.shape[-1]
    across, down = (np.gradient(metres, 1.0 / size, axis=axis) for axis in (2, 1))
    return [slope[k : k + 1] for k in range(2) for slope in (np.asarray(across), np.asarray(down))]
