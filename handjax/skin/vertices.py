"""A person's skin as one colour a vertex: for simpler renderers and for meshes without uv."""

import jax
import jax.numpy as jnp
from jax import Array

from handjax.mano import HandModel
from handjax.skin.color import skin_color
from handjax.skin.frame import hand_frame, rest_surface
from handjax.skin.layers import SkinLayers, skin_layers
from handjax.skin.params import SkinParams
from handjax.skin.shading import as_srgb


def vertex_colors(model: HandModel, params: SkinParams | None = None, seed: int = 0) -> Array:
    """(V, 3) in [0, 1] as displayed, for `render`, PLY files and meshes without uv; any model with MANO's joints.

    What is finer than a mesh (hair, freckles, lines) is left out: at single vertices it would be blots.
    """
    frame = hand_frame(model)
    points, normals = rest_surface(model, frame)
    frame = jax.tree.map(lambda part: jnp.asarray(part, jnp.float32), frame)
    params = jax.tree.map(jnp.asarray, SkinParams() if params is None else params)
    layers = skin_layers(frame, jnp.asarray(points, jnp.float32), jnp.asarray(normals, jnp.float32), seed)
    return _vertex_colors(layers, params)


@jax.jit
def _vertex_colors(layers: SkinLayers, params: SkinParams) -> Array:
    nothing = jnp.zeros_like(layers.hair)
    layers = layers._replace(
        hair=nothing, freckle=nothing, mole=nothing, motif=nothing, crease=0.3 * layers.crease, grain=nothing + 0.5
    )
    return as_srgb(jnp.stack(skin_color(layers, params).albedo, axis=-1))
