"""Blur, loss of resolution and sharpening along one axis as matrices; a picture takes one product for each axis."""

import jax.numpy as jnp
from jax import Array


def gaussian(side: int, sigma: Array) -> Array:
    """(side, side): blur of `sigma` pixels, 0 for none; the border's weights are shared out over what is inside."""
    place = jnp.arange(side, dtype=jnp.float32)
    weights = jnp.exp(-0.5 * ((place[:, None] - place[None]) / jnp.maximum(sigma, 0.05)) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)


def low_resolution(side: int, share: Array) -> Array:
    """(side, side): the mean over round(share side) wide pixels, and back by linear interpolation."""
    count = jnp.clip(jnp.round(share * side), 2, side)
    wide = side / count
    start = jnp.arange(side, dtype=jnp.float32)
    # Row k: how much of each pixel lies in the k-th wide one. Rows from `count` on are empty, and not read below.
    end = jnp.minimum((start[:, None] + 1.0) * wide, start[None] + 1.0)
    mean = jnp.clip(end - jnp.maximum(start[:, None] * wide, start[None]), 0.0, 1.0) / wide
    place = jnp.clip((start + 0.5) / wide - 0.5, 0.0, count - 1.0)
    back = jnp.maximum(1.0 - jnp.abs(place[:, None] - start[None]), 0.0)
    return jnp.matmul(back, mean)


def sharpening(side: int, amount: Array) -> Array:
    """(side, side): an unsharp mask of sigma 0.8 pixels."""
    return jnp.eye(side) * (1.0 + amount) - amount * gaussian(side, jnp.asarray(0.8))


def apply_rows(rows: Array, columns: Array, planes: Array) -> Array:
    """(H, H), (W, W), (3, H, W) -> (3, H, W)."""
    return jnp.einsum("chw,xw->chx", jnp.einsum("yh,chw->cyw", rows, planes), columns)
