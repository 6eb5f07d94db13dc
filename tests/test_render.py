"""Rasterising, interpolating and shading, against float64 loops over faces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax.camera import Camera, WeakCamera
from handjax.render import (
    Light,
    draw_sprite,
    interpolate,
    merge_meshes,
    mesh_mask,
    rasterize,
    render,
    shade,
    vertex_normals,
)

SIZE = (37, 53)  # neither is a multiple of the block
NUM_FACES = 60
# Two lamps as in the default, so that both share a compiled function.
FLAT_LIGHT = Light(
    np.array([[0.0, 0, -1], [0, -1, -1]]), np.zeros(2), ambient=1.0, sky=0.0, gloss=0.0, wrap=0.0, rim=0.0
)


def soup(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random triangles, some partly or wholly outside the picture or behind the camera, intersecting each other."""
    rng = np.random.default_rng(seed)
    centers = rng.uniform([-15, -15], [SIZE[1] + 15, SIZE[0] + 15], (NUM_FACES, 1, 2))
    pixels = (centers + rng.uniform(-18, 18, (NUM_FACES, 3, 2))).reshape(-1, 2).astype(np.float32)
    depth = rng.uniform(0.3, 0.8, 3 * NUM_FACES).astype(np.float32)
    depth[rng.choice(3 * NUM_FACES, 6, replace=False)] *= -1
    return pixels, depth, np.arange(3 * NUM_FACES, dtype=np.int32).reshape(-1, 3)


def barycentrics(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(3, H, W) float64 at the pixel centres."""
    x, y = np.arange(size[1]) + 0.5, (np.arange(size[0]) + 0.5)[:, None]
    origin, edge1, edge2 = corners[0], corners[1] - corners[0], corners[2] - corners[0]
    area = edge1[0] * edge2[1] - edge1[1] * edge2[0]
    second = ((x - origin[0]) * edge2[1] - (y - origin[1]) * edge2[0]) / area
    third = ((y - origin[1]) * edge1[0] - (x - origin[0]) * edge1[1]) / area
    return np.stack([1 - second - third, second, third])


def reference(pixels, depth, faces, size):
    """float64: ids (H, W), 1 / z (H, W), and where rounding may decide: an edge within 1e-3 px, or two equal depths."""
    ids, nearest, second = np.full(size, -1), np.zeros(size), np.zeros(size)
    unclear = np.zeros(size, bool)
    for index, face in enumerate(faces):
        corners, z = pixels[face].astype(np.float64), depth[face].astype(np.float64)
        if (z <= 1e-4).any():
            continue
        share = barycentrics(corners, size)
        sides = np.linalg.norm(corners[[2, 0, 1]] - corners[[1, 2, 0]], axis=1)
        edge1, edge2 = corners[1] - corners[0], corners[2] - corners[0]
        heights = abs(edge1[0] * edge2[1] - edge1[1] * edge2[0]) / sides
        unclear |= np.abs((share * heights[:, None, None]).min(axis=0)) < 1e-3
        inverse = (share / z[:, None, None]).sum(axis=0)
        closer = (share.min(axis=0) >= 0) & (inverse > nearest)
        second = np.where(closer, nearest, np.maximum(second, np.where(share.min(axis=0) >= 0, inverse, 0)))
        ids, nearest = np.where(closer, index, ids), np.where(closer, inverse, nearest)
    return ids, nearest, unclear | (nearest - second < 1e-5) & (nearest > 0)


def sphere(radius=0.08, distance=0.5, rings=24) -> tuple[np.ndarray, np.ndarray]:
    """A closed sphere, faces counter-clockwise seen from outside."""
    theta = np.linspace(0, np.pi, rings + 1)[1:-1, None]
    phi = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)[None]
    ball = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi], -1)
    vertices = np.concatenate([ball.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]]) * radius + [0, 0, distance]
    wide, faces = 2 * rings, []
    for ring in range(rings - 2):
        for i in range(wide):
            a, b = ring * wide + i, ring * wide + (i + 1) % wide
            faces += [[a, a + wide, b], [b, a + wide, b + wide]]
    top, bottom = len(vertices) - 2, len(vertices) - 1
    last = (rings - 2) * wide
    for i in range(wide):
        faces += [[top, i, (i + 1) % wide], [bottom, last + (i + 1) % wide, last + i]]
    return vertices.astype(np.float32), np.array(faces, np.int32)


@pytest.mark.parametrize("seed", range(6))
def test_every_pixel_sees_the_face_that_float64_loops_see(seed):
    pixels, depth, faces = soup(seed)
    ids, _, unclear = reference(pixels, depth, faces, SIZE)
    result = rasterize(pixels, depth, faces, size=SIZE)
    assert not result.overflow
    assert result.face_ids.shape == SIZE and result.face_ids.dtype == jnp.int32
    assert unclear.mean() < 0.02
    np.testing.assert_array_equal(np.asarray(result.face_ids)[~unclear], ids[~unclear])
    assert (ids >= 0).mean() > 0.5


@pytest.mark.parametrize("seed", range(3))
def test_attributes_and_depth_are_perspective_correct(seed):
    pixels, depth, faces = soup(seed)
    ids, inverse, unclear = reference(pixels, depth, faces, SIZE)
    attributes = np.random.default_rng(seed).normal(size=(len(pixels), 2)).astype(np.float32)
    result = interpolate(pixels, depth, faces, np.where(unclear, -1, ids).astype(np.int32), attributes)
    seen = (ids >= 0) & ~unclear
    np.testing.assert_array_equal(result.mask, seen)
    np.testing.assert_allclose(np.asarray(result.depth)[seen], 1 / inverse[seen], rtol=1e-5)
    assert (np.asarray(result.depth)[~seen] == 0).all() and (np.asarray(result.attributes)[~seen] == 0).all()
    for index in np.unique(ids[seen]):
        corners, z = pixels[faces[index]].astype(np.float64), depth[faces[index]].astype(np.float64)
        share = barycentrics(corners, SIZE) / z[:, None, None]
        value = np.einsum("khw,kc->hwc", share / share.sum(axis=0), attributes[faces[index]].astype(np.float64))
        here = seen & (ids == index)
        np.testing.assert_allclose(np.asarray(result.attributes)[here], value[here], rtol=1e-4, atol=2e-5)


def test_corner_attributes_equal_vertex_attributes_where_they_agree():
    pixels, depth, faces = soup(1)
    ids = rasterize(pixels, depth, faces, size=SIZE).face_ids
    attributes = np.random.default_rng(1).normal(size=(len(pixels), 3)).astype(np.float32)
    by_vertex = interpolate(pixels, depth, faces, ids, attributes)
    by_corner = interpolate(pixels, depth, faces, ids, attributes[faces])
    np.testing.assert_allclose(by_vertex.attributes, by_corner.attributes, rtol=1e-6)


def test_gradient_of_interpolation_equals_finite_differences():
    pixels, depth, faces = soup(2)
    depth = np.abs(depth)
    ids = rasterize(pixels, depth, faces, size=SIZE).face_ids
    rng = np.random.default_rng(0)
    attributes = rng.normal(size=(len(pixels), 2)).astype(np.float32)
    weights = rng.normal(size=(*SIZE, 2)).astype(np.float32)

    def loss(pixels, depth, attributes):
        face_ids = rasterize(pixels, depth, faces, SIZE).face_ids
        surface = interpolate(pixels, depth, faces, face_ids, attributes)
        return (weights * surface.attributes).sum() + surface.depth.sum()

    def loss64(pixels, depth, attributes):
        total = 0.0
        for index in np.unique(ids[ids >= 0]):
            here = np.asarray(ids) == index
            share = barycentrics(pixels[faces[index]], SIZE)[:, here] / depth[faces[index]][:, None]
            value = (share / share.sum(axis=0)).T @ attributes[faces[index]]
            total += (weights[here] * value).sum() + (1 / share.sum(axis=0)).sum()
        return total

    inputs = (pixels, depth, attributes)
    gradients = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*inputs)
    exact = tuple(array.astype(np.float64) for array in inputs)
    for argument, gradient in enumerate(gradients):
        direction = np.asarray(gradient, np.float64) / np.linalg.norm(gradient)
        moved = []
        for step in (1e-6, -1e-6):
            inputs64 = list(exact)
            inputs64[argument] = exact[argument] + step * direction
            moved.append(loss64(*inputs64))
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose((moved[0] - moved[1]) / 2e-6, np.linalg.norm(gradient), rtol=2e-3)


def test_closed_mesh_has_no_holes_along_shared_edges():
    vertices, faces = sphere()
    for shift in np.linspace(0, 0.9, 4):
        camera = Camera(jnp.array([200.0, 200.0]), jnp.array([32 + shift, 32 - shift]))
        output = render(camera, vertices, faces, size=(64, 64))
        x, y = np.meshgrid(np.arange(64) + 0.5 - 32 - shift, np.arange(64) + 0.5 - 32 + shift)
        # The outline of a ball of radius r at distance d is a circle of radius f r / sqrt(d^2 - r^2).
        radius = 200 * 0.08 / np.sqrt(0.5**2 - 0.08**2)
        assert (np.asarray(output.mask)[np.hypot(x, y) < radius - 0.5] == 1).all()
        assert (np.asarray(output.mask)[np.hypot(x, y) > radius + 0.01] == 0).all()


def test_pixel_centres_on_vertices_and_edges_are_covered():
    x, y = np.meshgrid(np.arange(0, 49, 4) + 0.5, np.arange(0, 33, 4) + 0.5)
    pixels = np.stack([x, y], -1).reshape(-1, 2).astype(np.float32)
    wide = x.shape[1]
    quads = [r * wide + c for r in range(x.shape[0] - 1) for c in range(wide - 1)]
    faces = np.array([f for a in quads for f in ([a, a + 1, a + wide], [a + 1, a + wide + 1, a + wide])], np.int32)
    ids = rasterize(pixels, np.full(len(pixels), 0.5), faces, SIZE).face_ids
    covered = np.zeros(SIZE, bool)
    covered[:33, :49] = True
    np.testing.assert_array_equal(np.asarray(ids) >= 0, covered)


def test_degenerate_far_and_broken_vertices_draw_nothing_and_harm_nothing():
    pixels, depth, faces = soup(3)
    expected = rasterize(pixels, depth, faces, size=SIZE).face_ids
    pixels, depth = pixels.copy(), depth.copy()
    kept = np.setdiff1d(np.arange(NUM_FACES), np.unique(expected))[:5]
    assert len(kept) == 5, "the scene must have unseen faces to break"
    pixels[faces[kept[0]]] = np.nan
    pixels[faces[kept[1]]] = 7.0
    pixels[faces[kept[2]]] = np.array([[1e30, 1e30], [2e30, 1e30], [1e30, 3e30]])
    pixels[faces[kept[3]]] = -1e12
    depth[faces[kept[4]]] = -1e-3
    result = rasterize(pixels, depth, faces, size=SIZE)
    np.testing.assert_array_equal(result.face_ids, expected)
    gradient = jax.grad(lambda p: interpolate(p, depth, faces, expected, np.ones((len(p), 1))).depth.sum())(
        jnp.where(jnp.isnan(pixels), 0.0, pixels)
    )
    assert np.isfinite(gradient).all()


def test_no_faces_and_no_face_in_view_give_an_empty_picture():
    pixels, depth, faces = soup(0)
    assert (np.asarray(rasterize(pixels, depth, faces[:0], SIZE).face_ids) == -1).all()
    assert (np.asarray(rasterize(pixels, -np.abs(depth), faces, size=SIZE).face_ids) == -1).all()
    assert (np.asarray(rasterize(pixels + 1000, np.abs(depth), faces, size=SIZE).face_ids) == -1).all()


def test_too_many_rows_are_reported_not_dropped_in_silence():
    vertices = np.array([[-1e2, -1e2, 1], [4e2, -1e2, 1], [-1e2, 4e2, 1]], np.float32)
    camera = Camera(jnp.array([1e3, 1e3]), jnp.array([0.0, 0.0]))
    faces = np.tile(np.array([[0, 1, 2]], np.int32), (2**17 + 1, 1))
    # 2^17 faces over 2^13 blocks are 2^30 rows: one face more than can be counted.
    with pytest.raises(OverflowError, match="cover too many blocks"):
        render(camera, vertices, faces, size=(512, 1024))


def test_batched_rasterising_equals_one_by_one():
    scenes = [soup(seed) for seed in range(3)]
    pixels, depth = np.stack([s[0] for s in scenes]), np.stack([s[1] for s in scenes])
    batched = jax.jit(jax.vmap(lambda p, z: rasterize(p, z, scenes[0][2], SIZE)))(pixels, depth)
    for index, scene in enumerate(scenes):
        np.testing.assert_array_equal(batched.face_ids[index], rasterize(*scene, size=SIZE).face_ids)


def test_normals_of_a_sphere_point_outwards():
    vertices, faces = sphere()
    normals = vertex_normals(vertices, faces)
    outwards = (vertices - [0, 0, 0.5]) / 0.08
    np.testing.assert_allclose(normals, outwards, atol=0.03)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    lone = vertex_normals(np.concatenate([vertices, np.zeros((1, 3), np.float32)]), faces)
    np.testing.assert_array_equal(lone[-1], 0)
    gradient = jax.grad(lambda v: vertex_normals(v, faces).sum())(jnp.zeros_like(vertices))
    assert np.isfinite(gradient).all()


def test_shading_adds_lamps_in_linear_intensity():
    towards = np.array([[0.0, 0, -2], [3.0, 0, 0]])
    light = Light(towards, np.array([0.5, 0.25]), ambient=0.1, sky=0.2, gloss=0.0, wrap=0.0, rim=0.0)
    normals = np.array([[0, 0, -1], [5.0, 0, 0], [0, -1, 0], [0, 0, 1]])
    lit = shade(normals, np.full((4, 3), 0.6), light)
    np.testing.assert_allclose(lit[:, 0], 0.6 * np.sqrt([0.6, 0.35, 0.3, 0.1]), rtol=1e-5)


def test_shading_stays_in_range_with_finite_gradients():
    for normal in (np.zeros(3), np.array([0.0, 0, 1e-20]), np.array([0, 0, -1e6])):
        assert ((shade(normal, np.ones(3)) >= 0) & (shade(normal, np.ones(3)) <= 1)).all()
        assert np.isfinite(jax.grad(lambda n: shade(n, jnp.zeros(3)).sum())(jnp.asarray(normal))).all()


def square(side: float, depth: float, center=(0.0, 0.0)) -> tuple[np.ndarray, np.ndarray]:
    """A square facing the camera."""
    x, y = center
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2 + [x, y]
    return np.column_stack([corners, np.full(4, depth)]).astype(np.float32), np.array([[0, 2, 1], [0, 3, 2]], np.int32)


CAMERA = Camera(jnp.array([100.0, 100.0]), jnp.array([26.5, 18.5]))


def test_mask_is_the_covered_share_of_the_pixel_and_depth_is_in_metres():
    vertices, faces = square(0.101, 0.5)  # 20.2 px wide from 16.4 to 36.6
    output = render(CAMERA, vertices, faces, size=SIZE, supersample=5, light=FLAT_LIGHT)
    mask = np.asarray(output.mask)
    np.testing.assert_allclose(mask.sum(), 20.2**2, rtol=0.01)
    np.testing.assert_allclose(mask[18, [15, 16, 17, 35, 36, 37]], [0, 0.6, 1, 1, 0.6, 0], atol=1e-6)
    np.testing.assert_allclose(output.depth[18, 26], 0.5, rtol=1e-6)
    assert output.depth[0, 0] == 0 and output.face_ids[0, 0] == -1


def test_depth_and_ids_do_not_depend_on_supersampling():
    vertices, faces = square(0.101, 0.5)
    vertices[0, 2] = 0.6
    one, five = (render(CAMERA, vertices, faces, size=SIZE, supersample=s, light=FLAT_LIGHT) for s in (1, 5))
    np.testing.assert_array_equal(one.face_ids, five.face_ids)
    np.testing.assert_allclose(one.depth, five.depth, rtol=1e-6)
    np.testing.assert_array_equal(one.mask, np.asarray(one.face_ids) >= 0)


def test_colors_blend_with_the_background_by_coverage():
    vertices, faces = square(0.101, 0.5)
    output = render(
        *(CAMERA, vertices, faces, (0.8, 0.4, 0.2)),
        size=SIZE,
        supersample=5,
        light=FLAT_LIGHT,
        background=np.array([0.0, 0.0, 1.0]),
    )
    np.testing.assert_allclose(output.image[18, 26], [0.8, 0.4, 0.2], atol=1e-5)
    np.testing.assert_allclose(output.image[18, 36], [0.48, 0.24, 0.52], atol=1e-5)
    np.testing.assert_allclose(output.image[0, 0], [0, 0, 1], atol=1e-6)


def test_faces_seen_from_behind_are_darker():
    vertices, faces = square(0.101, 0.5)
    front = render(CAMERA, vertices, faces, size=SIZE, light=FLAT_LIGHT).image[18, 26]
    back = render(CAMERA, vertices, faces[:, ::-1], size=SIZE, light=FLAT_LIGHT).image[18, 26]
    assert (back < 0.7 * front).all()


def test_the_nearer_of_two_merged_meshes_hides_the_other():
    near, faces = square(0.05, 0.4)
    far, _ = square(0.2, 0.8, center=(0.05, 0.0))
    scene = merge_meshes([far, near], faces)
    assert scene.vertices.shape == (8, 3) and scene.face_mesh.tolist() == [0, 0, 1, 1]
    output = render(CAMERA, scene.vertices, scene.faces, size=SIZE)
    mask = np.asarray(mesh_mask(output.face_ids, scene.face_mesh))
    assert mask.dtype == np.int8
    assert mask[18, 26] == 2 and mask[18, 40] == 1 and mask[0, 0] == 0
    swapped = merge_meshes((near, far), (faces, faces))
    again = render(CAMERA, swapped.vertices, swapped.faces, size=SIZE)
    swapped_mask = np.asarray(mesh_mask(again.face_ids, swapped.face_mesh))
    np.testing.assert_array_equal(np.array([0, 2, 1])[swapped_mask], mask)


def test_sprite_shows_what_render_shows():
    vertices, faces = sphere()
    colors = np.random.default_rng(0).uniform(0, 1, vertices.shape).astype(np.float32)
    camera = Camera(jnp.array([160.0, 160.0]), jnp.array([20.0, 45.0]))
    light = FLAT_LIGHT._replace(gloss=0.1, strengths=np.array([0.5, 0.2]), rim=0.3, sky=0.1, ambient=0.2, wrap=0.2)
    sprite = np.asarray(draw_sprite(camera, vertices, faces, colors, light, (64, 64)))
    output = render(camera, vertices, faces, colors, size=(64, 64), light=light)
    assert sprite.shape == (64, 64, 4) and sprite.dtype == np.uint8
    np.testing.assert_array_equal(sprite[..., 3], 255 * np.asarray(output.mask).astype(np.uint8))
    np.testing.assert_allclose(sprite[..., :3], np.asarray(output.image) * 255, atol=0.51)
    assert (sprite[..., 3] > 0).mean() > 0.3


def test_nothing_promotes_ranks_by_accident():
    vertices, faces = square(0.1, 0.5)
    with jax.numpy_rank_promotion("raise"):
        picture = jax.eval_shape(
            lambda v: render(CAMERA, v, faces, np.ones((4, 3)), size=(24, 32), supersample=2, background=0.5), vertices
        )
        sprite = jax.eval_shape(lambda v: draw_sprite(CAMERA, v, faces, np.ones(3), FLAT_LIGHT, (24, 32)), vertices)
    assert picture.image.shape == (24, 32, 3) and sprite.shape == (24, 32, 4)


VERTICES, FACES = square(0.1, 0.5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rasterize(VERTICES, VERTICES[:, 2], FACES, SIZE), ValueError, r"pixels must have shape \(V, 2\)"),
        (lambda: rasterize(VERTICES[:, :2], np.ones(3), FACES, SIZE), ValueError, "depth must have shape"),
        (lambda: rasterize(VERTICES[:, :2], np.ones(4), FACES.T, SIZE), ValueError, "faces must have shape"),
        (lambda: rasterize(VERTICES[:, :2], np.ones(4), FACES, (0, 5)), ValueError, "both positive, got"),
        (
            lambda: rasterize(VERTICES[:, :2], np.ones(4), np.zeros((2**19 + 1, 3), np.int32), SIZE),
            ValueError,
            "faces must be at most 524288",
        ),
        (
            lambda: interpolate(VERTICES[:, :2], np.ones(4), FACES, np.zeros(SIZE), np.ones((5, 2))),
            ValueError,
            "attributes must have shape",
        ),
        (
            lambda: interpolate(VERTICES[:, :2], np.ones(4), FACES, np.zeros(4), np.ones((4, 2))),
            ValueError,
            "face_ids must have shape",
        ),
        (
            lambda: render(WeakCamera(jnp.ones(()), jnp.ones(2)), VERTICES, FACES, size=SIZE),
            TypeError,
            "camera must be a Camera, got WeakCamera",
        ),
        (lambda: render(CAMERA, VERTICES[:, :2], FACES, size=SIZE), ValueError, "vertices must have shape"),
        (lambda: render(CAMERA, VERTICES, FACES, np.ones((3, 3)), size=SIZE), ValueError, "colors must have shape"),
        (lambda: render(CAMERA, VERTICES, FACES, np.ones(4), size=SIZE), ValueError, "colors must have shape"),
        (
            lambda: render(CAMERA, VERTICES, FACES, size=SIZE, background=np.ones((4, 4, 3))),
            ValueError,
            "background must have shape",
        ),
        (lambda: render(CAMERA, VERTICES, FACES, size=SIZE, supersample=0), ValueError, "supersample must be at least"),
        (lambda: shade(np.ones(2), np.ones(3)), ValueError, "normals must have shape"),
        (lambda: vertex_normals(VERTICES, FACES[:, :2]), ValueError, "faces must have shape"),
        (lambda: merge_meshes([], FACES), ValueError, "at least one mesh"),
        (lambda: merge_meshes([VERTICES], [FACES, FACES]), ValueError, r"one per mesh \(1\), got 2"),
        (lambda: draw_sprite(CAMERA, VERTICES, FACES, np.ones(3), FLAT_LIGHT, SIZE), ValueError, "multiples of 8"),
    ],
)
def test_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
