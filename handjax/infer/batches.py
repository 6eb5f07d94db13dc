"""Rows of any number through a compiled function of one batch size."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def in_batches(
    function: Callable[[Any], Any], rows: Sequence[Callable[[], Any]], example: Callable[[], Any], size: int
) -> Any:
    """`function` of all rows, stacked `size` at a time, as NumPy arrays with a row for each.

    A row is made when its batch comes; what is missing in the last batch are copies that are left out again. `example`
    makes a row of the same shapes, for a result without rows. All batches are sent off before one is read.
    """
    if not rows:
        batch = jax.tree.map(lambda array: jax.ShapeDtypeStruct((size, *array.shape), array.dtype), example())
        shapes = jax.eval_shape(function, batch)
        return jax.tree.map(lambda array: np.zeros((0, *array.shape[1:]), array.dtype), shapes)
    parts = []
    for first in range(0, len(rows), size):
        made = [row() for row in rows[first : first + size]]
        kept = len(made)
        made += [made[-1]] * (size - kept)
        batch = jax.tree.map(lambda *arrays: jnp.stack(arrays), *made)
        parts.append((function(batch), kept))
    fetched = [jax.tree.map(lambda array, kept=kept: np.asarray(array)[:kept], part) for part, kept in parts]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *fetched)
