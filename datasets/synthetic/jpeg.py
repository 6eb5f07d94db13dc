"""JPEG's loss without its file: 8 x 8 cosine transforms, rounded by the standard's tables (ITU-T T.81, annex K)."""

import jax.numpy as jnp
import numpy as np
from jax import Array

BLOCK = 8
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
).ravel()
CHROMINANCE = np.array(
    [
        [17, 18, 24, 47, 99, 99, 99, 99],
        [18, 21, 26, 66, 99, 99, 99, 99],
        [24, 26, 56, 99, 99, 99, 99, 99],
        [47, 66, 99, 99, 99, 99, 99, 99],
        *[[99] * 8] * 4,
    ],
    np.float32,
).ravel()
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)


def _cosines() -> np.ndarray:
    """(64, 64): a block as a row -> its two-dimensional cosine transform as a row."""
    frequency, place = np.mgrid[:BLOCK, :BLOCK]
    one = np.cos((2 * place + 1) * frequency * np.pi / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    one[0] /= np.sqrt(2)
    return np.kron(one, one).T.astype(np.float32)


TRANSFORM = _cosines()


def as_jpeg(planes: Array, quality: Array) -> Array:
    """(3, H, W) in [0, 1] as a JPEG file of `quality` 1 to 100 keeps it, colours at half the resolution (4:2:0)."""
    height, width = planes.shape[1:]
    tall, wide = (-side % (2 * BLOCK) for side in (height, width))
    padded = jnp.pad(planes * 255.0, ((0, 0), (0, tall), (0, wide)), mode="edge")
    bright, *colors = (sum(float(row[k]) * padded[k] for k in range(3)) for row in TO_YCC)
    # libjpeg's scale of the tables.
    scale = jnp.where(quality < 50.0, 5000.0 / quality, 200.0 - 2.0 * quality)
    bright = _rounded(jnp.asarray(bright) - 128.0, LUMINANCE, scale) + 128.0
    half = jnp.stack([jnp.asarray(color) for color in colors])
    half = half.reshape(2, half.shape[1] // 2, 2, -1, 2).mean(axis=(2, 4))
    blue, red = (_rounded(color, CHROMINANCE, scale) for color in half)
    blue, red = (jnp.repeat(jnp.repeat(color, 2, axis=0), 2, axis=1) for color in (blue, red))
    back = jnp.stack([bright + 1.402 * red, bright - 0.344136 * blue - 0.714136 * red, bright + 1.772 * blue])
    return jnp.clip(back[:, :height, :width] / 255.0, 0.0, 1.0)


def _rounded(plane: Array, table: np.ndarray, scale: Array) -> Array:
    """(H, W), sides multiples of 8 -> the same with its transform's numbers rounded to multiples of the table's."""
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    blocks = plane.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(rows * columns, BLOCK * BLOCK)
    step = jnp.clip(jnp.floor((table * scale + 50.0) / 100.0), 1.0, 255.0)[None]
    kept = jnp.round(jnp.matmul(blocks, TRANSFORM) / step) * step
    back = jnp.matmul(kept, TRANSFORM.T)
    return back.reshape(rows, columns, BLOCK, BLOCK).swapaxes(1, 2).reshape(plane.shape)
