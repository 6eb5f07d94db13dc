"""Crops cut out of full images on the device, and the affines of mirrored ones."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax.camera import apply_affine, invert_affine
from handjax.checks import check_shape


@partial(jax.jit, static_argnames="size")
def crop_image(image: ArrayLike, affine: ArrayLike, size: int) -> Array:
    """(H, W, 3) uint8, affine (2, 3) from its pixels to the crop's -> (size, size, 3) float32 in [0, 1].

    Bilinear between pixel centres, black outside. Compiled once for each size of image and crop. Of an image that
    shrinks pixels are skipped, not averaged, as in the published data pipelines. Raises ValueError for another image.
    """
    check_shape("image", image, ("H", "W", 3))
    image = jnp.asarray(image)
    if image.dtype != jnp.uint8:
        raise ValueError(f"image must be uint8, got {image.dtype}")
    height, width, _ = image.shape
    centres = jnp.arange(size) + 0.5
    grid = jnp.stack(jnp.meshgrid(centres, centres), -1)
    position = apply_affine(invert_affine(affine), grid.reshape(-1, 2)) - 0.5
    corner = jnp.floor(position)
    share = position - corner
    rows = image.reshape(-1, 3)
    total = jnp.zeros((size * size, 3))
    for right in (0, 1):
        for below in (0, 1):
            x, y = (corner + jnp.array([[right, below]])).T
            weight = jnp.abs(1 - right - share[:, 0]) * jnp.abs(1 - below - share[:, 1])
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            index = jnp.where(inside, y, 0).astype(jnp.int32) * width + jnp.where(inside, x, 0).astype(jnp.int32)
            total += jnp.where(inside, weight, 0.0)[:, None] * rows[index].astype(jnp.float32)
    return (total / 255).reshape(size, size, 3)


def mirrored_crop(affine: Array, size: float) -> Array:
    """(..., 2, 3) -> the affine to the left-right mirrored crop."""
    return jnp.stack([-affine[..., 0, :], affine[..., 1, :]], -2).at[..., 0, 2].add(size)


def stretched_crop(box: ArrayLike, rotation: ArrayLike, size: float) -> Array:
    """(2, 3): full-image pixels -> those of a crop that box (4,) fills, whatever its proportions.

    `rotation` as in `camera.crop_affine`: the picture is turned about the centre of the box, then stretched.
    """
    box = jnp.asarray(box, jnp.float32)
    center, sides = (box[:2] + box[2:]) / 2, jnp.maximum(box[2:] - box[:2], 1.0)
    cosine, sine = jnp.cos(rotation), jnp.sin(rotation)
    turn = jnp.stack([jnp.stack([cosine, -sine]), jnp.stack([sine, cosine])])
    linear = (size / sides)[:, None] * turn
    return jnp.concatenate([linear, (size / 2 - jnp.matmul(linear, center, precision="highest"))[:, None]], 1)
