"""The networks of meshes and their decoders lower for a TPU, which none of these tests needs."""

import jax
import jax.numpy as jnp
import pytest
from jax import export

from handjax import mano
from handjax.models import deephandmesh, deephandmesh_decode, hamr, hamr_decode, multihand, multihand_decode
from handjax.models.hand_template import template_of
from tests import cheap


def image(size):
    return jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)


def lowered(function, *arguments):
    return export.export(jax.jit(function), platforms=["tpu"])(*arguments)


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
