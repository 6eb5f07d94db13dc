"""Where a posed hand stands in front of a camera, from where its points are seen: linear, so no start is needed."""

import jax.numpy as jnp
from jax import Array

NEAREST = 0.05
FARTHEST = 20.0
"""Metres between which a hand may stand."""


def place(points: Array, pixels: Array, confidence: Array, focal: Array, center: Array) -> Array:
    """Points (B, 21, 3) of hands at the origin, pixels (B, 21, 2), confidence (B, 21), focal, center (B, 2) -> (B, 3).

    The translation that minimises sum w ((X + t)_xy - ray (X + t)_z)^2, the algebraic form of the reprojection error.
    """
    ray = (pixels - center[:, None]) / focal[:, None]
    weight = confidence[..., None]
    off = points[..., :2] - ray * points[..., 2:]
    total = confidence.sum(-1) + 1e-9
    # Each axis gives t_xy = mean(ray t_z - off): what is left is one equation for t_z.
    mean_ray = (weight * ray).sum(1) / total[:, None]
    mean_off = (weight * off).sum(1) / total[:, None]
    spread = ray - mean_ray[:, None]
    shrink = (weight * spread * spread).sum((1, 2))
    depth = (weight * spread * (off - mean_off[:, None])).sum((1, 2)) / jnp.maximum(shrink, 1e-12)
    # Points in one spot or in front of a wrong pose can ask for any depth, even behind the camera.
    depth = jnp.where(depth > NEAREST, jnp.minimum(depth, FARTHEST), _depth_from_size(points, ray, confidence))
    return jnp.concatenate([mean_ray * depth[:, None] - mean_off, depth[:, None]], -1)


def _depth_from_size(points: Array, ray: Array, confidence: Array) -> Array:
    """Spread of the points over spread of the rays, root mean square: crude and always in front."""
    total = confidence.sum(-1)[:, None, None] + 1e-9
    weight = confidence[..., None] / total

    def spread(values: Array) -> Array:
        centred = values - (weight * values).sum(1, keepdims=True)
        return jnp.sqrt((weight * centred * centred).sum((1, 2)) + 1e-12)

    return jnp.clip(spread(points[..., :2]) / spread(ray), NEAREST, FARTHEST)
