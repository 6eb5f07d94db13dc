"""One implementation for NumPy in float64 and for jax under jit: the array module follows the arguments."""

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def same_kind(*arrays) -> tuple[ModuleType, tuple[Any, ...]]:
    """-> (jnp, jax arrays) if any of them is a jax array, else (np, float64 arrays). Masks go to `mask_like`."""
    if any(isinstance(array, jax.Array) for array in arrays):
        return jnp, tuple(jnp.asarray(array, jnp.result_type(float)) for array in arrays)
    return np, tuple(np.asarray(array, np.float64) for array in arrays)


def mask_like(xp: ModuleType, valid, shape: tuple[int, ...]):
    """The bool array of `shape` that `valid` is or spreads to from the left; all True for None.

    Raises ValueError if it does not fit.
    """
    if valid is None:
        return xp.ones(shape, bool)
    valid = xp.asarray(valid, bool)
    if valid.shape != shape[: valid.ndim]:
        raise ValueError(f"valid must have shape {shape} or its first axes, got {valid.shape}")
    return xp.broadcast_to(valid.reshape(valid.shape + (1,) * (len(shape) - valid.ndim)), shape)


def masked_mean(xp: ModuleType, values, valid, axis: int | tuple[int, ...] | None = -1):
    """The mean of what is valid along `axis`; nan where nothing is. What is not valid may hold anything."""
    count = xp.sum(valid, axis=axis)
    total = xp.sum(xp.where(valid, values, 0.0), axis=axis)
    return xp.where(count > 0, total / xp.where(count > 0, count, 1), xp.nan)


def length(xp: ModuleType, vectors):
    """(..., d) -> (...)"""
    return xp.sqrt(xp.sum(vectors * vectors, axis=-1))
