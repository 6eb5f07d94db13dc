"""All networks, as large as published, lower for a TPU from the picture to the mesh. None of these tests needs one."""

import jax
import jax.numpy as jnp
import pytest
from jax import export

from handjax import mano
from handjax.camera import Camera
from handjax.models import deephandmesh, deephandmesh_decode, hamr, hamr_decode, handtailor, multihand, multihand_decode
from handjax.models.hand_template import template_of
from handjax.models.iknet import IKNet
from handjax.pipelines import BIHAND_PRESETS, run_bihand, run_handtailor
from tests import cheap

MESHES = [(2, 60, 3), (2, 21, 3)]


def image(size):
    return jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)


def lowered(function, *arguments):
    return export.export(jax.jit(function), platforms=["tpu"])(*arguments)


def floats(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "released"])
def test_bihand_lowers_from_the_crop_to_a_mesh(small_model, preset):
    networks = BIHAND_PRESETS[preset]
    seednet = cheap.shapes(networks.seednet, image(256))
    seen = jax.eval_shape(networks.seednet.apply, seednet, image(256))
    maps = [jax.eval_shape(lambda stacks: stacks[:, -1], seen[name]) for name in ("heatmaps", "mask")]
    variables = {
        "seednet": seednet,
        "liftnet": cheap.shapes(networks.liftnet, *maps, seen["encoding"]),
        "siknet": cheap.shapes(networks.siknet, floats(2, 21, 3)),
    }

    def run(variables, image, camera, bone):
        found = run_bihand(networks, variables, small_model, image, camera, bone)
        return found.vertices, found.joints

    program = lowered(run, variables, image(256), Camera(floats(2, 2), floats(2, 2)), floats(2))
    assert [shape.shape for shape in program.out_avals] == MESHES


@pytest.mark.slow
@pytest.mark.parametrize("camera", [Camera(floats(2, 2), floats(2, 2)), None], ids=["perspective", "weak"])
@pytest.mark.parametrize("preset", ["paper", "released"])
def test_handtailor_lowers_from_the_crop_to_a_mesh(small_model, preset, camera):
    network = handtailor.PRESETS[preset]
    bone = None if network.predicts_bone else floats(2)

    def run(variables, image, camera, bone):
        found = run_handtailor(network, variables, small_model, image, camera, bone)
        return found.vertices, found.joints

    program = lowered(run, cheap.shapes(network, image(256), None, bone), image(256), camera, bone)
    assert [shape.shape for shape in program.out_avals] == MESHES


def test_iknet_lowers():
    joints = floats(2, 21, 3)
    assert lowered(IKNet().apply, cheap.shapes(IKNet(), joints, joints), joints, joints).platforms == ("tpu",)


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_multihand_lowers_from_the_picture_to_meshes(small_model, preset):
    network = multihand.PRESETS[preset]

    def run(variables, image):
        def hands(outputs):
            found = multihand_decode.detect_hands(outputs, stride=network.stride)
            return multihand_decode.pose_hands(small_model, found)

        return jax.vmap(hands)(network.apply(variables, image))

    program = lowered(run, cheap.shapes(network, image(224)), image(224))
    assert [shape.shape for shape in program.out_avals] == [(2, 10, 60, 3), (2, 10, 16, 3), (2, 10, 16, 3, 4)]


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_hamr_lowers_from_the_crop_to_a_mesh(small_model, preset):
    network = hamr.PRESETS[preset]

    def run(variables, image):
        return jax.vmap(lambda one: hamr_decode.decode(small_model, one, network))(network.apply(variables, image))

    program = lowered(run, cheap.shapes(network, image(256)), image(256))
    assert (2, 60, 3) in [shape.shape for shape in program.out_avals]


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_deephandmesh_lowers_with_all_its_vertices(preset):
    network = deephandmesh.PRESETS[preset]
    program = lowered(network.apply, cheap.shapes(network, image(256), floats(32)), image(256), floats(32))
    assert (2, 12_553, 3) in [shape.shape for shape in program.out_avals]


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_deephandmesh_lowers_from_the_picture_to_an_aligned_mesh(small_model, preset):
    network = deephandmesh.PRESETS[preset].clone(vertices=60)
    template = template_of(jax.tree.map(jnp.asarray, mano.detailed(small_model)))
    code = jnp.zeros(32)

    def run(variables, image, target, valid):
        def hand(outputs, target, valid):
            motion = deephandmesh_decode.aligned(template, outputs, network, target, valid)
            return deephandmesh_decode.decode(template, outputs, network, motion)

        return jax.vmap(hand)(network.apply(variables, image, code), target, valid)

    labels = jnp.zeros((2, 22, 3)), jnp.ones((2, 22), bool)
    program = lowered(run, cheap.shapes(network, image(256), code), image(256), *labels)
    assert [shape.shape for shape in program.out_avals] == [(2, 60, 3), (2, 22, 3)]
