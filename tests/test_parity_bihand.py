"""SeedNet, LiftNet and SIKNet compute what BiHand's published networks compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax.models import iknet, liftnet, seednet, siknet
from handjax.torch_weights import template, to_state_dict
from tests import parity

FILES = {name: parity.FOLDER / f"bihand_{name}.json" for name in ("seednet", "liftnet", "siknet")}
MAPS = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in [(1, 64, 64, 21), (1, 64, 64), (1, 64, 64, 256)]]
IMAGE = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
JOINTS = jax.ShapeDtypeStruct((1, 21, 3), jnp.float32)


@pytest.mark.skipif(not FILES["seednet"].exists(), reason="needs the published outputs")
@pytest.mark.parametrize(("name", "outputs"), [("seednet", 6), ("liftnet", 7), ("siknet", 3)])
def test_every_output_agrees_with_the_published_network(name, outputs):
    rows = parity.check(FILES[name])
    assert len(rows) == outputs
    assert all(row.passed for row in rows), rows


@pytest.mark.skipif(not FILES["seednet"].exists(), reason="needs the published names")
@pytest.mark.parametrize("name", ["seednet", "siknet"])
def test_the_state_dict_written_back_is_the_one_that_was_read(name):
    fixture, _ = parity.load(FILES[name])
    network = parity.network_of(fixture["system"])(fixture)
    written = to_state_dict(parity.variables_of(fixture, network))
    read = parity.state_dict(fixture)
    assert written.keys() == read.keys()
    for tensor, array in read.items():
        np.testing.assert_array_equal(written[tensor], array, err_msg=tensor)


@pytest.mark.parametrize(
    ("network", "inputs", "parameters"),
    [
        (seednet.PRESETS["released"], [IMAGE], 11_222_700),
        (liftnet.PRESETS["released"], MAPS, 11_389_666),
        (siknet.PRESETS["released"], [JOINTS], 2_749_130),
        (iknet.IKNet(), [JOINTS, JOINTS], 5_605_460),
    ],
)
def test_the_parameters_are_as_many_as_published(network, inputs, parameters):
    assert sum(leaf.size for leaf in jax.tree.leaves(template(network, *inputs)["params"])) == parameters


def test_the_rotation_and_shape_branches_of_siknet_are_as_large_as_published():
    params = template(siknet.PRESETS["released"], JOINTS)["params"]
    sizes = {name: sum(leaf.size for leaf in jax.tree.leaves(branch)) for name, branch in params.items()}
    assert sizes == {"invk_layers": 2_410_816, "shapereg_layers": 338_314}


def test_the_papers_shape_regressor_has_seven_layers_and_sees_the_bones():
    shape = template(siknet.PRESETS["paper"], JOINTS)["params"]["shapereg_layers"]
    assert len(shape) == 7
    assert shape["0"]["kernel"].shape == (123, 128)
