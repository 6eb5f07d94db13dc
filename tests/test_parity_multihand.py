"""The multi-hand network against what the published code computes, at both strides, and its counts."""

import jax
import jax.numpy as jnp
import pytest

from handjax.models import multihand
from tests import cheap, parity


def counts(network):
    """Parameters by the first part of their names."""
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes["params"]):
        first = path[0].key.split(".")[0]
        found[first] = found.get(first, 0) + leaf.size
    return found


@pytest.mark.parametrize(("name", "outputs"), [("multihand_stride8", 4), ("multihand_stride4_heatmaps", 6)])
def test_the_network_computes_what_the_published_one_does(name, outputs):
    path = parity.FOLDER / f"{name}.json"
    if not path.exists():
        pytest.skip("needs the published outputs")
    rows = parity.check(path)
    assert len(rows) == outputs
    assert all(row.passed for row in rows), rows


@pytest.mark.parametrize(
    ("name", "preset"), [("multihand_stride8", "released_2022"), ("multihand_stride4_heatmaps", "released")]
)
def test_the_released_presets_have_the_published_tensors(name, preset):
    path = parity.FOLDER / f"{name}.json"
    if not path.exists():
        pytest.skip("needs the published names")
    template = cheap.shapes(multihand.PRESETS[preset], jnp.zeros((1, 224, 224, 3)))
    assert cheap.published_shapes(template) == cheap.listed_shapes(parity.load(path)[0])


@pytest.mark.parametrize(("preset", "parameters"), [("released", 83_068_807), ("released_2022", 55_804_549)])
def test_the_released_networks_have_as_many_parameters_as_the_published_ones(preset, parameters):
    assert sum(counts(multihand.PRESETS[preset]).values()) == parameters


def test_trunk_neck_and_heads_have_the_published_sizes():
    plain = dict(keypoints=False, per_side=True)
    for stride, neck, idle in ((4, 42_207_744, ("p2",)), (8, 15_534_080, ())):
        found = counts(multihand.MultiHand(stride=stride, idle=idle, **plain))
        parts = ("p2", "p3", "p4", "p5", "p2_l2", "p3_l2", "p4_l2", "p5_l2", "feat", "feat_bn")
        assert sum(found.get(part, 0) for part in parts) == neck
        trunk = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
        assert sum(found[part] for part in trunk) == 23_508_032
        heads = {"hm": 590_337, "params": 621_434, "texture": 1_189_918, "light": 597_019, "handmap": 590_594}
        assert {head: found[head] for head in heads} == heads
    branch = counts(multihand.MultiHand())
    assert sum(branch[part] for part in ("backbone", "uv_delayer", "uv_head", "reduce")) == 13_763_729
    shared = counts(multihand.MultiHand(center_channels=2, **plain | {"per_side": False}))
    assert shared["params"] == 590_080 + 61 * 257
    assert shared["hm"] == 590_594
