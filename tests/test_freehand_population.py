"""Betas mean what they are said to, people spread as the survey says, and no hand of theirs breaks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.mano.population import GROUPS, MEANINGS, MEN_MEAN, POOLED_MEAN, POOLED_SD, WOMEN_MEAN, ratios_per_beta

SURVEYED = ("length", "breadth", "palm_length", "knuckle_girth", "wrist_girth")
BY_BETA = ("length", "breadth", "middle", "knuckle_girth", "wrist_girth", "thumb", "index", "ring", "little")
GIRTHS = ("thumb_girth", "index_girth", "middle_girth", "ring_girth", "little_girth")
measured = jax.jit(mano.measure)
measured_all = jax.jit(jax.vmap(mano.measure, (None, 0)))


@pytest.fixture(scope="module")
def model() -> mano.HandModel:
    return mano.default()


@pytest.fixture(scope="module")
def tape(model) -> mano.HandTape:
    return mano.cut_tape(model)


def dimensions(found: mano.HandMeasures) -> np.ndarray:
    """(10, ...) what each beta turns."""
    girths = np.exp(np.log([getattr(found, name) for name in GIRTHS]).mean(0))
    return np.array([*(getattr(found, name) for name in BY_BETA), girths], float)


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = vertices[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def test_each_beta_turns_its_own_dimension_and_none_before_it(tape):
    steps = np.concatenate([np.eye(10), -np.eye(10), np.zeros((1, 10))]).astype(np.float32)
    found = dimensions(measured_all(tape, steps))
    slope = (found[:, :10] - found[:, 10:20]) / (2.0 * found[:, 20:])
    np.testing.assert_allclose(slope, ratios_per_beta(), atol=0.004)
    assert np.abs(np.triu(slope, 1)).max() < 0.004
    assert np.diag(slope).min() > 0.015
    assert len(MEANINGS) == 10


def test_women_and_men_half_and_half_are_the_adults():
    women, men = mano.population("women"), mano.population("men")
    mean = (women.mean + men.mean) / 2.0
    second = (women.covariance + men.covariance) / 2.0
    second = second + (jnp.outer(women.mean, women.mean) + jnp.outer(men.mean, men.mean)) / 2.0
    np.testing.assert_allclose(mean, 0.0, atol=1e-5)
    np.testing.assert_allclose(second, np.eye(10), atol=0.03)


@pytest.mark.parametrize(("group", "mean"), [("adults", POOLED_MEAN), ("women", WOMEN_MEAN), ("men", MEN_MEAN)])
def test_the_mean_hand_of_a_group_measures_what_the_survey_says(tape, group, mean):
    found = measured(tape, mano.population(group).mean)
    np.testing.assert_allclose([1000.0 * getattr(found, name) for name in SURVEYED], mean, rtol=0.015)


def test_adults_drawn_at_random_spread_as_the_survey_says(tape):
    betas = mano.sample_betas(jax.random.key(0), "adults", (2000,))
    found = measured_all(tape, betas)
    spread = [1000.0 * float(getattr(found, name).std()) for name in SURVEYED]
    np.testing.assert_allclose(spread, POOLED_SD, rtol=0.06)
    np.testing.assert_allclose(np.cov(betas.T), np.eye(10), atol=0.12)


@pytest.mark.parametrize("group", GROUPS)
def test_drawn_betas_have_the_groups_mean_and_covariance(group):
    people = mano.population(group)
    betas = np.asarray(jax.jit(mano.sample_betas, static_argnums=(1, 2))(jax.random.key(1), group, (4000,)))
    scale = np.sqrt(np.diag(people.covariance))
    np.testing.assert_allclose((betas.mean(0) - people.mean) / scale, 0.0, atol=0.06)
    np.testing.assert_allclose(
        np.cov(betas.T) / np.outer(scale, scale), people.covariance / np.outer(scale, scale), atol=0.1
    )
    assert mano.sample_betas(jax.random.key(2), people).shape == (10,)
    assert people.measured == (group in ("adults", "women", "men")) and people.name == group


def test_an_unknown_group_is_an_error():
    for call in (mano.population, lambda name: mano.sample_betas(jax.random.key(0), name)):
        with pytest.raises(ValueError, match="group must be one of 'adults', 'women'.*got 'giants'"):
            call("giants")


def test_percentiles_are_those_of_the_survey(model, tape):
    usual = mano.percentiles(model, measured(tape, mano.population("women").mean), "women")
    np.testing.assert_allclose(usual, 50.0, atol=0.01)
    man = measured(tape, mano.population("men").mean)
    among_women = mano.percentiles(tape, man, "women")
    # A mean man's hand is 12.2 mm longer than a mean woman's, of a standard deviation of 10.06 mm.
    assert float(among_women.length) == pytest.approx(88.7, abs=1.5)
    assert float(among_women.breadth) > 98.0
    missing = mano.percentiles(tape, man._replace(breadth=jnp.nan), "women")
    assert np.isnan(missing.breadth) and missing.length == among_women.length


@pytest.mark.parametrize("sigma", [-3.0, 3.0])
def test_no_beta_turns_a_face_over(model, sigma):
    vertices, faces = np.asarray(model.v_template, float), np.asarray(model.faces)
    rest = face_normals(vertices, faces)
    for direction in np.moveaxis(np.asarray(model.shapedirs, float), 2, 0):
        assert ((rest * face_normals(vertices + sigma * direction, faces)).sum(1) > 0.0).all()


@pytest.mark.parametrize("group", GROUPS)
def test_hardly_a_face_turns_over_in_a_group(model, group):
    vertices, faces = np.asarray(model.v_template, float), np.asarray(model.faces)
    rest = face_normals(vertices, faces)
    for betas in np.asarray(mano.sample_betas(jax.random.key(3), group, (40,)), float):
        turned = (rest * face_normals(vertices + np.asarray(model.shapedirs, float) @ betas, faces)).sum(1) <= 0.0
        assert turned.mean() < 0.001


@pytest.mark.parametrize("length", [0.115, 0.135, 0.225])
def test_the_hands_of_small_children_and_very_large_men_are_sound(model, length):
    found = mano.betas_for(model, group="children" if length < 0.15 else "men", length=length)
    assert float(found.error) < 0.002
    ratio = float(found.got.breadth / found.got.length)
    assert 0.40 < ratio < 0.49
    assert 0.36 < float(found.got.middle / found.got.length) < 0.44
    vertices, faces = np.asarray(model.v_template, float), np.asarray(model.faces)
    shaped = vertices + np.asarray(model.shapedirs, float) @ np.asarray(found.betas, float)
    assert ((face_normals(vertices, faces) * face_normals(shaped, faces)).sum(1) > 0.0).all()


def test_survey_and_generator_read_the_same_table():
    from launch.freehand import anatomy

    np.testing.assert_allclose(anatomy.POPULATION_MEAN, POOLED_MEAN, atol=0.06)


def grid(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A sheet of `count` squared points, mm."""
    across, along = np.meshgrid(np.linspace(-20.0, 20.0, count), np.linspace(-20.0, 20.0, count), indexing="ij")
    points = np.column_stack([across.ravel(), along.ravel(), 0.002 * across.ravel() ** 2])
    corner = np.arange(count * count).reshape(count, count)[:-1, :-1].ravel()
    lower, upper = [corner, corner + count, corner + 1], [corner + 1, corner + count, corner + count + 1]
    return points, np.concatenate([np.stack(lower, 1), np.stack(upper, 1)])


def test_directions_carried_to_other_points_are_linear_on_each_face():
    pytest.importorskip("scipy")
    from launch.freehand import shapes

    points, faces = grid()
    slope = np.random.default_rng(0).normal(size=(3, 3, 10))
    source = shapes.ShapeDirections(points, faces, np.einsum("vx,xys->vys", points, slope), *[np.zeros(0)] * 3)
    np.testing.assert_allclose(shapes.carry(source, points), source.shapedirs, atol=1e-9)
    inside = points[faces].mean(axis=1)
    np.testing.assert_allclose(shapes.carry(source, inside), np.einsum("vx,xys->vys", inside, slope), atol=1e-9)
    above = inside + [0.0, 0.0, 0.2]
    np.testing.assert_allclose(shapes.carry(source, above), np.einsum("vx,xys->vys", inside, slope), atol=0.15)


def test_a_web_moves_as_one_piece_and_the_rest_as_it_did():
    pytest.importorskip("scipy")
    from launch.freehand import shapes

    points, _ = grid()
    rng = np.random.default_rng(1)
    affine = np.einsum("vx,xys->vys", points, rng.normal(size=(3, 3, 2))) + rng.normal(size=(1, 3, 2))
    place = np.zeros((3, 3))
    np.testing.assert_allclose(shapes.move_as_one(points, place, affine), affine, atol=1e-9)
    rough = affine + rng.normal(size=affine.shape)
    moved = shapes.move_as_one(points, place, rough)
    far = np.linalg.norm(points, axis=1) > 2.0 * shapes.WEB_PIECE
    np.testing.assert_allclose(moved[far], rough[far], atol=1e-5)
    near = np.linalg.norm(points, axis=1) < 0.5 * shapes.WEB_PIECE
    system = np.column_stack([np.ones(near.sum()), points[near]])
    flat = moved[near].reshape(near.sum(), -1)
    assert np.abs(flat - system @ np.linalg.lstsq(system, flat, rcond=None)[0]).max() < 0.2


def test_the_generators_dials_are_linear_in_millimetres():
    from launch.freehand import anatomy, shapes
    from launch.freehand.skeleton import joint_positions, rest_hand

    size = anatomy.hand_size(187.2, 83.2)
    dials = np.random.default_rng(2).normal(scale=0.05, size=(2, 9))
    sizes = [shapes.turned(size, each) for each in (dials[0], dials[1], dials.sum(0))]
    base = joint_positions(rest_hand(size).skeleton)
    first, second, both = (joint_positions(rest_hand(each).skeleton) - base for each in sizes)
    np.testing.assert_allclose(first + second, both, atol=0.35)


@pytest.fixture(scope="module")
def made():
    """The mean hand, its mesh at the lowest resolution and the directions on it, generated anew: a minute."""
    for name in ("scipy", "skimage", "trimesh", "fast_simplification"):
        pytest.importorskip(name)
    from launch.freehand import assemble, shapes

    hand = assemble.mean_hand()
    mesh = assemble.skinned_mesh(hand, "low")
    return hand, mesh.vertices, shapes.shape_directions(*mesh, hand)


@pytest.mark.slow
def test_regressed_joints_are_within_a_millimetre_of_the_definitions_for_200_shapes(made):
    from launch.freehand import shapes

    hand, vertices, directions = made
    regressor = shapes.regress_joints(vertices, directions.shapedirs, directions)
    np.testing.assert_allclose(regressor.sum(1), 1.0)
    assert regressor.min() >= 0.0
    off = [
        np.linalg.norm(
            regressor @ (vertices + directions.shapedirs @ betas) - shapes.joints_of(hand, directions, betas), axis=1
        )
        for betas in np.random.default_rng(4).normal(size=(200, 10))
    ]
    assert np.mean(off) < 0.2 and np.max(off) < 1.0, np.max(off, axis=0)


@pytest.mark.slow
def test_shaped_meshes_lie_on_the_definitions_surface(made):
    from launch.freehand import shapes
    from launch.freehand.surface import hand_field

    hand, vertices, directions = made
    at_rest = np.abs(hand_field(vertices, hand)).mean()
    for betas in np.random.default_rng(6).normal(size=(5, 10)):
        shaped = vertices + directions.shapedirs @ betas
        scale, other = shapes.definition(hand, directions, betas)
        assert scale * np.abs(hand_field(shaped / scale, other)).mean() < at_rest + 0.1
