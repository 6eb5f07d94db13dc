"""Losses between a rendered picture and an observed one, of one image each; `jax.vmap` for more.

Masks are coverage in [0, 1], depth is in metres with 0 for none, colours are in [0, 1]. Where nothing can be compared
(an empty mask, no common pixel) a loss is 0, and so is its gradient. Of losses that divide by a count there is the pair
of sums as well: a batch, or one spread over devices, adds both up first, then divides (`mean_of`).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.checks import check_choice, check_shape
from handjax.losses.sums import PixelSum, mean_of

SMALLEST_SIDE = 4
"""Pixels along the shorter side of the last level of a pyramid that is not told how many it has."""

DEPTH_STEP = 1e-3
"""Metres where the depth loss turns from a square into a line: DeepHandMesh's 1 mm."""

MEANS = ("common", "image")


def silhouette_l1(mask: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None) -> Array:
    """() mean |M - M*| over all pixels: L_seg of HAMR (Zhang et al. 2019, eq. 8), which says no more than "L1".

    mask, target: (H, W). weight: (H, W) in [0, 1], 0 where the target is not known (behind an object, outside the
    picture); such pixels still count in the mean. Raises ValueError for shapes that differ or an empty image.
    """
    return jnp.abs(_difference(mask, target, weight)).mean()


def silhouette_pyramid(
    mask: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None, *, levels: int | None = None
) -> Array:
    """() mean over l of mean (pool^l(M) - pool^l(M*))^2, pool^l the mean over squares of 2^l x 2^l pixels, from l = 0.

    A wide capture range for HAMR's silhouette term: where two outlines do not touch, plain differences say nothing of
    which way to go, their coarse levels do.

    mask, target, weight: as in `silhouette_l1`. levels: how many; by default as many as leave 4 px on the shorter side,
    and one at least. An odd side is padded by a row without difference.
    Raises ValueError for shapes that differ, an empty image, or `levels` that are not positive.
    """
    difference = _difference(mask, target, weight)
    if levels is None:
        levels = max(1, int(np.log2(min(difference.shape) / SMALLEST_SIDE)) + 1)
    if levels < 1:
        raise ValueError(f"levels must be at least 1, got {levels}")
    total = (difference**2).mean()
    for _ in range(levels - 1):
        difference = _halved(difference)
        total += (difference**2).mean()
    return total / levels


def depth_smooth_l1(depth: ArrayLike, target: ArrayLike, *, step: float = DEPTH_STEP, mean: str = "common") -> Array:
    """() metres: L_depth of DeepHandMesh (Moon et al. 2020, section 6), smooth L1 where both maps have a depth.

    With d the difference: d^2 / (2 step) up to `step`, |d| - step / 2 beyond. 1,000 times the value at the default step
    is the published one in millimetres.

    depth, target: (H, W) metres; pixels that are 0 or not finite in either have none.
    mean: "common" over the pixels that both have; "image" over all, as published: then a hand that fills half as much
    of the picture weighs half as much.
    Raises ValueError for shapes that differ, an empty image, a `step` that is not positive or another `mean`.
    """
    check_choice("mean", mean, MEANS)
    sums = depth_sums(depth, target, step=step)
    return mean_of(sums) if mean == "common" else sums.total / np.prod(np.shape(target))


def depth_sums(depth: ArrayLike, target: ArrayLike, *, step: float = DEPTH_STEP) -> PixelSum:
    """`depth_smooth_l1` before the division: metres summed over common pixels, and their number."""
    if not step > 0:
        raise ValueError(f"step must be positive, got {step}")
    depth, target = _image("depth", depth), _image("target", target)
    check_shape("target", target, depth.shape)
    common = has_depth(depth) & has_depth(target)
    # Both branches of `where` are differentiated: an infinite depth must not enter either.
    distance = jnp.abs(jnp.where(common, depth, 0.0) - jnp.where(common, target, 0.0))
    values = jnp.where(distance < step, distance**2 / (2.0 * step), distance - 0.5 * step)
    return PixelSum(values.sum(), common.sum().astype(jnp.float32))


def has_depth(depth: Array) -> Array:
    """(...) metres -> (...) bool: finite and in front of the camera."""
    return jnp.isfinite(depth) & (depth > 0)


def photometric(image: ArrayLike, target: ArrayLike, mask: ArrayLike) -> Array:
    """() sum_n M_n |I_n - I*_n|_2 / sum_n M_n: Ren, Zhu and Zhang 2023, eq. 9, the norm over colours.

    image, target: (H, W, 3). mask: (H, W), their rendered silhouette times the observed skin mask, not differentiated;
    a share of a pixel counts as one. As released, a batch is divided by its whole mask: `mean_of` its
    `photometric_sums`. Raises ValueError for shapes that differ or an empty image.
    """
    return mean_of(photometric_sums(image, target, mask))


def photometric_sums(image: ArrayLike, target: ArrayLike, mask: ArrayLike) -> PixelSum:
    """`photometric` before the division: masked colour distance and mask, each summed over pixels."""
    mask = jax.lax.stop_gradient(_image("mask", mask))
    check_shape("image", image, (*mask.shape, 3))
    check_shape("target", target, (*mask.shape, 3))
    difference = jnp.asarray(image, jnp.float32) - jnp.asarray(target, jnp.float32)
    # The square root has no slope at 0, which every pixel outside the mask may be, and any value may stand there.
    squares = jnp.where(mask[..., None] > 0, difference, 0.0) ** 2
    squares = squares.sum(-1)
    differs = squares > 0
    distance = jnp.where(differs, jnp.sqrt(jnp.where(differs, squares, 1.0)), 0.0)
    return PixelSum((mask * distance).sum(), mask.sum())


def _difference(mask: ArrayLike, target: ArrayLike, weight: ArrayLike | None) -> Array:
    mask, target = _image("mask", mask), _image("target", target)
    check_shape("target", target, mask.shape)
    if weight is None:
        return mask - target
    weight = _image("weight", weight)
    check_shape("weight", weight, mask.shape)
    known = weight > 0
    return weight * (jnp.where(known, mask, 0.0) - jnp.where(known, target, 0.0))


def _image(name: str, array: ArrayLike) -> Array:
    check_shape(name, array, ("H", "W"))
    if 0 in np.shape(array):
        raise ValueError(f"{name} must have at least one pixel, got shape {np.shape(array)}")
    return jnp.asarray(array, jnp.float32)


def _halved(values: Array) -> Array:
    """(H, W) -> (ceil(H / 2), ceil(W / 2)): means of 2 x 2, zeros beyond the last row and column."""
    height, width = values.shape
    padded = jnp.pad(values, [(0, height % 2), (0, width % 2)])
    return padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2).mean((1, 3))
