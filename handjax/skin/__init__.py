"""The look of hands: skin as layers over the rest hand, baked once, coloured for each person, drawn in any light."""

from handjax.skin.atlas import Atlas, skin_atlas
from handjax.skin.bake import bake_skin
from handjax.skin.color import SkinSurface, skin_color
from handjax.skin.layers import SkinLayers, skin_layers
from handjax.skin.light import WINDOW, SkinLight, around, sample_light
from handjax.skin.mesh import Arm, SkinMesh, sample_arm, skin_mesh, skin_vertices
from handjax.skin.params import TONES, SkinParams, sample_skin
from handjax.skin.pictures import skin_pictures
from handjax.skin.render import render_skin
from handjax.skin.texture import SkinTexture, read_texture
from handjax.skin.vertices import vertex_colors

__all__ = [
    "TONES",
    "WINDOW",
    "Arm",
    "Atlas",
    "SkinLayers",
    "SkinLight",
    "SkinMesh",
    "SkinParams",
    "SkinSurface",
    "SkinTexture",
    "around",
    "bake_skin",
    "read_texture",
    "render_skin",
    "sample_arm",
    "sample_light",
    "sample_skin",
    "skin_atlas",
    "skin_color",
    "skin_layers",
    "skin_mesh",
    "skin_pictures",
    "skin_vertices",
    "vertex_colors",
]
