"""Hands as files: OBJ, PLY, rigged glTF, and one page to look at them all."""

from handjax.export.detailed_folder import write_detailed_folder as write_detailed_folder
from handjax.export.files import write_bytes as write_bytes
from handjax.export.gltf import ViewCamera as ViewCamera
from handjax.export.gltf import write_glb as write_glb
from handjax.export.mesh import Mesh as Mesh
from handjax.export.mesh import merge as merge
from handjax.export.mesh import vertex_normals as vertex_normals
from handjax.export.obj import write_obj as write_obj
from handjax.export.page import PageEntry as PageEntry
from handjax.export.page import PageHand as PageHand
from handjax.export.page import write_page as write_page
from handjax.export.ply import write_ply as write_ply
from handjax.export.rig import RiggedHand as RiggedHand
from handjax.export.rig import posed_vertices as posed_vertices
from handjax.export.rig import rigged_hand as rigged_hand
from handjax.export.texture import MeshTexture as MeshTexture
