"""Keeping XLA on a CPU from computing a thing again for each pixel or colour that uses it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def once(key: jax.Array, compute: Callable[..., Any], *operands: Any) -> Any:
    """compute(*operands), as a branch that is always taken: what a branch returns is stored, not fused into its users.

    Without it, a colour out of a few powers and cosines is worked out for each pixel, five times the cost of an image.
    """
    shapes = jax.eval_shape(compute, *operands)

    def nothing(*_: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    return lax.cond(jax.random.uniform(key) < 2.0, compute, nothing, *operands)
