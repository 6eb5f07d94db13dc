"""The tape measures what a tape would, and betas are found for what it says."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull

from handjax import mano
from handjax.mano.measure_tape import FINGER_JOINTS, FINGERS, hand_planes
from handjax.mano.population import ratios_per_beta
from tests import toy

BY_BETA = ("length", "breadth", "middle", "knuckle_girth", "wrist_girth", "thumb", "index", "ring", "little")
measured = jax.jit(mano.measure)
measured_all = jax.jit(jax.vmap(mano.measure, (None, 0)))
solved_all = jax.jit(jax.vmap(mano.betas_from_measures, (None, 0, None)))


@pytest.fixture(scope="module")
def model() -> mano.HandModel:
    return mano.default()


@pytest.fixture(scope="module")
def tape(model) -> mano.HandTape:
    return mano.cut_tape(model)


@pytest.fixture(scope="module")
def betas() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(3, 10)).astype(np.float32)


def shaped(model, betas) -> tuple[np.ndarray, np.ndarray]:
    vertices = np.asarray(model.v_template, float) + np.asarray(model.shapedirs, float) @ betas
    return vertices, np.asarray(model.J_regressor, float) @ vertices


def asked_for(count: int = 1, **measures) -> mano.HandMeasures:
    unasked = np.full(count, np.nan, np.float32)
    return mano.HandMeasures(*(jnp.asarray(measures.get(name, unasked)) for name in mano.HandMeasures._fields))


@pytest.mark.parametrize("person", range(3))
def test_girths_are_those_of_a_band_round_the_cut_mesh(model, tape, betas, person):
    vertices, joints = shaped(model, betas[person])
    weights, faces = np.asarray(model.lbs_weights), np.asarray(model.faces)
    thumb = weights[:, 13:16].sum(1) > 0.5
    owners = [np.ones(len(vertices), bool), ~thumb]
    owners += [weights[:, sorted(set(ids))].sum(1) > 0.5 for ids in FINGER_JOINTS]
    found = measured(tape, betas[person])
    names = ("wrist_girth", "knuckle_girth", *(f"{finger}_girth" for finger in FINGERS))
    planes = [np.asarray(part, float) for part in hand_planes(jnp.asarray(joints, jnp.float32))]
    for name, own, centre, normal in zip(names, owners, *planes, strict=True):
        mesh = trimesh.Trimesh(vertices, faces[own[faces].all(1)], process=False)
        cut = trimesh.intersections.mesh_plane(mesh, normal, centre).reshape(-1, 3) - centre
        first = np.linalg.svd(normal[None])[2][1:]
        hull = ConvexHull(cut @ first.T)
        # The tape keeps to the skin that the template's plane cut, which leaves the plane a little.
        np.testing.assert_allclose(getattr(found, name), hull.area, rtol=0.012, err_msg=name)


@pytest.mark.parametrize("person", range(3))
def test_length_and_breadth_are_extents_of_the_mesh(model, tape, betas, person):
    vertices, joints = shaped(model, betas[person])
    found = measured(tape, betas[person])
    along = (joints[4] - joints[0]) / np.linalg.norm(joints[4] - joints[0])
    np.testing.assert_allclose(found.length, ((vertices - joints[0]) @ along).max(), rtol=1e-4)
    across = (joints[7] - joints[1]) / np.linalg.norm(joints[7] - joints[1])
    palm = np.asarray(model.lbs_weights)[:, 13:16].sum(1) < 0.5
    slab = palm & (np.abs((vertices - joints[1]) @ np.cross(across, [0.0, 1.0, 0.0])) < 0.004)
    np.testing.assert_allclose(found.breadth, np.ptp(vertices[slab] @ across), rtol=0.03)
    np.testing.assert_allclose(found.length - found.palm_length, found.middle, rtol=0.01)
    for finger, ids in zip(FINGERS, FINGER_JOINTS, strict=True):
        tip = np.asarray(model.fingertip_ids)[FINGERS.index(finger)]
        from_knuckle = np.linalg.norm(vertices[tip] - joints[ids[0]])
        assert (0.9 if finger == "thumb" else 0.55) < getattr(found, finger) / from_knuckle < 1.05


def test_a_left_hand_measures_as_its_mirror_image(model, tape, betas):
    left = mano.cut_tape(mano.mirror(model))
    for person in betas:
        np.testing.assert_allclose(measured(left, person), measured(tape, person), rtol=1e-5)


def test_a_hand_of_four_fifths_the_size_measures_four_fifths(tape, betas):
    small = jax.tree.map(lambda part: 0.8 * part, tape)
    np.testing.assert_allclose(measured(small, betas[0]), 0.8 * np.array(measured(tape, betas[0])), rtol=1e-5)


def test_numbering_and_axes_of_a_model_do_not_matter(model, tape, betas):
    order = np.random.default_rng(0).permutation(model.num_vertices)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    other = mano.build(
        v_template=np.asarray(model.v_template)[order] @ turn.T,
        shapedirs=np.einsum("xy,vys->vxs", turn, np.asarray(model.shapedirs)[order]),
        posedirs=np.zeros((model.num_vertices, 3, 135)),
        J_regressor=np.asarray(model.J_regressor)[:, order],
        lbs_weights=np.asarray(model.lbs_weights)[order],
        faces=np.argsort(order)[np.asarray(model.faces)],
    )
    np.testing.assert_allclose(measured(mano.cut_tape(other), betas[0]), measured(tape, betas[0]), rtol=1e-4)


def test_model_and_tape_give_the_same_and_so_does_jit(model, tape, betas):
    of_model = jax.jit(lambda betas: mano.measure(model, betas))(betas[0])
    np.testing.assert_allclose(of_model, measured(tape, betas[0]), rtol=1e-6)
    one_by_one = np.array([measured(tape, person) for person in betas])
    np.testing.assert_allclose(np.array(measured_all(tape, betas)).T, one_by_one, rtol=1e-6)


def test_derivatives_are_those_of_differences(tape, betas):
    slope = jax.jit(jax.jacrev(lambda each: jnp.stack(mano.measure(tape, each))))(betas[0])
    step = 0.25
    steps = step * np.eye(10, dtype=np.float32)
    ahead, behind = (np.array(measured_all(tape, betas[0] + way * steps)) for way in (1.0, -1.0))
    difference = (ahead - behind) / (2.0 * step)
    scale = np.abs(difference).max(1, keepdims=True)
    np.testing.assert_allclose(np.asarray(slope) / scale, difference / scale, atol=0.08)


def test_fifty_people_with_fingers_of_their_own_are_met_within_half_a_percent(tape):
    """Requests come from the survey's covariance, not from betas."""
    ratios = 1.0 + ratios_per_beta() @ np.random.default_rng(8).normal(size=(10, 50))
    mean = measured(tape, np.zeros(10, np.float32))
    wanted = {name: np.float32(getattr(mean, name) * row) for name, row in zip(BY_BETA, ratios, strict=False)}
    fits = solved_all(tape, asked_for(50, **wanted), mano.population("adults"))
    again = measured_all(tape, fits.betas)
    for name in BY_BETA:
        np.testing.assert_allclose(getattr(again, name), wanted[name], rtol=0.005, err_msg=name)
    assert float(fits.error.max()) < 0.005
    assert float(jnp.abs(fits.betas).max()) < 5.0


def test_each_measure_alone_can_be_asked_for(tape):
    mean = measured(tape, np.zeros(10, np.float32))
    names, wanted = mano.HandMeasures._fields, np.full((15, 50), np.nan, np.float32)
    for row, name in enumerate(names):
        wanted[row, 2 * row : 2 * row + 2] = float(getattr(mean, name)) * np.array([0.92, 1.08])
    fits = solved_all(tape, mano.HandMeasures(*jnp.asarray(wanted)), mano.population("adults"))
    assert float(fits.error[:30].max()) < 0.005


def test_what_is_not_asked_for_stays_as_usual_as_it_can(model):
    longer = mano.betas_for(model, length=0.200)
    assert float(longer.got.length) == pytest.approx(0.200, rel=1e-3)
    assert longer.betas[0] > 0.9 and float(jnp.abs(longer.betas[1:]).max()) < 0.1
    assert not longer.unusual and np.isnan(longer.asked.breadth)
    woman, man = (mano.betas_for(model, group=group, length=0.187) for group in ("women", "men"))
    assert float(man.got.length) == pytest.approx(float(woman.got.length), rel=1e-3)
    assert float(man.got.breadth) > float(woman.got.breadth) + 0.004


def test_a_childs_hand_is_met_and_called_unusual_among_adults(model):
    child = mano.betas_for(model, length=0.130, breadth=0.060)
    assert float(child.error) < 0.005 and child.unusual and child.largest > 3.0


def test_measures_that_contradict_each_other_are_reported(model):
    contradiction = mano.betas_for(model, length=0.190, palm_length=0.115, middle=0.090)
    assert float(contradiction.error) > 0.03


def test_bad_requests_name_what_is_wrong(model, tape):
    for measures, message in (
        ({"width": 0.08}, "measures must be among length, breadth.*got width"),
        ({}, "measures must name at least one of"),
        ({"length": 190.0}, "length must be in metres, above 0 and below 0.5, got 190.0"),
        ({"ring": -0.07}, "ring must be in metres"),
        ({"ring": np.nan}, "ring must be in metres"),
        ({"breadth": np.ones(2)}, r"breadth must be one number, got shape \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            mano.betas_for(model, **measures)
    with pytest.raises(ValueError, match="group must be one of 'adults'.*got 'giants'"):
        mano.betas_for(model, group="giants", length=0.19)
    with pytest.raises(ValueError, match=r"betas must have shape \(10,\), got \(9,\)"):
        mano.measure(tape, np.zeros(9, np.float32))


def test_models_that_cannot_be_measured_say_why(model):
    with pytest.raises(ValueError, match="model must have a surface at wrist_girth"):
        mano.cut_tape(dataclasses.replace(model, faces=model.faces[:3]))
    weights = model.lbs_weights.at[:, 14].add(model.lbs_weights[:, 15]).at[:, 15].set(0.0)
    with pytest.raises(ValueError, match="model must have a tip of the thumb, got no vertex that follows joint 15"):
        mano.cut_tape(dataclasses.replace(model, lbs_weights=weights))
    other_tree = mano.build(**toy.arrays(vertices=60, faces=90, parents=(-1, 0, 1, 2)))
    with pytest.raises(ValueError, match="model must have MANO's 16 joints, got 4"):
        mano.cut_tape(other_tree)
    with pytest.raises(ValueError, match="model must not be traced"):
        jax.jit(lambda model: mano.measure(model, jnp.zeros(10)))(model)
