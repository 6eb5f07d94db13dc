"""A person's skin as ordinary pictures on the atlas: what other renderers can use."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.skin.atlas import BOTTOM_MM, LEFT_MM, RIGHT_MM, TOP_MM
from handjax.skin.color import skin_color
from handjax.skin.params import SkinParams
from handjax.skin.texture import SkinTexture, read_texture

METRES_PER_UV = np.array([2.0 * (RIGHT_MM - LEFT_MM), TOP_MM - BOTTOM_MM]) / 1000.0
"""Of skin that lies flat in its chart, as nearly all does."""


def skin_pictures(texture: SkinTexture, params: SkinParams | None = None) -> tuple[np.ndarray, np.ndarray]:
    """-> colour (size, size, 3) uint8 sRGB, and normals of the detail as `export.MeshTexture` has them."""
    color, normal = _pictures(texture, SkinParams() if params is None else params)
    return np.asarray(color), np.asarray(normal)


@jax.jit
def _pictures(texture: SkinTexture, params: SkinParams) -> tuple[Array, Array]:
    texel = (jnp.arange(texture.size) + 0.5) / texture.size
    v, u = jnp.meshgrid(texel, texel, indexing="ij")
    layers, slopes = read_texture(texture, u, v)
    albedo = jnp.stack(skin_color(layers, params).albedo, axis=-1)
    srgb = jnp.where(albedo <= 0.0031308, 12.92 * albedo, 1.055 * jnp.maximum(albedo, 1e-6) ** (1.0 / 2.4) - 0.055)
    # y of a normal map goes up the picture, v down.
    east = -(params.detail * slopes[0] + params.relief * slopes[2]) / METRES_PER_UV[0]
    north = (params.detail * slopes[1] + params.relief * slopes[3]) / METRES_PER_UV[1]
    normal = jnp.stack([east, north, jnp.ones_like(east)], axis=-1)
    normal /= jnp.linalg.norm(normal, axis=-1, keepdims=True)
    return _bytes(srgb), _bytes((normal + 1.0) / 2.0)


def _bytes(values: Array) -> Array:
    return (jnp.clip(values, 0.0, 1.0) * 255.0 + 0.5).astype(jnp.uint8)
