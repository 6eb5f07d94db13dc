"""Hands with skin in one picture and one z-buffer, for drawing many pictures: seen four times a pixel, shaded once."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from handjax.camera import Camera, project
from handjax.mano import HandModel, HandOutput
from handjax.mano.sides import mirror_points
from handjax.render import rasterize, vertex_normals
from handjax.render.blocks import from_blocks, paint_covered, to_blocks
from handjax.render.rasterize import BLOCK, face_planes
from handjax.skin.light import SkinLight
from handjax.skin.mesh import Arm, SkinMesh, skin_vertices
from handjax.skin.occlusion import ambient_occlusion
from handjax.skin.params import SkinParams
from handjax.skin.render import Scene, scene_table, shade_pixels, texture_level, unpack_colors
from handjax.skin.shadow import shadow_map
from handjax.skin.texture import SkinTexture

SAMPLES = 2
"""Along a pixel's side."""
BLOCKS_AT_ONCE = 32


class SkinnedHand(NamedTuple):
    """A hand ready to be drawn; for `draw_group` each leaf has a leading N.

    vertices (V', 3) metres, of `skin_vertices`; normals (V', 3); occlusion (V',); person () int32: which skin of a
    stacked texture; flipped () bool: mirrored into the other side.
    """

    vertices: Array
    normals: Array
    occlusion: Array
    params: SkinParams
    arm: Arm
    person: Array
    flipped: Array


class SkinGroup(NamedTuple):
    """image (H, W, 3) in [0, 1], black where no hand is; coverage (H, W): share of the pixel that is covered.

    owner, face (H, W) int32: the hand that is seen and which of its faces, -1 none; depth (H, W) metres, 0 none;
    overflow () bool. Owner, face and depth are those of one of a pixel's four samples, where two of them or more see
    a hand.
    """

    image: Array
    coverage: Array
    owner: Array
    face: Array
    depth: Array
    overflow: Array


def skinned_hand(
    model: HandModel, mesh: SkinMesh, output: HandOutput, params: SkinParams, arm: Arm, person: Array
) -> SkinnedHand:
    """One posed hand of `model`, with all that does not depend on where it is drawn."""
    vertices = skin_vertices(mesh, model, output, arm)
    normals = vertex_normals(vertices, mesh.faces)
    occlusion = ambient_occlusion(model, output, vertices, normals)
    return SkinnedHand(vertices, normals, occlusion, params, arm, person, jnp.array(False))


def placed(hand: SkinnedHand, flipped: Array, offset: Array) -> SkinnedHand:
    """The hand, first mirrored (x -> -x) if `flipped`, then moved by offset (3,)."""

    def turned(points: Array) -> Array:
        return jnp.where(flipped, mirror_points(points), points)

    return hand._replace(
        vertices=turned(hand.vertices) + offset[None],
        normals=turned(hand.normals),
        flipped=jnp.logical_xor(hand.flipped, flipped),
    )


def draw_group(
    camera: Camera,
    hands: SkinnedHand,
    drawn: Array,
    mesh: SkinMesh,
    texture: SkinTexture,
    light: SkinLight,
    *,
    size: tuple[int, int],
    common_shadows: bool = False,
) -> SkinGroup:
    """N hands, of which `drawn` (N,) bool, as a `size` = (H, W) picture.

    common_shadows: hands also throw shadows on each other, which costs N^2.
    """
    count = len(drawn)
    faces = jnp.where(hands.flipped[:, None, None], mesh.faces[None, :, ::-1], mesh.faces[None])
    # A hand that is not drawn lies behind the camera.
    vertices = jnp.where(drawn[:, None, None], hands.vertices, -1.0)
    starts = jnp.arange(count, dtype=jnp.int32) * vertices.shape[1]
    together, all_faces = vertices.reshape(-1, 3), (faces + starts[:, None, None]).reshape(-1, 3)
    fine_camera = Camera(camera.focal * SAMPLES, camera.center * SAMPLES)
    height, width = (-(-side // BLOCK) * BLOCK for side in size)
    pixels = project(fine_camera, together)
    fine = rasterize(pixels, together[:, 2], all_faces, (height * SAMPLES, width * SAMPLES))
    seen, coverage = _one_sample(fine.face_ids)
    owner, local = _divided(seen, len(mesh.faces))

    def shade_one(picture: Array, of: tuple) -> Array:
        index, hand, own_faces, own_pixels = of
        mine = jnp.where(owner == index, local, -1)
        lit = shadow_map(
            together if common_shadows else hand.vertices,
            all_faces if common_shadows else own_faces,
            light.directions[0],
            hand.vertices,
        )
        corner_uv = jnp.where(hand.flipped, mesh.corner_uv[:, ::-1], mesh.corner_uv)
        scene = Scene(
            scene_table(own_pixels, hand.vertices, own_faces, corner_uv, hand.occlusion, hand.normals),
            fine_camera,
            lit,
            texture_level(camera.focal.mean() / hand.vertices[:, 2].mean(), texture),
            hand.person,
        )

        def paint(seen: Array, x: Array, y: Array) -> Array:
            return shade_pixels(scene, *_places(seen, x, y), texture, hand.params, hand.arm, light)

        return paint_covered(picture, to_blocks(mine), width, paint, BLOCKS_AT_ONCE)

    of_all = (jnp.arange(count), hands, faces, pixels.reshape(count, -1, 2))
    picture = jnp.zeros((height // BLOCK * (width // BLOCK), BLOCK * BLOCK), jnp.uint32)
    if count == 1:
        picture = shade_one(picture, jax.tree.map(lambda leaf: leaf[0], of_all))
    else:
        seen_at_all = jnp.any(owner[None] == jnp.arange(count)[:, None, None], axis=(1, 2))

        def shade_if_seen(picture: Array, of: tuple) -> tuple[Array, None]:
            return lax.cond(of[0], shade_one, lambda same, _: same, picture, of[1]), None

        picture, _ = lax.scan(shade_if_seen, picture, (seen_at_all, of_all))
    image = unpack_colors(from_blocks(picture, (height, width)))
    depth = _depth(pixels, together[:, 2], all_faces, seen)
    mostly = coverage >= 0.5
    owner, face, depth = (jnp.where(mostly, *pair) for pair in ((owner, -1), (local >> 2, -1), (depth, 0.0)))
    whole = SkinGroup(image, coverage, owner, face, depth, fine.overflow)
    cut = jax.tree.map(lambda part: part[: size[0], : size[1]], whole._replace(overflow=None))
    return cut._replace(overflow=fine.overflow)


def _one_sample(ids: Array) -> tuple[Array, Array]:
    """Face ids (2 H, 2 W) -> (H, W) four times the id of a sample that sees a face, plus its place, or -1; coverage."""
    height, width = (side // SAMPLES for side in ids.shape)
    four = ids.reshape(height, SAMPLES, width, SAMPLES)
    seen = jnp.full((height, width), -1, jnp.int32)
    for place in (3, 1, 2, 0):
        sample = four[:, place // 2, :, place % 2]
        seen = jnp.where(sample >= 0, 4 * sample + place, seen)
    return seen, (four >= 0).astype(jnp.float32).mean(axis=(1, 3))


def _divided(seen: Array, num_faces: int) -> tuple[Array, Array]:
    """-> the hand, and four times the face within it plus the sample's place; -1 both where none is."""
    owner = jnp.where(seen >= 0, seen // (4 * num_faces), -1)
    return owner, jnp.where(seen >= 0, seen - 4 * num_faces * owner, -1)


def _places(seen: Array, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Whole pixels and what they see -> face ids and the sample's place in the fine picture."""
    place = seen & 3
    return jnp.where(seen >= 0, seen >> 2, -1), 2.0 * x + (place & 1) + 0.5, 2.0 * y + (place >> 1) + 0.5


def _depth(pixels: Array, depth: Array, faces: Array, seen: Array) -> Array:
    planes, _ = face_planes(pixels, depth, faces)
    height, width = seen.shape
    ids, x, y = _places(seen, jnp.arange(width)[None], jnp.arange(height)[:, None])
    face = jnp.maximum(ids, 0)
    x0, y0, start, along_x, along_y = (planes[:, k].at[face].get(mode="promise_in_bounds") for k in (0, 1, 6, 7, 8))
    inverse = start + along_x * (x - x0) + along_y * (y - y0)
    return jnp.where(seen >= 0, 1.0 / jnp.maximum(inverse, 1e-6), 0.0)
