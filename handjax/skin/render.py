"""A hand with skin before a camera: textured, lit, shadowed by itself."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer
from jax.typing import ArrayLike

from handjax.camera import Camera, project
from handjax.checks import check_shape
from handjax.mano import HandModel, HandOutput
from handjax.render import RenderOutput, interpolate, rasterize, vertex_normals
from handjax.render.blocks import from_blocks, paint_covered, to_blocks
from handjax.render.interpolate import face_table, read_table
from handjax.render.rasterize import BLOCK, face_planes
from handjax.skin.color import SkinSurface, skin_color
from handjax.skin.light import WINDOW, SkinLight
from handjax.skin.mesh import CLOTH_U, Arm, SkinMesh, skin_vertices
from handjax.skin.occlusion import ambient_occlusion
from handjax.skin.params import SkinParams
from handjax.skin.shading import shade_skin
from handjax.skin.shadow import ShadowMap, light_reaching, shadow_map
from handjax.skin.texture import LEVELS, SkinTexture, read_texture

BLOCKS_AT_ONCE = 32
SHADOW_BIAS_M = 0.0018
CLOTH = (0.9, 0.02, 0.0)
"""Roughness, reflectance and metal of a sleeve."""

INSIDE_OCCLUSION = 0.25
"""Light that reaches the inside of an open wrist."""


def render_skin(
    camera: Camera,
    model: HandModel,
    output: HandOutput,
    mesh: SkinMesh,
    texture: SkinTexture,
    params: SkinParams | None = None,
    *,
    arm: Arm | None = None,
    size: tuple[int, int],
    light: SkinLight = WINDOW,
    background: ArrayLike = 0.0,
    supersample: int = 2,
) -> RenderOutput:
    """Draws one posed hand, metres in the camera frame, as a `size` = (H, W) picture of an ordinary camera.

    output: as `mano.forward` gives it; mesh: `skin_mesh(model)`; texture: `bake_skin`. background: a number, (3,) or
    (H, W, 3), as displayed. `supersample` is the number of samples along a pixel's side. Pure: for many, jit
    and vmap it.
    Raises ValueError for wrong shapes, TypeError for a WeakCamera.
    """
    if not isinstance(camera, Camera):
        raise TypeError(f"camera must be a Camera, got {type(camera).__name__}")
    check_shape("output.vertices", output.vertices, (model.num_vertices, 3))
    if not mesh.forearm:
        check_shape("mesh.faces", mesh.faces, (len(model.faces), 3))
    if np.ndim(background) == 3:
        check_shape("background", background, (*size, 3))
    elif np.ndim(background) != 0:
        check_shape("background", background, (3,))
    if supersample < 1:
        raise ValueError(f"supersample must be at least 1, got {supersample}")
    background = jnp.broadcast_to(jnp.asarray(background, jnp.float32), (*size, 3))
    person = SkinParams() if params is None else params
    posture = Arm() if arm is None else arm
    scene = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (camera, person, posture, light))
    result = _render(*scene, model, output, mesh, texture, background, tuple(size), supersample)
    if not isinstance(result.overflow, Tracer) and result.overflow:
        raise OverflowError(f"faces cover too many blocks of a {size} picture; render it in parts")
    return result


@partial(jax.jit, static_argnames=("size", "supersample"))
def _render(camera, params, arm, light, model, output, mesh, texture, background, size, supersample) -> RenderOutput:
    vertices, faces = skin_vertices(mesh, model, output, arm), mesh.faces
    height, width = (-(-side * supersample // BLOCK) * BLOCK for side in size)
    pixels, depth = project(camera, vertices), vertices[:, 2]
    fine = rasterize(pixels * supersample, depth, faces, (height, width))
    normals = vertex_normals(vertices, faces)
    lamp = shadow_map(vertices, faces, light.directions[0])
    occlusion = ambient_occlusion(model, output, vertices, normals)
    scene = Scene(
        scene_table(pixels * supersample, vertices, faces, mesh.corner_uv, occlusion, normals),
        Camera(camera.focal * supersample, camera.center * supersample),
        lamp,
        texture_level(camera.focal.mean() / output.vertices[:, 2].mean() * supersample, texture),
        jnp.array(0),
    )
    colors = _shade_covered(scene, fine.face_ids, texture, params, arm, light)
    covered = (fine.face_ids >= 0).astype(jnp.float32)[..., None]
    both = jnp.concatenate([colors * covered, covered], axis=-1)[: size[0] * supersample, : size[1] * supersample]
    both = both.reshape(size[0], supersample, size[1], supersample, 4).mean(axis=(1, 3))
    coverage = both[..., 3]
    image = both[..., :3] + (1.0 - coverage)[..., None] * background
    if supersample == 1:
        ids = fine.face_ids[: size[0], : size[1]]
        overflow = fine.overflow
    else:
        centers = rasterize(pixels, depth, faces, size)
        ids, overflow = centers.face_ids, fine.overflow | centers.overflow
    at_centers = interpolate(pixels, depth, faces, ids, depth[:, None])
    return RenderOutput(image, coverage, at_centers.depth, ids, overflow)


class Scene(NamedTuple):
    """What shading reads: a table of the faces, the camera, a lamp's view, the texture's level and person, () each."""

    table: Array
    camera: Camera
    lamp: ShadowMap
    level: Array
    person: Array


def texture_level(pixels_per_metre: Array, texture: SkinTexture) -> Array:
    """The copy of the texture whose texels are about as large as the pixels: its charts are some 0.3 m wide."""
    texels_per_pixel = texture.size / 0.32 / jnp.maximum(pixels_per_metre, 1.0)
    return jnp.clip(jnp.round(jnp.log2(jnp.maximum(texels_per_pixel, 1e-3)) - 0.2), 0, LEVELS - 1).astype(jnp.int32)


def scene_table(
    pixels: Array, vertices: Array, faces: Array, corner_uv: Array, occlusion: Array, normals: Array
) -> Array:
    """(F, 29): `face_table` of normal, uv and occlusion at the corners, then the uv's gradients over the posed face."""
    _, area = face_planes(pixels, vertices[:, 2], faces)
    outside = (area < 0)[:, None, None]
    corners = jnp.concatenate(
        [
            normals[faces] * jnp.where(outside, 1.0, -1.0),
            corner_uv,
            occlusion[faces][..., None] * jnp.where(outside, 1.0, INSIDE_OCCLUSION),
        ],
        axis=-1,
    )
    return jnp.concatenate(
        [face_table(pixels, vertices[:, 2], faces, corners), _uv_gradients(vertices[faces], corner_uv)], 1
    )


def _uv_gradients(corners: Array, uv: Array) -> Array:
    """(F, 3, 3) metres, (F, 3, 2) -> (F, 6): gradient of u, then of v, in the plane of each face."""
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = jnp.cross(edge1, edge2)
    square = jnp.maximum((across**2).sum(axis=-1, keepdims=True), 1e-20)
    first, second = jnp.cross(edge2, across) / square, jnp.cross(across, edge1) / square
    rise = uv[:, 1:] - uv[:, :1]
    return jnp.concatenate([rise[:, :1, k] * first + rise[:, 1:, k] * second for k in range(2)], axis=-1)


def _shade_covered(scene: Scene, face_ids: Array, texture, params, arm, light) -> Array:
    """(H, W) -> (H, W, 3): only the blocks that the hand covers are shaded, some at a time."""

    def paint(ids: Array, x: Array, y: Array) -> Array:
        return shade_pixels(scene, ids, x + 0.5, y + 0.5, texture, params, arm, light)

    height, width = face_ids.shape
    ids = to_blocks(face_ids)
    blocks = paint_covered(jnp.zeros(ids.shape, jnp.uint32), ids, width, paint, BLOCKS_AT_ONCE)
    return unpack_colors(from_blocks(blocks, (height, width)))


def unpack_colors(picture: Array) -> Array:
    """(...) uint32 of `shade_pixels` -> (..., 3) in [0, 1]."""
    return jnp.stack([(picture >> shift) & 1023 for shift in (0, 10, 20)], axis=-1).astype(jnp.float32) / 1023.0


def shade_pixels(scene: Scene, face_ids, x, y, texture, params, arm, light) -> Array:
    """Face ids of any shape, and where the scene's camera sees them -> display colours, ten bits each, in uint32."""
    channels, depth = read_table(scene.table[:, :-6], face_ids, x, y)
    smooth, (u, v), occlusion = _unit(channels[:3]), channels[3:5], channels[5]
    layers, slopes = read_texture(texture, u, v, scene.level, scene.person)
    face = jnp.maximum(face_ids, 0)
    gradients = [column.at[face].get(mode="promise_in_bounds") for column in scene.table[:, -6:].T]
    along_u = params.detail * slopes[0] + params.relief * slopes[2]
    along_v = params.detail * slopes[1] + params.relief * slopes[3]
    # A surface moved along its normal by h turns by the gradient of h (Mikkelsen 2010).
    normal = _unit([smooth[k] - along_u * gradients[k] - along_v * gradients[3 + k] for k in range(3)])
    focal, center = scene.camera
    point = [(x - center[0]) / focal[0] * depth, (y - center[1]) / focal[1] * depth, depth]
    to_eye = _unit([-value for value in point])
    # Neighbours differ much and evenly (Jimenez 2014, interleaved gradient noise).
    turn = 2.0 * jnp.pi * _fraction(52.9829189 * _fraction(0.06711056 * x + 0.00583715 * y))
    lit, behind = light_reaching(scene.lamp, point, smooth, light.softness, turn, SHADOW_BIAS_M)
    surface = skin_color(layers, params)
    cloth = u < 0.5 * CLOTH_U
    albedo = [jnp.where(cloth, arm.cloth[k], surface.albedo[k]) for k in range(3)]
    matt = [jnp.where(cloth, of_cloth, own) for of_cloth, own in zip(CLOTH, surface[1:], strict=True)]
    surface = SkinSurface((albedo[0], albedo[1], albedo[2]), matt[0], matt[1], matt[2])
    colors = shade_skin(surface, smooth, normal, to_eye, occlusion, lit, behind * 1000.0, light)
    # Packed into one integer, all of it is a single loop; as three arrays XLA repeats the arithmetic for each.
    red, green, blue = ((channel * 1023.0 + 0.5).astype(jnp.uint32) for channel in colors)
    return red | (green << 10) | (blue << 20)


def _unit(vector: list[Array]) -> list[Array]:
    shrink = lax.rsqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2] + 1e-12)
    return [value * shrink for value in vector]


def _fraction(value: Array) -> Array:
    return value - jnp.floor(value)
