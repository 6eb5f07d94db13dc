"""Targets of what is seen of a hand: silhouette and depth, at a network's size."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax.checks import check_shape
from handjax.losses.terms import KEYPOINTS, difference, flags, floats

AROUND_M = 0.05
"""A hand's surface is no nearer than its nearest keypoint by more than this, nor farther than its farthest."""

ENDS_M = 1e-3
"""Added at both ends of the range of depths, as released: the farthest point is a little above the background's 0."""


def silhouette(mask: ArrayLike, size: int, valid: ArrayLike | None = None) -> tuple[Array, Array]:
    """Mask of one hand (H, H), nonzero where it is -> (size, size) covered share of each cell, and () whether known."""
    check_shape("mask", mask, ("H", "W"))
    valid = flags(valid, ())
    return valid * shrink(jnp.asarray(mask) != 0, size), valid


def normalised_depth(
    depth: ArrayLike,
    keypoints_3d: ArrayLike,
    size: int,
    valid: ArrayLike | None = None,
    keypoints_valid: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Depth (H, H), metres, 0 for none -> (size, size): near 1, far and background 0, and () whether it is known.

    BiHand (Yang et al. 2020, section 3.3; the range is the code's): D = (far - z) / (far - near) of what lies within
    5 cm of the range of the keypoints' depths, near and far the ends of that and 1 mm more.

    keypoints_3d (21, 3) metres; valid (), keypoints_valid (21,); mask (H, H): nonzero where the hand is, if that is
    known. Without a valid keypoint, or any surface in reach, all is 0 and not valid.
    Raises ValueError for shapes that do not go together, or a size that does not divide the picture's.
    """
    depth = floats("depth", depth, ("H", "W"))
    keypoints_3d = floats("keypoints_3d", keypoints_3d, (KEYPOINTS, 3))
    known = flags(keypoints_valid, (KEYPOINTS,)) > 0
    z = difference(keypoints_3d[:, 2], jnp.zeros(()), known.astype(depth.dtype))
    nearest = jnp.where(known, z, jnp.inf).min() - AROUND_M
    farthest = jnp.where(known, z, -jnp.inf).max() + AROUND_M
    surface = jnp.isfinite(depth) & (depth > 0) & (depth > nearest) & (depth < farthest)
    if mask is not None:
        check_shape("mask", mask, depth.shape)
        surface &= jnp.asarray(mask) != 0
    valid = jnp.where(known.any() & surface.any(), flags(valid, ()), 0.0)
    seen = surface & (valid > 0)
    near = jnp.where(valid > 0, jnp.where(seen, depth, jnp.inf).min(), 0.0) - ENDS_M
    far = jnp.where(valid > 0, jnp.where(seen, depth, -jnp.inf).max(), 0.0) + ENDS_M
    shares = jnp.where(seen, (far - jnp.where(seen, depth, far)) / (far - near), 0.0)
    return shrink(shares, size), valid


def shrink(values: ArrayLike, size: int) -> Array:
    """(H, H) -> (size, size) means of equal squares. Raises ValueError if `size` does not divide H, or H is not W."""
    check_shape("values", values, ("H", "W"))
    height, width = jnp.shape(values)
    if height != width or size < 1 or height % size:
        raise ValueError(f"size must divide both sides of a square picture, got {size} for {height} x {width}")
    step = height // size
    return jnp.asarray(values, jnp.float32).reshape(size, step, size, step).mean((1, 3))
