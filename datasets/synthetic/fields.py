"""Pixel grids and smooth noise over an image: small random grids, enlarged by products with constant matrices."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

COARSEST = 3
OCTAVES = 5


def pixel_grid(size: tuple[int, int]) -> tuple[Array, Array]:
    """-> x (1, W), y (H, 1) of the pixels' centres, in units of the image's longer side."""
    height, width = size
    unit = max(size)
    return (jnp.arange(width, dtype=jnp.float32) + 0.5)[None] / unit, (
        (jnp.arange(height, dtype=jnp.float32) + 0.5)[:, None] / unit
    )


def enlarging(fine: int, coarse: int) -> np.ndarray:
    """(fine, coarse): a row of cells -> as many pixels, by cubic B-splines, which do not show the cells."""
    place = (np.arange(fine) + 0.5) * coarse / fine - 0.5
    distance = np.abs(place[:, None] - np.arange(-2, coarse + 2)[None])
    near = 2.0 / 3.0 - distance**2 + 0.5 * distance**3
    far = np.maximum(2.0 - distance, 0.0) ** 3 / 6.0
    weights = np.where(distance < 1.0, near, far)
    inside = np.zeros((fine, coarse))
    for column, cell in enumerate(np.clip(np.arange(-2, coarse + 2), 0, coarse - 1)):
        inside[:, cell] += weights[:, column]
    return inside.astype(np.float32)


def enlarge(cells: Array, size: tuple[int, int]) -> Array:
    """(C, h, w) -> (C, H, W)."""
    rows, columns = enlarging(size[0], cells.shape[1]), enlarging(size[1], cells.shape[2])
    wide = jnp.einsum("chw,xw->chx", cells, columns)
    return jnp.einsum("chx,yh->cyx", wide, rows)


def smooth_noise(key: Array, size: tuple[int, int], strengths: Array) -> Array:
    """(C, octaves) strengths, coarse to fine -> (C, H, W) of about unit deviation times the strengths' norm.

    The first octave has three cells along the longer side, each next one twice as many.
    """
    channels, octaves = strengths.shape
    longer = max(size)
    cells = [min(COARSEST * 2**octave, longer) for octave in range(octaves)]
    shapes = [(max(2, -(-size[0] * count // longer)), max(2, -(-size[1] * count // longer))) for count in cells]
    ends = np.cumsum([0] + [channels * height * width for height, width in shapes])
    # Of unit deviation; splines over even numbers look like splines over normal ones and cost a tenth.
    numbers = jax.random.uniform(key, (int(ends[-1]),), minval=-(3.0**0.5), maxval=3.0**0.5)
    total = jnp.zeros((channels, *shapes[0]))
    for octave, shape in enumerate(shapes):
        own = numbers[ends[octave] : ends[octave + 1]].reshape(channels, *shape)
        # Splines flatten the cells: 1.9 makes up for it.
        added = 1.9 * strengths[:, octave, None, None] * own
        total = added if octave == 0 else enlarge(total, shape) + added
    return enlarge(total, size)
