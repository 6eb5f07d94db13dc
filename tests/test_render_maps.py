"""What the drawn pictures promise beside their gradients: areas, ranges, depth order, cameras, batches, limits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax.camera import Camera, WeakCamera
from handjax.render import (
    antialias,
    depth_map,
    draw_maps,
    harmonic_basis,
    lit_by_harmonics,
    merge_meshes,
    silhouette,
    topology,
)

SIZE = (32, 40)
CAMERA = Camera(jnp.array([100.0, 100.0]), jnp.array([20.3, 15.8]))
QUAD = np.array([[0, 2, 1], [0, 3, 2]], np.int32)
CORNERS = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
SQUARE = topology(QUAD)


def square(half=0.05, depth=0.5, x=0.0, y=0.0) -> np.ndarray:
    return (half * CORNERS + [x, y, depth]).astype(np.float32)


draw_square = jax.jit(lambda vertices: draw_maps(CAMERA, vertices, SQUARE, size=SIZE))


def soup(seed: int) -> np.ndarray:
    """Random triangles, small and large, crossing each other and the picture's border; a few behind the camera."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform([-0.12, -0.1, 0.4], [0.12, 0.1, 0.6], (40, 1, 3)) + 0.05 * rng.normal(size=(40, 3, 3))
    corners[:3, 0, 2] *= -1
    return corners.reshape(-1, 3).astype(np.float32)


SOUP = topology(np.arange(120).reshape(-1, 3))


@partial(jax.jit, static_argnames="crossings")
def draw_soup(vertices, crossings=4000):
    colors = jnp.asarray(np.random.default_rng(9).uniform(0.2, 0.9, (120, 3)), jnp.float32)
    return draw_maps(CAMERA, vertices, SOUP, colors, size=SIZE, background=0.5, crossings=crossings)


def test_topology_of_a_closed_surface_has_each_edge_once():
    faces = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    mesh = topology(faces)
    assert len(mesh.edges) == 6 and (mesh.edge_faces >= 0).all()
    assert {tuple(sorted(edge)) for edge in mesh.edges.tolist()} == {(a, b) for b in range(4) for a in range(b)}
    for edge, (first, second) in zip(mesh.edges.tolist(), mesh.edge_faces.tolist(), strict=True):
        ways = [{(face[k], face[(k + 1) % 3]) for k in range(3)} for face in faces[[first, second]].tolist()]
        assert tuple(edge) in ways[0] and tuple(edge[::-1]) in ways[1]


@pytest.mark.parametrize(
    ("faces", "joined", "lone"),
    [
        (QUAD, 1, 4),
        ([[0, 1, 2], [1, 0, 3], [0, 1, 4]], 0, 9),  # three at one edge
        ([[0, 1, 2], [0, 1, 3]], 0, 6),  # wound against each other
        ([[0, 1, 2], [1, 1, 2], [1, 0, 3]], 1, 4),  # one without area
    ],
)
def test_edges_that_do_not_join_two_faces_bound_each_of_theirs(faces, joined, lone):
    mesh = topology(faces)
    assert ((mesh.edge_faces >= 0).all(axis=1).sum(), (mesh.edge_faces[:, 1] < 0).sum()) == (joined, lone)


def test_area_of_a_square_and_its_growth():
    def area(half, x):
        vertices = jnp.asarray(CORNERS, jnp.float32) * half + jnp.stack([x, 0.01, 0.5])[None]
        return silhouette(CAMERA, vertices, SQUARE, size=SIZE).mask.sum()

    side = 2 * 0.05 * 100 / 0.5
    value_and_grad = jax.jit(jax.value_and_grad(area, argnums=(0, 1)))
    for x in np.linspace(0, 0.004, 5):
        value, (growth, drift) = value_and_grad(0.05, x)
        np.testing.assert_allclose(value, side**2, atol=1.0)  # four corners, a quarter of a pixel each
        np.testing.assert_allclose(growth, 2 * side * side / 0.05, rtol=0.03)
        assert abs(drift) < 0.03 * side * 200


def test_mask_of_a_ball_has_the_area_of_its_outline_and_grows_by_its_circumference():
    theta, phi = np.linspace(0, np.pi, 25)[1:-1, None], np.linspace(0, 2 * np.pi, 48, endpoint=False)[None]
    ball = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi], -1)
    ball = np.concatenate([ball.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]]).astype(np.float32)
    faces = [[1104, i, (i + 1) % 48] for i in range(48)] + [[1105, 1056 + (i + 1) % 48, 1056 + i] for i in range(48)]
    for ring in range(22):
        for i in range(48):
            a, b = ring * 48 + i, ring * 48 + (i + 1) % 48
            faces += [[a, a + 48, b], [b, a + 48, b + 48]]
    mesh = topology(faces)

    @jax.jit
    @partial(jax.value_and_grad, argnums=(0, 1))
    def area(radius, x):
        vertices = radius * ball + jnp.stack([x, 0.0, 0.5])[None]
        return silhouette(CAMERA, vertices, mesh, size=SIZE).mask.sum()

    # The outline of a ball is a circle of radius f r / sqrt(d^2 - r^2); a polygon of 48 corners is 0.3 % smaller.
    radius = 100 * 0.06 / np.sqrt(0.5**2 - 0.06**2)
    value, (growth, drift) = area(0.06, 0.0)
    np.testing.assert_allclose(value, np.pi * radius**2, rtol=0.01)
    np.testing.assert_allclose(growth, 2 * np.pi * radius**2 / 0.06 * (1 + 0.06**2 / (0.5**2 - 0.06**2)), rtol=0.04)
    assert abs(drift) < 0.02 * growth


@pytest.mark.parametrize("seed", range(3))
def test_antialiasing_only_mixes_neighbours(seed):
    maps = draw_soup(soup(seed))
    mask, image = np.asarray(maps.mask), np.asarray(maps.image)
    assert -1e-6 <= mask.min() and mask.max() <= 1 + 1e-6
    assert 0.2 - 1e-5 <= image.min() and image.max() <= 0.9 + 1e-5
    covered = np.asarray(maps.face_ids) >= 0
    alone = np.pad(covered, 1, mode="edge")
    same = [
        alone[1:-1, 1:-1] == alone[1 + dy : 33 + dy, 1 + dx : 41 + dx] for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
    ]
    inside = np.all(same, axis=0)
    np.testing.assert_array_equal(mask[inside], covered[inside])
    assert ((mask > 0.02) & (mask < 0.98)).any()


@pytest.mark.parametrize("seed", range(3))
def test_depth_and_normals_are_those_of_the_pixel_centre(seed):
    vertices = soup(seed)
    maps = draw_soup(vertices)
    ids, depth = np.asarray(maps.face_ids), np.asarray(maps.depth)
    np.testing.assert_array_equal(depth > 0, ids >= 0)
    np.testing.assert_array_equal(np.abs(np.asarray(maps.normals)).sum(axis=-1) > 0, ids >= 0)
    rows, columns = np.nonzero(ids >= 0)
    assert len(rows) > 100
    corners = vertices[SOUP.faces[ids[rows, columns]]].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    rays = np.stack([(columns + 0.5 - 20.3) / 100, (rows + 0.5 - 15.8) / 100, np.ones(len(rows))], axis=-1)
    expected = (across * corners[:, 0]).sum(axis=1) / (across * rays).sum(axis=1)
    np.testing.assert_allclose(depth[rows, columns], expected, rtol=1e-3)
    towards = across / np.linalg.norm(across, axis=1, keepdims=True)
    towards *= -np.sign((towards * corners[:, 0]).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(np.asarray(maps.normals)[rows, columns], towards, atol=1e-3)
    only = depth_map(CAMERA, vertices, SOUP, size=SIZE, crossings=4000)
    np.testing.assert_allclose(only.depth, depth, rtol=1e-6)
    np.testing.assert_allclose(only.mask, maps.mask, atol=1e-6)


def test_maps_and_loops_and_devices_agree():
    batch = jnp.stack([soup(seed) for seed in range(4)])
    single = [draw_soup(vertices) for vertices in batch]
    for many in (jax.vmap(draw_soup), partial(jax.lax.map, draw_soup), jax.pmap(draw_soup)):
        drawn = many(batch)
        for index, one in enumerate(single):
            jax.tree.map(lambda a, b, i=index: np.testing.assert_allclose(a[i], b, atol=1e-5), drawn, one)


def test_too_few_crossings_are_reported():
    vertices = soup(0)
    with pytest.raises(OverflowError, match="give more crossings"):
        silhouette(CAMERA, vertices, SOUP, size=SIZE, crossings=8)
    assert bool(draw_soup(vertices, crossings=8).overflow)
    assert not bool(draw_soup(vertices).overflow)


def test_room_beyond_what_is_needed_changes_nothing():
    few, many = draw_soup(soup(1)), draw_soup(soup(1), crossings=9000)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), few, many)


def test_a_weak_camera_sees_what_a_distant_one_sees():
    vertices = np.abs(soup(2)) * np.array([1, 1, 0.2], np.float32) - np.array([0.05, 0.05, 0.1], np.float32)
    far = 1000.0
    weak = WeakCamera(jnp.array(200.0), jnp.array([20.3, 15.8]))
    perspective = Camera(jnp.full(2, 200.0 * far), jnp.array([20.3, 15.8]))
    near_by = draw_maps(weak, vertices, SOUP, size=SIZE, crossings=4000)
    # In float32 a kilometre away 0.06 mm are lost, hence the narrow depth range in metres and the tolerance.
    distant = draw_maps(perspective, vertices + np.array([0, 0, far], np.float32), SOUP, size=SIZE, crossings=4000)
    same = np.asarray(near_by.face_ids) == np.asarray(distant.face_ids)
    assert same.mean() > 0.98
    assert np.abs(np.asarray(near_by.mask) - np.asarray(distant.mask))[same].max() < 0.02
    covered = same & (np.asarray(near_by.face_ids) >= 0)
    assert covered.mean() > 0.3
    np.testing.assert_allclose(near_by.depth[covered], distant.depth[covered] - far, atol=2e-3)


def test_faces_that_reach_the_near_plane_are_left_out_and_leave_an_outline():
    vertices = square()
    vertices[1, 2] = -0.1
    maps = draw_square(vertices)
    ids = np.asarray(maps.face_ids)
    assert set(np.unique(ids)) == {-1, 1}
    mask = np.asarray(maps.mask)
    assert ((mask > 0.1) & (mask < 0.9)).sum() > 5  # along the diagonal too


def test_several_meshes_share_a_picture():
    scene = merge_meshes([square(0.02, 0.4), square(0.06, 0.8, 0.02)], QUAD)
    drawn = draw_maps(CAMERA, scene.vertices, topology(scene.faces), size=SIZE)
    assert drawn.depth[15, 20] == pytest.approx(0.4) and drawn.depth[15, 27] == pytest.approx(0.8)
    np.testing.assert_allclose(drawn.mask[15, 16:28], 1, atol=1e-6)


def test_harmonics_are_orthogonal_with_the_published_scales():
    nodes, weights = np.polynomial.legendre.leggauss(8)
    phi = np.arange(16) * np.pi / 8
    sine = np.sqrt(1 - nodes**2)[:, None]
    normals = np.stack([sine * np.cos(phi), sine * np.sin(phi), nodes[:, None] + 0 * phi], axis=-1)
    basis = np.asarray(harmonic_basis(normals), np.float64)
    gram = np.einsum("i,ijk,ijl->kl", weights * np.pi / 8, basis, basis)
    scales = np.array([np.pi, *[2 * np.pi / np.sqrt(3)] * 3, *[2 * np.pi / np.sqrt(8)] * 5])
    np.testing.assert_allclose(gram, np.diag(scales**2), atol=1e-4)
    x, y, z = 0.48, -0.6, 0.64
    c2 = 3 * np.sqrt(5) / np.sqrt(12 * np.pi)
    signs = [1, -y, z, -x, x * y, -y * z, (3 * z * z - 1) * 0.5 / np.sqrt(3), -x * z, 0.5 * (x * x - y * y)]
    norms = [1 / np.sqrt(4 * np.pi), *[np.sqrt(3) / np.sqrt(4 * np.pi)] * 3, *[c2] * 5]
    np.testing.assert_allclose(harmonic_basis(np.array([x, y, z])), scales * norms * signs, rtol=1e-5)


def test_each_colour_has_its_own_nine_coefficients():
    light = np.zeros(27)
    light[[0, 9, 18]] = np.array([1.0, 0.5, 2.0]) / (np.pi / np.sqrt(4 * np.pi))
    normals = np.array([[0.0, 0, -1], [0.6, 0.8, 0]])
    np.testing.assert_allclose(lit_by_harmonics(np.full((2, 3), 0.4), normals, light), [[0.4, 0.2, 0.8]] * 2, rtol=1e-5)
    drawn = draw_maps(CAMERA, square(), SQUARE, np.full(3, 0.4), light, size=SIZE, background=np.array([0, 0, 1.0]))
    np.testing.assert_allclose(drawn.image[15, 20], [0.4, 0.2, 0.8], rtol=1e-5)
    np.testing.assert_allclose(drawn.image[0, 0], [0, 0, 1])


def test_nothing_is_drawn_of_broken_vertices_inside_jit():
    vertices = square()
    vertices[2] = np.nan
    drawn = draw_square(vertices)
    assert not drawn.mask.any() and (np.asarray(drawn.face_ids) == -1).all()


NOT_FINITE = square() * np.array([[np.nan, 1, 1]], np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: topology(np.zeros((0, 3), int)), ValueError, "faces must hold at least one triangle"),
        (lambda: topology(np.zeros((4, 4), int)), ValueError, r"faces must have shape \(F, 3\)"),
        (lambda: topology(QUAD + 0.5), ValueError, "faces must be integers, got float"),
        (lambda: topology(QUAD - 1), ValueError, "faces must not be negative, got -1"),
        (lambda: jax.jit(topology)(QUAD), TypeError, "faces must be known outside jit"),
        (lambda: silhouette((1, 2), square(), SQUARE, size=SIZE), TypeError, "camera must be a Camera or a WeakCamera"),
        (
            lambda: silhouette(Camera(jnp.ones(3), jnp.ones(2)), square(), SQUARE, size=SIZE),
            ValueError,
            r"camera.focal must have shape \(2,\), got \(3,\)",
        ),
        (
            lambda: silhouette(WeakCamera(jnp.ones(1), jnp.ones(2)), square(), SQUARE, size=SIZE),
            ValueError,
            "camera.scale must have shape",
        ),
        (lambda: silhouette(CAMERA, square(), QUAD, size=SIZE), TypeError, "topology must be made by"),
        (lambda: silhouette(CAMERA, square()[:, :2], SQUARE, size=SIZE), ValueError, r"vertices must have shape \(V"),
        (lambda: silhouette(CAMERA, square()[:3], SQUARE, size=SIZE), ValueError, "vertices must be at least 4, got 3"),
        (lambda: depth_map(CAMERA, NOT_FINITE, SQUARE, size=SIZE), ValueError, "vertices must be finite"),
        (lambda: depth_map(CAMERA, square(), SQUARE, size=(0, 8)), ValueError, "size must be"),
        (lambda: depth_map(CAMERA, square(), SQUARE, size=SIZE, crossings=0), ValueError, "crossings must be from 1"),
        (lambda: draw_maps(CAMERA, square(), SQUARE, np.ones((3, 3)), size=SIZE), ValueError, "colors must have shape"),
        (
            lambda: draw_maps(CAMERA, square(), SQUARE, harmonics=np.ones(9), size=SIZE),
            ValueError,
            "harmonics must have shape",
        ),
        (
            lambda: draw_maps(CAMERA, square(), SQUARE, size=SIZE, background=np.ones((4, 4, 3))),
            ValueError,
            "background must have shape",
        ),
        (
            lambda: antialias(np.ones(SIZE), CAMERA, square(), SQUARE, np.zeros(SIZE)),
            ValueError,
            "channels must have shape",
        ),
        (
            lambda: antialias(np.ones((*SIZE, 1)), CAMERA, square(), SQUARE, np.zeros((3, 3))),
            ValueError,
            "face_ids must have shape",
        ),
        (lambda: harmonic_basis(np.ones(2)), ValueError, "normals must have shape"),
        (lambda: lit_by_harmonics(np.ones(3), np.ones(3), np.ones(9)), ValueError, "coefficients must have shape"),
    ],
)
def test_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
