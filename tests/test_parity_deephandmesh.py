"""DeepHandMesh's networks against what the published code computes, and their counts."""

import jax
import jax.numpy as jnp
import pytest

from handjax.models import deephandmesh
from tests import cheap, parity

FILE = parity.FOLDER / "deephandmesh_nets.json"


def count(network):
    arguments = jnp.zeros((1, 64, 64, 3)), jnp.zeros(network.identity)
    shapes = jax.eval_shape(network.init, jax.random.key(0), *arguments)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


@pytest.mark.skipif(not FILE.exists(), reason="needs the published outputs")
def test_encoder_and_correctives_compute_what_the_published_ones_do():
    rows = parity.check(FILE)
    assert len(rows) == 6
    assert all(row.passed for row in rows), rows


@pytest.mark.skipif(not FILE.exists(), reason="needs the published names")
def test_the_released_preset_has_the_published_tensors():
    network = deephandmesh.PRESETS["released"].clone(vertices=50)
    template = cheap.shapes(network, jnp.zeros((1, 64, 64, 3)), jnp.zeros(32))
    assert cheap.published_shapes(template) == cheap.listed_shapes(parity.load(FILE)[0])


@pytest.mark.parametrize(("vertices", "parameters"), [(12_553, 44_222_868), (50, 24_943_242)])
def test_the_released_network_has_as_many_parameters_as_the_published_one(vertices, parameters):
    assert count(deephandmesh.PRESETS["released"].clone(vertices=vertices)) == parameters


def test_the_papers_skeleton_corrective_is_four_times_as_wide():
    released = deephandmesh.PRESETS["released"]
    assert count(released.clone(skeleton_hidden=256)) - count(released) == 25_410 - 6_402
