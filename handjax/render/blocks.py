"""Painting only the blocks of a picture that something covers, some of them at a time: a hand covers few of them."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from handjax.render.rasterize import BLOCK


def to_blocks(picture: Array) -> Array:
    """(H, W), multiples of 8 -> (H W / 64, 64), block by block and row by row within each."""
    height, width = picture.shape
    return picture.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK * BLOCK)


def from_blocks(blocks: Array, size: tuple[int, int]) -> Array:
    """The inverse of `to_blocks` for a picture of `size` = (H, W)."""
    height, width = size
    return blocks.reshape(height // BLOCK, width // BLOCK, BLOCK, BLOCK).swapaxes(1, 2).reshape(height, width)


def paint_covered(
    picture: Array, ids: Array, width: int, paint: Callable[[Array, Array, Array], Array], at_once: int
) -> Array:
    """Blocks (B, 64) of a picture `width` pixels wide, painted where ids (B, 64) are not negative; the rest stays.

    paint: ids (n, 64) and whole pixel coordinates x and y (n, 64) -> (n, 64) of the picture's type; one integer a pixel
    keeps it a single loop. `at_once` is n. No gradient.
    """
    spare, columns = len(ids), width // BLOCK
    at_once = min(at_once, spare)
    covered = (ids >= 0).any(axis=1)
    blocks = jnp.nonzero(covered, size=spare + at_once, fill_value=spare)[0].astype(jnp.int32)
    offset = jnp.arange(BLOCK * BLOCK)[None]

    def some(step: Array, picture: Array) -> Array:
        block = lax.dynamic_slice(blocks, (step * at_once,), (at_once,))
        mine = ids.at[block].get(mode="fill", fill_value=-1, wrap_negative_indices=False)
        x = (block % columns)[:, None] * BLOCK + offset % BLOCK
        y = (block // columns)[:, None] * BLOCK + offset // BLOCK
        before = picture.at[block].get(mode="fill", fill_value=0, wrap_negative_indices=False)
        painted = jnp.where(mine >= 0, paint(mine, x, y), before)
        return picture.at[block].set(painted, mode="drop", wrap_negative_indices=False)

    return lax.fori_loop(0, (covered.sum() + at_once - 1) // at_once, some, picture)
