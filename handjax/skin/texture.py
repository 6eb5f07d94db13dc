"""Layers as a packed picture with smaller copies of itself, and what is read from it at uv."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array
from jax.typing import ArrayLike

from handjax.skin.layers import SkinLayers

MASKS = SkinLayers._fields[:-2]
SLOPES = ("height_u", "height_v", "relief_u", "relief_v")
CHANNELS = (*MASKS, *SLOPES)
"""Four to a word: what lies together is read together."""

STEEPEST = 0.35
"""Metres of height per unit of uv at which a stored slope saturates: about 45 degrees."""

LEVELS = 4


@struct.dataclass
class SkinTexture:
    """words (CHANNELS / 4, T) uint32: `LEVELS` square pictures one after the other, each half as wide as the last.

    Of several people (`stack_textures`), one after the other.
    """

    words: Array
    size: int = struct.field(pytree_node=False)


@jax.jit
def pack(channels: Array) -> SkinTexture:
    """(C, size, size): masks in [0, 1], slopes in metres per uv. size is a multiple of 2^(LEVELS - 1)."""
    size = channels.shape[-1]
    levels = []
    for _ in range(LEVELS):
        # Slopes are stored by their square root, which spends the bits where skin is nearly smooth.
        slopes = jnp.clip(channels[len(MASKS) :] / STEEPEST, -1.0, 1.0)
        stored = jnp.concatenate([channels[: len(MASKS)], 0.5 + 0.5 * jnp.sign(slopes) * jnp.sqrt(jnp.abs(slopes))])
        bytes_ = (jnp.clip(stored, 0.0, 1.0) * 255.0 + 0.5).astype(jnp.uint32).reshape(len(CHANNELS) // 4, 4, -1)
        levels.append(bytes_[:, 0] | (bytes_[:, 1] << 8) | (bytes_[:, 2] << 16) | (bytes_[:, 3] << 24))
        half = channels.shape[-1] // 2
        channels = channels.reshape(len(channels), half, 2, half, 2).mean(axis=(2, 4))
    return SkinTexture(jnp.concatenate(levels, axis=1), size)


def stack_textures(textures: Sequence[SkinTexture]) -> SkinTexture:
    """The skins of several people, all of one size, as one texture: `read_texture(..., person=k)` reads the k-th.

    Raises ValueError for none or for different sizes.
    """
    sizes = {texture.size for texture in textures}
    if len(sizes) != 1:
        raise ValueError(f"textures must be one or more of one size, got sizes {sorted(sizes)}")
    return SkinTexture(jnp.concatenate([texture.words for texture in textures], axis=1), sizes.pop())


def read_texture(
    texture: SkinTexture, u: Array, v: Array, level: ArrayLike = 0, person: ArrayLike = 0
) -> tuple[SkinLayers, list[Array]]:
    """Bilinear, at uv arrays of any one shape and one level -> layers (height and relief 0) and four slopes."""
    sizes = np.array([texture.size >> k for k in range(LEVELS)])
    level = jnp.clip(jnp.asarray(level, jnp.int32), 0, LEVELS - 1)
    width = jnp.asarray(sizes, jnp.int32)[level]
    start = jnp.asarray(np.concatenate([[0], np.cumsum(sizes**2)[:-1]]), jnp.int32)[level]
    start += jnp.asarray(person, jnp.int32) * int((sizes**2).sum())
    x = jnp.clip(u * width - 0.5, 0.0, width - 1.001)
    y = jnp.clip(v * width - 0.5, 0.0, width - 1.001)
    left, top = x.astype(jnp.int32), y.astype(jnp.int32)
    across, down = x - left, y - top
    corner = start + top * width + left
    shares = [(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across]
    steps = [corner, corner + 1, corner + width, corner + width + 1]
    channels: list[Array] = [jnp.zeros(())] * len(CHANNELS)
    read = {"mode": "promise_in_bounds", "wrap_negative_indices": False}
    for word in range(len(CHANNELS) // 4):
        taps = [texture.words[word].at[step].get(**read) for step in steps]
        for place in range(4):
            bytes_ = [((tap >> (8 * place)) & 255).astype(jnp.float32) for tap in taps]
            blended = [share * byte for share, byte in zip(shares, bytes_, strict=True)]
            channels[4 * word + place] = (blended[0] + blended[1] + blended[2] + blended[3]) * (1.0 / 255.0)
    signed = [2.0 * channel - 1.0 for channel in channels[len(MASKS) :]]
    slopes = [STEEPEST * value * jnp.abs(value) for value in signed]
    flat = jnp.zeros_like(channels[0])
    return SkinLayers(*channels[: len(MASKS)], height=flat, relief=flat), slopes
