"""Meshes to pictures: rasterise, interpolate, shade. The face-id image has no gradient, what is read at it has."""

from handjax.render.interpolate import Interpolated, interpolate
from handjax.render.rasterize import Raster, rasterize
from handjax.render.scene import SKIN, RenderOutput, Scene, merge_meshes, mesh_mask, render
from handjax.render.shade import SOFT_LIGHT, Light, shade, vertex_normals
from handjax.render.sprite import draw_sprite

__all__ = [
    "SKIN",
    "SOFT_LIGHT",
    "Interpolated",
    "Light",
    "Raster",
    "RenderOutput",
    "Scene",
    "draw_sprite",
    "interpolate",
    "merge_meshes",
    "mesh_mask",
    "rasterize",
    "render",
    "shade",
    "vertex_normals",
]
