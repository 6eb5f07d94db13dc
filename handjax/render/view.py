"""Vertices as a camera sees them: where on the picture, how near, and how attributes run across a face."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from handjax.camera import MIN_DEPTH, Camera, WeakCamera


class View(NamedTuple):
    """pixels (V, 2); depth (V,) metres, of any sign under a WeakCamera; weights (V,); nearness (V,), no gradient.

    An attribute a at screen barycentrics l is sum(l w a) / sum(l w), with weights w = 1 / depth in perspective and 1 in
    a weak one. nearness is affine on the screen and above 0, greater is nearer: it decides who hides whom. A vertex
    behind the near plane has nearness 0.
    """

    pixels: Array
    depth: Array
    weights: Array
    nearness: Array


def as_float(values: ArrayLike) -> Array:
    """float64 stays, which tests of gradients need; anything else becomes float32, half precision too."""
    values = jnp.asarray(values)
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def view(camera: Camera | WeakCamera, vertices: Array) -> View:
    """What `handjax.camera.project` gives, in the precision of the vertices (V, 3), with what drawing needs beside."""
    depth = vertices[:, 2]
    dtype = vertices.dtype
    if isinstance(camera, WeakCamera):
        pixels = jnp.asarray(camera.scale, dtype) * vertices[:, :2] + jnp.asarray(camera.translation, dtype)[None]
        # Scaled orthography has no near plane and no origin of depth: from 1, farthest, to 2, nearest.
        known = lax.stop_gradient(depth)
        farthest, nearest = jnp.nanmax(known), jnp.nanmin(known)
        nearness = 1.0 + (farthest - known) / jnp.maximum(farthest - nearest, 1e-12)
        return View(pixels, depth, jnp.ones_like(depth), nearness)
    weights = 1.0 / jnp.maximum(depth, MIN_DEPTH)
    pixels = jnp.asarray(camera.focal, dtype)[None] * (vertices[:, :2] * weights[:, None])
    nearness = lax.stop_gradient(jnp.where(depth > MIN_DEPTH, weights, 0.0))
    return View(pixels + jnp.asarray(camera.center, dtype)[None], depth, weights, nearness)
