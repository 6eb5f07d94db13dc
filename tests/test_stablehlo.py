"""A pipeline as stored StableHLO gives the same numbers, for this platform or others, and is refused if it does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from handjax import mano
from handjax.camera import Camera
from handjax.infer import export_stablehlo
from handjax.infer.outputs import check_same
from handjax.models import deephandmesh, deephandmesh_decode, hamr, hamr_decode
from handjax.models.hand_template import template_of
from handjax.pipelines import run_bihand
from tests import cheap, tiny_pipelines
from tests.tiny_pipelines import BIHAND, SIZE

IMAGE = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (2, SIZE, SIZE, 3)), jnp.float32)
FOCAL, CENTER, BONE = jnp.full((2, 2), 30.0), jnp.full((2, 2), 8.0), jnp.array([0.09, 0.08])


@pytest.fixture(scope="module")
def pipeline(small_model):
    variables = tiny_pipelines.bihand_variables()

    def run(image, focal, center, bone):
        return run_bihand(BIHAND, variables, small_model, image, Camera(focal, center), bone)._replace(outputs={})

    return run


def test_bihand_comes_back_with_named_outputs_and_the_same_numbers(pipeline):
    stored = export_stablehlo(pipeline, IMAGE, FOCAL, CENTER, BONE)
    program = export.deserialize(bytearray(stored))
    image = 0.5 * IMAGE
    found = program.call(image, FOCAL, CENTER, BONE)
    expected = jax.jit(pipeline)(image, FOCAL, CENTER, BONE)
    assert {"params.betas", "params.hand_pose", "vertices", "joints", "keypoints_2d"} <= found.keys()
    np.testing.assert_allclose(found["vertices"], expected.vertices, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found["params.hand_pose"], expected.params.hand_pose, rtol=1e-3, atol=1e-5)
    assert "stablehlo" in program.mlir_module()


def test_it_is_made_for_platforms_that_are_not_here(pipeline):
    program = export.deserialize(bytearray(export_stablehlo(pipeline, IMAGE, FOCAL, CENTER, BONE, platforms=["tpu"])))
    assert program.platforms == ("tpu",)


def test_hamr_comes_back_with_the_same_numbers(small_model):
    network = hamr.PRESETS["tiny"].clone(stacks=1, maps=8, encoder=(8, 8, 8))
    crops = jnp.asarray(np.random.default_rng(1).uniform(-0.5, 0.5, (1, 32, 32, 3)), jnp.float32)
    variables = cheap.filled(cheap.shapes(network, crops))

    def run(crops):
        return jax.vmap(lambda one: hamr_decode.decode(small_model, one, network))(network.apply(variables, crops))

    found = export.deserialize(bytearray(export_stablehlo(run, crops))).call(0.5 * crops)
    assert {"params.betas", "vertices", "keypoints_3d", "camera.scale"} <= found.keys()
    np.testing.assert_allclose(found["vertices"], jax.jit(run)(0.5 * crops).vertices, rtol=1e-3, atol=1e-5)


def test_deephandmesh_comes_back_with_the_same_numbers(small_model):
    network = deephandmesh.PRESETS["tiny"].clone(vertices=60)
    crops, code = jnp.full((1, 32, 32, 3), 0.5), jnp.ones(32)
    variables = cheap.filled(cheap.shapes(network, crops, code))
    template = template_of(jax.tree.map(jnp.asarray, mano.detailed(small_model)))

    def run(crops):
        outputs = network.apply(variables, crops, code)
        return jax.vmap(lambda one: deephandmesh_decode.decode(template, one, network))(outputs)

    found = export.deserialize(bytearray(export_stablehlo(run, crops))).call(0.2 * crops)
    np.testing.assert_allclose(found["vertices"], jax.jit(run)(0.2 * crops).vertices, rtol=1e-3, atol=1e-5)


def test_an_export_whose_numbers_differ_is_refused():
    right = {"a": jnp.array([1.0, 100.0])}
    check_same({"a": jnp.array([1.005, 100.0])}, right, 1e-4)
    for wrong in (jnp.array([1.02, 100.0]), jnp.array([jnp.nan, 100.0])):
        with pytest.raises(ValueError, match="output a of the export differs"):
            check_same({"a": wrong}, right, 1e-4)
