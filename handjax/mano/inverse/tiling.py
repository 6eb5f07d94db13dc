"""Many hands in small groups: a solver stops when the slowest of its group does, and a group fits a core's cache."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

Arrays = TypeVar("Arrays")
Result = TypeVar("Result")

TILE = 16


def in_tiles(run: Callable[[Arrays], Result], arrays: Arrays, tile: int = TILE) -> Result:
    """Applies `run` to B hands, `tile` at a time; every array in and out has a leading B. The last group is filled
    up with copies of the last hand."""
    batch = jax.tree.leaves(arrays)[0].shape[0]
    if batch <= tile:
        return run(arrays)
    tiles = -(-batch // tile)

    def cut(array):
        filled = jnp.pad(array, [(0, tiles * tile - batch)] + [(0, 0)] * (array.ndim - 1), mode="edge")
        return filled.reshape(tiles, tile, *array.shape[1:])

    done = jax.lax.map(run, jax.tree.map(cut, arrays))
    return jax.tree.map(lambda array: array.reshape(tiles * tile, *array.shape[2:])[:batch], done)
