"""Networks and pipelines as ONNX give the same numbers in onnxruntime, and are refused if they do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.infer import export_onnx
from handjax.models import deephandmesh, deephandmesh_decode, hamr, hamr_decode
from handjax.models.hand_template import template_of
from handjax.pipelines import run_handtailor
from tests import cheap, tiny_pipelines

pytest.importorskip("jax2onnx", reason="needs the extra handjax[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra handjax[onnx]")

CROPS = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (2, tiny_pipelines.SIZE, tiny_pipelines.SIZE, 3)))


def run(stored: bytes, *arrays):
    session = onnxruntime.InferenceSession(stored, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = {value.name: np.asarray(array) for value, array in zip(session.get_inputs(), arrays, strict=True)}
    return dict(zip(names, session.run(names, given), strict=True))


def test_a_hand_comes_back_by_its_outputs_names(small_model):
    def posed(betas, hand_pose):
        return mano.forward(small_model, mano.hand_params(small_model, betas=betas, hand_pose=hand_pose))

    random = np.random.default_rng(1)
    betas, pose = jnp.float32(random.normal(size=10)), jnp.float32(0.3 * random.normal(size=45))
    stored = export_onnx(posed, betas, pose)
    found, expected = run(stored, 0.5 * betas, -pose), posed(0.5 * betas, -pose)
    np.testing.assert_allclose(found["vertices"], expected.vertices, atol=1e-6)
    np.testing.assert_allclose(found["joints"], expected.joints, atol=1e-6)


@pytest.mark.slow
def test_handtailor_goes_from_the_crop_to_the_mesh(small_model):
    variables = tiny_pipelines.handtailor_variables()

    def recover(crops):
        return run_handtailor(tiny_pipelines.HANDTAILOR, variables, small_model, crops, None)._replace(outputs={})

    found = run(export_onnx(recover, CROPS), 0.5 * CROPS)
    expected = jax.jit(recover)(0.5 * CROPS)
    assert {"params.hand_pose", "vertices", "joints", "keypoints_2d", "weak.scale"} <= found.keys()
    np.testing.assert_allclose(found["vertices"], expected.vertices, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_hamr_goes_from_the_crop_to_the_mesh(small_model):
    network = hamr.PRESETS["tiny"].clone(stacks=1, maps=8, encoder=(24, 24, 32))
    crops = jnp.full((1, 32, 32, 3), 0.3)
    variables = cheap.filled(cheap.shapes(network, crops))

    def recover(crops):
        outputs = network.apply(variables, crops)
        return jax.vmap(lambda one: hamr_decode.decode(small_model, one, network))(outputs)

    found = run(export_onnx(recover, crops), 0.2 * crops)
    np.testing.assert_allclose(found["vertices"], jax.jit(recover)(0.2 * crops).vertices, rtol=1e-3, atol=1e-5)


def test_deephandmesh_goes_from_the_crop_to_the_mesh(small_model):
    network = deephandmesh.PRESETS["tiny"].clone(vertices=60)
    crops, code = jnp.full((1, 32, 32, 3), 0.5), jnp.ones(32)
    variables = cheap.filled(cheap.shapes(network, crops, code))
    template = template_of(jax.tree.map(jnp.asarray, mano.detailed(small_model)))

    def recover(crops):
        outputs = network.apply(variables, crops, code)
        return jax.vmap(lambda one: deephandmesh_decode.decode(template, one, network))(outputs)

    found = run(export_onnx(recover, crops), 0.2 * crops)
    np.testing.assert_allclose(found["vertices"], jax.jit(recover)(0.2 * crops).vertices, rtol=1e-3, atol=1e-5)
