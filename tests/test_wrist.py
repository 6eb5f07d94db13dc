"""The wrist's rim, lid and forearm stub."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano

trimesh = pytest.importorskip("trimesh")
SIDES = ("right", "left")
RINGS = 5


def _posed(model):
    params = mano.zero_params(model)._replace(
        global_orient=jnp.array([0.4, -0.8, 0.3]), transl=jnp.array([0.0, 0.1, 0.5])
    )
    return mano.forward(model, params)


def _with_stub(model, bend=(0.0, 0.0)):
    opening, output = mano.wrist(model), _posed(model)
    stub = mano.stub_vertices(opening, model, output, bend, rings=RINGS)
    vertices = np.concatenate([output.vertices, stub])
    faces = np.concatenate([model.faces, mano.stub_faces(opening, model.num_vertices, RINGS)])
    return trimesh.Trimesh(vertices, faces, process=False)


@pytest.mark.parametrize("side", SIDES)
def test_a_lid_makes_the_mesh_watertight_and_keeps_its_faces(side):
    model = mano.default(side)
    faces = mano.closed_faces(model)
    mesh = trimesh.Trimesh(np.asarray(model.v_template), faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert 2.0e-4 < mesh.volume < 6.0e-4
    np.testing.assert_array_equal(faces[: len(model.faces)], model.faces)


@pytest.mark.parametrize("side", SIDES)
def test_the_stub_goes_on_from_the_rim_away_from_the_hand(side):
    model = mano.default(side)
    mesh = _with_stub(model)
    assert mesh.is_winding_consistent and len(mesh.outline().entities) == 1
    rim, last = mesh.vertices[mano.wrist(model).rim], mesh.vertices[-16:]
    assert np.linalg.norm(last.mean(axis=0) - rim.mean(axis=0)) == pytest.approx(0.09, abs=0.005)
    hand = mesh.vertices[: model.num_vertices].mean(axis=0)
    assert np.linalg.norm(last.mean(axis=0) - hand) > np.linalg.norm(rim.mean(axis=0) - hand) + 0.08
    opening = mano.wrist(model)
    place = {vertex: number for number, vertex in enumerate(opening.rim.tolist())}
    end_lid = np.vectorize(place.get)(opening.lid) + len(mesh.vertices) - len(opening.rim)
    closed = trimesh.Trimesh(mesh.vertices, np.concatenate([mesh.faces, end_lid]), process=False)
    assert closed.is_watertight
    whole = trimesh.Trimesh(_posed(model).vertices, mano.closed_faces(model), process=False)
    assert closed.volume > whole.volume + 1e-4


@pytest.mark.parametrize("side", SIDES)
def test_flexion_turns_the_forearm_to_the_palms_side_and_deviation_to_the_thumbs(side):
    model = mano.default(side)
    straight, flexed, bent = (
        _with_stub(model, bend).vertices[-16:].mean(axis=0) for bend in ((0, 0), (0.8, 0), (0, 0.4))
    )
    turn = np.asarray(_posed(model).transforms[0, :, :3])
    palm, thumb = turn @ [0, -1, 0], turn @ [0, 0, 1]
    # With the hand held, a flexed wrist is a forearm that has swung to the palm's side.
    assert (flexed - straight) @ palm > 0.02
    assert (bent - straight) @ thumb > 0.01


def test_the_stub_is_differentiable_in_the_hand_and_the_bend():
    model = mano.default()
    opening = mano.wrist(model)

    def height(betas, bend):
        output = mano.forward(model, mano.zero_params(model)._replace(betas=betas))
        return mano.stub_vertices(opening, model, output, bend)[:, 1].sum()

    by_betas, by_bend = jax.jit(jax.grad(height, argnums=(0, 1)))(jnp.zeros(10), jnp.zeros(2))
    assert np.isfinite(by_betas).all() and np.abs(by_betas).max() > 0
    assert np.abs(by_bend[0]) > 0.1


def test_a_mesh_without_one_rim_is_refused():
    model = mano.default()
    closed = dataclasses.replace(model, faces=jnp.asarray(mano.closed_faces(model)))
    with pytest.raises(ValueError, match="one open rim, got 0"):
        mano.wrist(closed)
    torn = dataclasses.replace(model, faces=model.faces[:-40])
    with pytest.raises(ValueError, match="one open rim"):
        mano.wrist(torn)
