"""Heat-maps of keypoints: a Gaussian around each."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax.losses.terms import difference, flags, floats

REACH = 3.0
"""Deviations from a keypoint beyond which its Gaussian is nothing: one that does not reach the map is not valid."""


class HeatmapForm(NamedTuple):
    """What heat-maps look like: cells along a side, the deviation in cells, and where in the crop their values stand.

    The value at index i belongs to `first_px` + i * crop / size pixels. Networks that read a place as a share,
    index / size, and count pixels from a first centre at (0, 0), as the published ones do, need 0.5; for maps whose
    cells tile the crop it is None: half a cell. `whole_cells`: the Gaussian stands on the cell into which the keypoint
    falls, cut down to whole numbers, as published; then one value is exactly 1.
    """

    size: int = 64
    sigma: float = 2.0
    first_px: float | None = None
    whole_cells: bool = False


BIHAND = HeatmapForm(sigma=2.0, first_px=0.5)
"""The released code's deviation; HandTailor, whose training was never released, was adapted from it."""

BIHAND_PAPER = HeatmapForm(sigma=1.5, first_px=0.5)
HANDTAILOR = BIHAND
HAMR = HeatmapForm(sigma=2.5**0.5)
"""Variance 2.5 (Zhang et al. 2019, section 4.1)."""


def heatmaps(
    keypoints_2d: ArrayLike, valid: ArrayLike | None = None, *, crop: float = 256, form: HeatmapForm = BIHAND
) -> tuple[Array, Array]:
    """(K, 2) pixels of a crop of side `crop` -> (size, size, K) in [0, 1], and (K,) 1 where that is a label.

    exp(-d^2 / (2 sigma^2)), d the distance in cells: 1 at the keypoint, not normalised. valid (K,). What is not valid,
    or so far outside that nothing of it falls into the map, gives zeros and 0.
    Raises ValueError for another shape, or a size, deviation or crop that is not positive.
    """
    keypoints_2d = floats("keypoints_2d", keypoints_2d, ("K", 2))
    valid = flags(valid, keypoints_2d.shape[:1])
    if not (form.size > 0 and form.sigma > 0 and crop > 0):
        raise ValueError(f"size, sigma and crop must be positive, got {form.size}, {form.sigma} and {crop}")
    cell = crop / form.size
    first = cell / 2 if form.first_px is None else form.first_px
    place = (difference(keypoints_2d, jnp.zeros(()), valid) - first) / cell
    if form.whole_cells:
        place = jnp.floor(place)
    reaches = ((place >= -REACH * form.sigma) & (place <= form.size - 1 + REACH * form.sigma)).all(-1)
    valid = jnp.where(reaches, valid, 0.0)
    index = jnp.arange(form.size, dtype=place.dtype)
    # exp of a sum: two small tables instead of an exponential for every cell.
    across, down = jnp.exp(-((index[:, None, None] - place[None]) ** 2) / (2 * form.sigma**2)).transpose(2, 0, 1)
    maps = down[:, None, :] * across[None, :, :]
    return jnp.where((valid > 0)[None, None], maps, 0.0), valid
