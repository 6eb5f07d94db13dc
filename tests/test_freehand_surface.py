"""The implicit hand, its tape measure and calibration, and the meshes made of it."""

import numpy as np
import pytest
from mesh_checks import euler_characteristic, self_crossings

from launch.freehand import anatomy, remesh, topology
from launch.freehand.calibrate import asked, calibrated_hand, mean_measures
from launch.freehand.field_tape import exits, measure_field
from launch.freehand.implicit import bump, ellipsoid, gradient, nearby, project, smooth_min, triangle_sheet
from launch.freehand.measure import measure, taut
from launch.freehand.nails import nail_plate
from launch.freehand.skeleton import joint_positions
from launch.freehand.skinning import heat_weights
from launch.freehand.surface import hand_field, part_field
from launch.freehand.template import RESOLUTIONS, WRIST_CUT, template_mesh

RADIUS = 20.0


def sphere(points):
    return np.linalg.norm(points, axis=1) - RADIUS


@pytest.fixture(scope="module")
def mean_hand():
    return calibrated_hand(mean_measures())


@pytest.fixture(scope="module")
def low(mean_hand):
    return template_mesh(mean_hand, "low")


@pytest.fixture(scope="module")
def dome():
    """Half a sphere of 20 mm, open below, with edges of very different length."""
    from trimesh.creation import icosphere

    ball = icosphere(subdivisions=4, radius=RADIUS)
    faces = np.asarray(ball.faces)[(np.asarray(ball.vertices)[ball.faces][:, :, 2] > -1e-9).all(axis=1)]
    return topology.compact(np.asarray(ball.vertices, float), faces)


def test_a_point_projected_on_an_ellipsoid_lies_on_it():
    points = np.random.default_rng(0).normal(0.0, 1.0, (200, 3))
    points *= 1.05 / np.linalg.norm(points / [12.0, 20.0, 8.0], axis=1, keepdims=True)

    def field(where):
        return ellipsoid(where, np.zeros(3), np.eye(3), [12.0, 20.0, 8.0])

    moved = project(field, points, iterations=6)
    np.testing.assert_allclose(np.linalg.norm(moved / [12.0, 20.0, 8.0], axis=1), 1.0, atol=2e-3)


def test_the_gradient_is_that_of_finer_differences():
    points = np.random.default_rng(1).normal(0.0, 15.0, (50, 3))
    points = points[np.linalg.norm(points, axis=1) > 8.0]
    step = 1e-5 * np.eye(3)
    exact = np.stack([(sphere(points + one) - sphere(points - one)) / 2e-5 for one in step], axis=1)
    np.testing.assert_allclose(gradient(sphere, points), exact, atol=6e-3)


def test_a_triangle_sheet_is_as_far_as_the_nearest_of_many_points_on_it():
    rng = np.random.default_rng(2)
    corners = rng.normal(0.0, 10.0, (3, 3))
    shares = rng.dirichlet([1.0, 1.0, 1.0], 40000)
    edges = rng.random((3000, 1)) * np.eye(3)[[0, 1, 2]].repeat(1000, axis=0)
    edges += (1.0 - edges.sum(axis=1, keepdims=True)) * np.eye(3)[[1, 2, 0]].repeat(1000, axis=0)
    on_it = np.concatenate([shares, edges]) @ corners
    points = rng.normal(0.0, 15.0, (60, 3))
    nearest = np.linalg.norm(points[:, None] - on_it, axis=2).min(axis=1)
    np.testing.assert_allclose(triangle_sheet(points, corners, np.full(3, 2.0)), nearest - 2.0, atol=0.15)


def test_leaving_far_solids_out_does_not_change_a_blend():
    points = np.random.default_rng(3).uniform(-40.0, 40.0, (4000, 3))
    shifted = np.array([25.0, 0.0, 0.0])

    def ball(where):
        return np.linalg.norm(where - shifted, axis=1) - 10.0

    whole = smooth_min(sphere(points), ball(points), 6.0)
    skipped = smooth_min(sphere(points), nearby(points, shifted, 10.0, ball, 6.0), 6.0)
    np.testing.assert_allclose(skipped, whole, atol=1e-12)


def test_a_bump_is_one_at_its_centre_and_fades():
    values = bump(
        np.array([[0.0, 0.0, 0.0], [0.0, 3.0, 0.0], [40.0, 0.0, 0.0]]), np.zeros(3), np.eye(3), [2.0, 3.0, 4.0]
    )
    np.testing.assert_allclose(values, [1.0, np.exp(-0.5), 0.0], atol=1e-12)


def test_rays_leave_a_sphere_at_its_radius():
    directions = np.random.default_rng(4).normal(size=(100, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    found = exits(sphere, np.zeros((100, 3)), directions)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), RADIUS, atol=0.01)


def test_a_taut_tape_spans_hollows():
    angles = np.linspace(0.0, 2.0 * np.pi, 720, endpoint=False)
    dented = np.where(np.abs(angles - np.pi / 2.0) < 0.3, 8.0, 10.0)
    loop = np.stack([dented * np.cos(angles), dented * np.sin(angles), np.full(720, 5.0)], axis=1)
    chord = 2.0 * 10.0 * np.sin(0.3)
    assert taut(loop) == pytest.approx(2.0 * np.pi * 10.0 - 6.0 + chord, rel=2e-3)


def test_remeshing_keeps_rim_and_disc_and_meets_the_size_field(dome):
    vertices, faces = dome
    rim = vertices[topology.boundary_loop(faces)]

    def lengths(points):
        return 2.0 + 0.06 * np.maximum(points[:, 2], 0.0)

    made, triangles = remesh.remesh(vertices, faces, sphere, lengths, rounds=5)
    assert euler_characteristic(triangles) == 1
    assert len(topology.boundary_loop(triangles)) == len(rim)
    assert {tuple(point) for point in np.round(rim, 9)} <= {tuple(point) for point in np.round(made, 9)}
    ends = topology.edge_table(triangles).ends
    away = made[ends, 2].min(axis=1) > 4.0
    relative = remesh.relative_lengths(made, ends, lengths)[away]
    assert 0.85 < np.median(relative) < 1.15 and relative.min() > 0.5 and relative.max() < 1.7
    assert np.percentile(topology.triangle_quality(made, triangles), 5) > 0.8
    inside = topology.boundary_loop(triangles)
    np.testing.assert_allclose(sphere(np.delete(made, inside, axis=0)), 0.0, atol=0.03)


def test_remeshing_twice_gives_the_same_bits(dome):
    runs = [remesh.remesh(*dome, sphere, lambda points: np.full(len(points), 2.5), rounds=2) for _ in range(2)]
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)


def test_collapsing_stops_at_the_count_asked_for(dome):
    vertices, faces = remesh.collapse_to_count(*dome, len(dome[0]) - 137, lambda points: np.full(len(points), 2.0))
    assert len(vertices) == len(dome[0]) - 137 and euler_characteristic(faces) == 1


def test_an_edge_of_three_faces_is_refused():
    with pytest.raises(ValueError, match="manifold"):
        topology.edge_table(np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]]))


def test_the_mean_hand_measures_what_the_survey_says(mean_hand):
    found = measure_field(mean_hand)
    wanted = dict(zip(("length", "breadth", "palm", "circumference", "wrist"), anatomy.POPULATION_MEAN, strict=True))
    for name, value in wanted.items():
        assert getattr(found, name) == pytest.approx(value, rel=0.005), name
    np.testing.assert_allclose(found.joint_sizes, mean_measures().joint_sizes, rtol=0.005)


def test_a_hand_asked_for_measures_that():
    fingers = np.array([69.0, 80.0, 58.0, 77.0, 73.0])
    wanted = asked(205.0, 93.0, 223.0, 186.0, fingers=fingers)
    found = measure_field(calibrated_hand(wanted))
    for name in ("length", "breadth", "circumference", "wrist"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=0.005), name
    np.testing.assert_allclose(found.fingers, fingers, rtol=0.005)
    np.testing.assert_allclose(found.joint_sizes, wanted.joint_sizes, rtol=0.005)


def test_a_hand_that_cannot_be_is_refused():
    with pytest.raises(RuntimeError, match="no hand measures"):
        calibrated_hand(asked(190.0, 85.0, 140.0, 165.0))


def test_fingers_end_where_the_skeleton_does(mean_hand):
    distance = hand_field(mean_hand.skeleton.joints[:, 3], mean_hand)
    assert np.abs(distance).max() < 1.0


def test_the_parts_surface_is_the_hands_where_nothing_touches(mean_hand, low):
    vertices, faces = low
    weights = heat_weights(vertices, faces, mean_hand.skeleton)
    owner = weights.argmax(axis=1)
    sure = weights.max(axis=1) > 0.97
    for part in (3, 6, 9, 12, 15):
        own = vertices[sure & (owner == part)]
        np.testing.assert_allclose(part_field(own, mean_hand, part), hand_field(own, mean_hand), atol=0.05)


def test_a_nail_is_a_plate_of_the_fingers_breadth_on_its_back():
    grid = np.stack(np.meshgrid(np.linspace(-8, 8, 81), np.linspace(-16, 2, 91), np.linspace(-6, 8, 71)), axis=-1)
    inside = grid[nail_plate(grid.reshape(-1, 3), 15.5, 11.5).reshape(grid.shape[:3]) < 0.0]
    low, high = inside.min(axis=0), inside.max(axis=0)
    np.testing.assert_allclose(high[:2] - low[:2], [0.78 * 15.5, 0.80 * 15.5], atol=0.8)
    assert low[2] > 0.0 and -1.0 < high[1] < 0.0


def check_mesh(vertices, faces, hand, resolution):
    wanted = RESOLUTIONS[resolution]
    assert vertices.shape == (wanted.vertices, 3)
    assert faces.shape == (2 * wanted.vertices - 2 - wanted.rim, 3)
    assert len(topology.boundary_loop(faces)) == wanted.rim and euler_characteristic(faces) == 1
    quality = topology.triangle_quality(vertices, faces)
    assert quality.mean() > 0.93 and np.percentile(quality, 5) > 0.8 and quality.min() > 0.1
    np.testing.assert_allclose(vertices[topology.boundary_loop(faces), 1], WRIST_CUT, atol=1e-6)
    assert not len(self_crossings(vertices, faces))
    points = vertices[faces].mean(axis=1)
    area = np.linalg.norm(topology.face_normals(vertices, faces), axis=1)
    return (np.abs(hand_field(points, hand)) * area).sum() / area.sum()


def test_the_coarse_mesh_has_manos_sizes_and_no_flaw(low, mean_hand):
    assert len(low[0]) == 778 and len(low[1]) == 1538
    assert check_mesh(*low, mean_hand, "low") < 0.35


def test_the_coarse_mesh_measures_like_the_surface(low, mean_hand):
    """By another tape measure, which cuts the mesh."""
    vertices, faces = low
    weights = heat_weights(vertices, faces, mean_hand.skeleton)
    found = measure(vertices, faces, weights, joint_positions(mean_hand.skeleton))
    np.testing.assert_allclose(found, anatomy.POPULATION_MEAN, rtol=0.015)


def test_a_resolution_that_is_not_made_is_refused(mean_hand):
    with pytest.raises(ValueError, match="resolution must be one of low, medium, high, got 'huge'"):
        template_mesh(mean_hand, "huge")


@pytest.mark.slow
@pytest.mark.parametrize("resolution, distance", [("medium", 0.15), ("high", 0.1)])
def test_finer_meshes_follow_the_surface_more_closely(mean_hand, resolution, distance):
    vertices, faces = template_mesh(mean_hand, resolution)
    assert check_mesh(vertices, faces, mean_hand, resolution) < distance
