"""HAMR against what the published code computes, and its counts."""

import jax
import jax.numpy as jnp
import pytest

from handjax.models import hamr
from tests import cheap, parity

FILE = parity.FOLDER / "hamr_encoder.json"


def count(network):
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, network.size, network.size, 3)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


@pytest.mark.skipif(not FILE.exists(), reason="needs the published outputs")
def test_hourglass_and_encoder_compute_what_the_published_ones_do():
    rows = parity.check(FILE)
    assert len(rows) == 3
    assert all(row.passed for row in rows), rows


@pytest.mark.skipif(not FILE.exists(), reason="needs the published names")
def test_the_released_preset_has_the_published_tensors():
    fixture, _ = parity.load(FILE)
    shapes = cheap.published_shapes(cheap.shapes(hamr.PRESETS["released"], jnp.zeros((1, 256, 256, 3))))
    regressor = {name for name in shapes if name.startswith("regressor.")}
    assert len(regressor) == 6
    assert {name: shape for name, shape in shapes.items() if name not in regressor} == cheap.listed_shapes(fixture)


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        (dict(iterations=0), 105_249_600),
        (dict(), 108_454_748),
        (dict(batch_norm=True), 108_475_356),
        (dict(batch_norm=True, hidden=2048, pca=6), 113_753_046),
        (dict(batch_norm=True, hidden=2048), 113_777_628),
    ],
)
def test_the_released_network_has_as_many_parameters_as_the_published_one(changes, parameters):
    assert count(hamr.PRESETS["released"].clone(**changes)) == parameters


def test_the_paper_preset_has_the_papers_regressor():
    paper = hamr.PRESETS["paper"]
    assert count(paper) == 113_753_046
    assert sum(paper.numbers.values()) == 22
    assert sum(hamr.PRESETS["released"].numbers.values()) == 28
