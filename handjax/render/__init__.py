"""Meshes to pictures: rasterise, interpolate, shade. The face-id image has no gradient, what is read at it has."""

from handjax.render.harmonics import harmonic_basis, lit_by_harmonics
from handjax.render.interpolate import Interpolated, interpolate
from handjax.render.maps import Antialiased, DepthMap, Maps, Silhouette, antialias, depth_map, draw_maps, silhouette
from handjax.render.rasterize import Raster, rasterize
from handjax.render.scene import SKIN, RenderOutput, Scene, merge_meshes, mesh_mask, render
from handjax.render.shade import SOFT_LIGHT, Light, shade, vertex_normals
from handjax.render.sprite import draw_sprite
from handjax.render.topology import Topology, topology

__all__ = [
    "SKIN",
    "SOFT_LIGHT",
    "Antialiased",
    "DepthMap",
    "Interpolated",
    "Light",
    "Maps",
    "Raster",
    "RenderOutput",
    "Scene",
    "Silhouette",
    "Topology",
    "antialias",
    "depth_map",
    "draw_maps",
    "draw_sprite",
    "harmonic_basis",
    "interpolate",
    "lit_by_harmonics",
    "merge_meshes",
    "mesh_mask",
    "rasterize",
    "render",
    "shade",
    "silhouette",
    "topology",
    "vertex_normals",
]
