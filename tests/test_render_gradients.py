"""Gradients of drawn pictures, against differences of finely sampled ones and against their own differences."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.camera import Camera, WeakCamera, project
from handjax.render import (
    Topology,
    antialias,
    depth_map,
    draw_maps,
    interpolate,
    lit_by_harmonics,
    merge_meshes,
    rasterize,
    silhouette,
    topology,
    vertex_normals,
)

SIDE, FINER = 96, 6
FOCAL = 2.2 * SIDE
CAMERA = Camera(jnp.full(2, FOCAL), jnp.full(2, SIDE / 2))
BACKGROUND = np.array([0.1, 0.2, 0.35], np.float32)
LIGHT = np.tile(np.array([0.9, 0.2, -0.3, 0.15, 0.05, 0.05, 0.1, 0.05, 0.05], np.float32), 3)


class Hands(NamedTuple):
    vertices: np.ndarray
    topology: Topology
    colors: np.ndarray


def hands(count: int) -> Hands:
    """One hand, its palm towards the camera; or a second one 10 cm behind, partly hidden."""
    model = mano.default()
    rng = np.random.default_rng(1)
    meshes = []
    for orient, transl in [([1.3, 0.3, 0.2], [0, 0, 0.5]), ([1.6, -0.2, 0.9], [0.03, 0.025, 0.6])][:count]:
        pose = jnp.asarray(0.08 * rng.normal(size=45), jnp.float32)
        params = mano.HandParams(jnp.zeros(10), jnp.asarray(orient), pose, jnp.zeros(3))
        vertices = np.asarray(mano.forward(model, params).vertices)
        meshes.append(vertices - vertices.mean(axis=0) + np.asarray(transl, np.float32))
    scene = merge_meshes(meshes, model.faces)
    vertices = np.asarray(scene.vertices)
    colors = 0.6 + 0.2 * np.sin(vertices @ np.array([[40.0, 10, 25], [15, 45, -20], [5, 20, 30]]))
    return Hands(vertices, topology(scene.faces), colors.astype(np.float32))


def directions(vertices: np.ndarray) -> np.ndarray:
    """(D, V, 3): shifts, turns, growth and smooth waves, each of about unit size."""
    apart = (vertices - vertices.mean(axis=0)) / 0.06
    rigid = [np.broadcast_to(axis, vertices.shape) for axis in np.eye(3)]
    rigid += [np.cross(axis, apart) for axis in np.eye(3)] + [apart]
    rng = np.random.default_rng(2)
    waves = [np.sin(vertices @ (40 * rng.normal(size=(3, 3))) + rng.uniform(0, 6, 3)) for _ in range(5)]
    return np.stack([*rigid, *waves]).astype(np.float32)


def sampled(scene: Hands, vertices) -> jax.Array:
    """(SIDE, SIDE, 5): mask, depth and colours, each the mean of FINER x FINER hard samples a pixel."""
    side = SIDE * FINER
    pixels, depth, faces = project(CAMERA, vertices) * FINER, vertices[:, 2], jnp.asarray(scene.topology.faces)
    ids = rasterize(pixels, depth, faces, (side, side)).face_ids
    attributes = jnp.concatenate([jnp.asarray(scene.colors), vertex_normals(vertices, faces)], axis=-1)
    surface = interpolate(pixels, depth, faces, ids, attributes)
    normals = surface.attributes[..., 3:]
    normals = normals / jnp.maximum(jnp.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    # These hands show their outside alone, but for the wrist's rim.
    lit = lit_by_harmonics(surface.attributes[..., :3], normals, LIGHT)
    image = jnp.where(surface.mask[..., None], lit, BACKGROUND[None, None])
    fine = jnp.concatenate([surface.mask[..., None], surface.depth[..., None], image], axis=-1)
    return fine.reshape(SIDE, FINER, SIDE, FINER, 5).mean(axis=(1, 3))


def drawn(scene: Hands, vertices) -> jax.Array:
    maps = draw_maps(CAMERA, vertices, scene.topology, scene.colors, LIGHT, size=(SIDE, SIDE), background=BACKGROUND)
    faces = jnp.asarray(scene.topology.faces)
    surface = interpolate(project(CAMERA, vertices), vertices[:, 2], faces, maps.face_ids, vertices[:, 2:])
    depth = antialias(surface.depth[..., None], CAMERA, vertices, scene.topology, maps.face_ids).channels
    return jnp.concatenate([maps.mask[..., None], depth, maps.image], axis=-1)


def errors(picture, target) -> jax.Array:
    """(3,): of mask, depth and colours."""
    square = (picture - target) ** 2
    return jnp.stack([square[..., 0].sum(), square[..., 1].sum(), square[..., 2:].sum()])


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_gradients_point_where_differences_of_finely_sampled_pictures_do(count):
    scene = hands(count)
    turn, middle = np.array([[0.9968, -0.0799, 0], [0.0799, 0.9968, 0], [0, 0, 1]]), scene.vertices.mean(axis=0)
    moved = ((scene.vertices - middle) @ turn.T + middle + [0.004, -0.005, 0.01]).astype(np.float32)
    ways, step = directions(scene.vertices), 0.2 * 0.5 / FOCAL

    @jax.jit
    def compare(vertices, moved):
        target = sampled(scene, moved)
        gradients = jax.jacrev(lambda v: errors(drawn(scene, v), target))(vertices)
        both = jnp.concatenate([vertices[None] + step * ways, vertices[None] - step * ways])
        ahead, back = jnp.split(jax.lax.map(lambda v: errors(sampled(scene, v), target), both), 2)
        return jnp.einsum("kvc,dvc->kd", gradients, ways, precision="highest"), (ahead - back).T / (2 * step)

    found, expected = (np.asarray(array, np.float64) for array in compare(scene.vertices, moved))
    assert np.isfinite(found).all()
    cosines = (found * expected).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    np.testing.assert_array_less(0.99, cosines)
    np.testing.assert_allclose((found * expected).sum(axis=1) / (expected**2).sum(axis=1), 1, atol=0.2)


def ball(rings: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A coarse closed unit sphere in float64, counter-clockwise from outside."""
    theta = np.linspace(0, np.pi, rings + 1)[1:-1, None]
    phi = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)[None] + 0.1
    points = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi], -1)
    vertices = np.concatenate([points.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]])
    wide, last, faces = 2 * rings, (rings - 2) * 2 * rings, []
    for i in range(wide):
        j = (i + 1) % wide
        faces += [[len(vertices) - 2, i, j], [len(vertices) - 1, last + j, last + i]]
        for ring in range(rings - 2):
            a, b = ring * wide + i, ring * wide + j
            faces += [[a, a + wide, b], [b, a + wide, b + wide]]
    return vertices, np.array(faces)


SMALL = (24, 28)
PERSPECTIVE = Camera(np.array([90.0, 95.0]), np.array([13.3, 11.7]))
WEAK = WeakCamera(np.array(150.0), np.array([13.3, 11.7]))


def assert_own_differences(loss, inputs: tuple, step: float = 1e-7) -> None:
    """Along one random direction of each input."""
    gradients = jax.jit(jax.grad(loss, argnums=tuple(range(len(inputs)))))(*inputs)
    rng = np.random.default_rng(0)
    for argument, gradient in enumerate(gradients):
        assert gradient.dtype == np.float64
        way = rng.normal(size=gradient.shape)
        moved = []
        for sign in (1, -1):
            values = list(inputs)
            values[argument] = inputs[argument] + sign * step * way
            moved.append(float(loss(*values)))
        expected = float((gradient * way).sum())
        assert abs(expected) > 1e-3 * np.linalg.norm(gradient) * np.linalg.norm(way) / np.sqrt(way.size)
        np.testing.assert_allclose((moved[0] - moved[1]) / (2 * step), expected, rtol=1e-6)


@pytest.mark.parametrize("camera", [PERSPECTIVE, pytest.param(WEAK, marks=pytest.mark.slow)])
def test_float64_gradients_of_a_lit_picture_equal_their_own_differences(camera):
    points, faces = ball()
    # One ball in front of the other.
    vertices = np.concatenate([0.05 * points + [0, 0, 0.5], 0.07 * points[:, [1, 2, 0]] + [0.04, 0.02, 0.7]])
    mesh = topology(np.concatenate([faces, faces + len(points)]))
    rng = np.random.default_rng(0)
    weights, colors = rng.normal(size=(*SMALL, 4)), rng.uniform(0, 1, vertices.shape)
    with jax.enable_x64(True):

        @jax.jit
        def loss(vertices, colors, light, moved):
            seen_by = type(camera)(camera[0], camera[1] + moved)
            maps = draw_maps(seen_by, vertices, mesh, colors, light, size=SMALL, background=0.3)
            return (weights * jnp.concatenate([maps.image, maps.mask[..., None]], axis=-1)).sum()

        assert_own_differences(loss, (vertices, colors, LIGHT.astype(np.float64), np.zeros(2)))


@pytest.mark.parametrize("camera", [PERSPECTIVE, WEAK])
def test_float64_gradients_of_depth_inside_a_surface_equal_their_own_differences(camera):
    points, faces = ball()
    weights = np.random.default_rng(1).normal(size=SMALL)
    with jax.enable_x64(True):
        loss = jax.jit(lambda v: (weights * depth_map(camera, v, topology(faces), size=SMALL).depth).sum())
        assert_own_differences(loss, (0.05 * points + [0, 0, 0.5],))


def test_depth_has_the_gradient_of_an_edge_that_hides_a_plane():
    # A near square over a far wall that fills the picture; as it grows, wall turns into square at its outline.
    x, y = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]).T
    square, wall = np.stack([0.03 * x, 0.03 * y, 0 * x + 0.4], -1), np.stack([x, y, 0 * x + 0.5], -1)
    quad = np.array([[0, 2, 1], [0, 3, 2]])
    mesh = topology(np.concatenate([quad, quad + 4]))
    camera = Camera(jnp.full(2, 200.0), jnp.array([16.3, 15.8]))
    aim = 0.43

    @jax.jit
    def loss(grown):
        vertices = jnp.concatenate([square * jnp.array([[1, 1, 0]]) * grown + square * jnp.array([[0, 0, 1]]), wall])
        return ((depth_map(camera, vertices, mesh, size=(32, 32)).depth - aim) ** 2).sum()

    # Area (2 f 0.03 / 0.4 grown)^2 px, each from (0.5 - aim)^2 to (0.4 - aim)^2.
    expected = 2 * (2 * 200 * 0.03 / 0.4) ** 2 * ((0.4 - aim) ** 2 - (0.5 - aim) ** 2)
    np.testing.assert_allclose(jax.grad(loss)(1.0), expected, rtol=0.05)


def test_moving_a_hand_in_front_changes_colours_only_along_its_outline():
    """Inside both surfaces a shift sideways, of one colour each, changes nothing."""
    points, faces = ball(12)
    near, far = 0.04 * points + [0, 0, 0.4], 0.1 * points + [0.01, 0, 0.7]
    mesh = topology(np.concatenate([faces, faces + len(points)]))
    colors = np.repeat([[0.8, 0.6, 0.5], [0.3, 0.5, 0.7]], len(points), axis=0)
    camera = Camera(jnp.full(2, 130.0), jnp.array([16.3, 15.8]))

    def picture(shift):
        vertices = jnp.concatenate([near + jnp.array([[1.0, 0, 0]]) * shift, far])
        return draw_maps(camera, vertices, mesh, colors, size=(32, 32)).image

    changed = np.abs(np.asarray(jax.jit(jax.jacfwd(picture))(0.0))).sum(axis=-1) > 1e-4
    x, y = np.meshgrid(np.arange(32) + 0.5 - 16.3, np.arange(32) + 0.5 - 15.8)
    apart = np.abs(np.hypot(x, y) - 130 * 0.04 / np.sqrt(0.4**2 - 0.04**2))
    assert changed.sum() > 20
    assert (apart[changed] < 1.5).all()


def test_gradients_are_finite_for_whatever_triangles():
    """Collapsed, edge-on, off the picture, behind the camera, around it, far away; alone and all at once."""
    points, faces = ball()
    good = 0.05 * points + [0, 0, 0.5]
    flat, edge_on = good * [1, 1, 0] + [0, 0, 0.5], good * [0, 1, 1]
    broken = [
        0 * good + [0, 0, 0.5],
        edge_on,
        flat,
        good + [5, 0, 0],
        good * [1, 1, -1],
        points,
        1e12 * points,
        0 * good,
    ]
    count = len(points)

    @partial(jax.jit, static_argnums=0)
    def gradient(camera_type, first, second, vertices):
        mesh = topology(np.concatenate([faces, faces + count]))

        def loss(camera, vertices):
            maps = draw_maps(camera, vertices, mesh, colors, LIGHT, size=SMALL)
            return (maps.image**2).sum() + maps.mask.sum() + maps.depth.sum() + maps.normals.sum()

        colors = jnp.full(vertices.shape, 0.5)
        return jax.value_and_grad(loss, argnums=(0, 1))(camera_type(first, second), vertices)

    for camera in (PERSPECTIVE, WEAK):
        for mesh in broken:
            vertices = np.concatenate([good, mesh]).astype(np.float32)
            first, second = (jnp.asarray(part, jnp.float32) for part in camera)
            for leaf in jax.tree.leaves(gradient(type(camera), first, second, vertices)):
                assert np.isfinite(leaf).all()


def test_silhouette_and_maps_have_the_same_mask_and_gradient():
    points, faces = ball()
    mesh, vertices = topology(faces), jnp.asarray(0.05 * points + [0, 0, 0.5], jnp.float32)

    def by_silhouette(vertices):
        return (silhouette(PERSPECTIVE, vertices, mesh, size=SMALL).mask ** 2).sum()

    def by_maps(vertices):
        return (draw_maps(PERSPECTIVE, vertices, mesh, size=SMALL).mask ** 2).sum()

    values = [jax.jit(jax.value_and_grad(loss))(vertices) for loss in (by_silhouette, by_maps)]
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=1e-6)
    np.testing.assert_allclose(values[0][1], values[1][1], rtol=1e-5, atol=1e-4)
