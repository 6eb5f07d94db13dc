"""Residual networks: torchvision's names and counts, and what their maps are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax.models.backbone import with_backbone
from handjax.models.deephandmesh import DeepHandMesh
from handjax.models.layers import Compute
from handjax.models.multihand import MultiHand
from handjax.models.resnet import BLOCKS, ResNet
from handjax.torch_weights import to_state_dict, to_variables
from tests import cheap

IMAGE = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)


def template(network):
    return jax.eval_shape(lambda key, image: network.init(key, image, False), jax.random.key(0), IMAGE)


def torchvision_state_dict(depth, width, seed=0):
    """A state_dict as torchvision names and shapes it, written down without our modules; with its classifier."""
    random, tensors = np.random.default_rng(seed), {}

    def conv(name, out, into, size):
        tensors[f"{name}.weight"] = random.normal(size=(out, into, size, size)).astype(np.float32)

    def norm(name, channels):
        for part in ("weight", "bias", "running_mean"):
            tensors[f"{name}.{part}"] = random.normal(size=channels).astype(np.float32)
        tensors[f"{name}.running_var"] = random.uniform(0.5, 1.5, channels).astype(np.float32)
        tensors[f"{name}.num_batches_tracked"] = np.zeros((), np.int64)

    conv("conv1", width, 3, 7)
    norm("bn1", width)
    into = width
    for stage, count in enumerate(BLOCKS[depth]):
        inner = width * 2**stage
        out = inner * (4 if depth >= 50 else 1)
        for block in range(count):
            name = f"layer{stage + 1}.{block}"
            sizes = [(inner, into, 1), (inner, inner, 3), (out, inner, 1)]
            if depth < 50:
                sizes = [(inner, into, 3), (inner, inner, 3)]
            for number, size in enumerate(sizes, 1):
                conv(f"{name}.conv{number}", *size)
                norm(f"{name}.bn{number}", size[0])
            if block == 0 and (stage > 0 or out != into):
                conv(f"{name}.downsample.0", out, into, 1)
                norm(f"{name}.downsample.1", out)
            into = out
    tensors["fc.weight"], tensors["fc.bias"] = random.normal(size=(1000, into)), np.zeros(1000)
    return tensors


@pytest.mark.parametrize(("depth", "parameters"), [(18, 11_176_512), (34, 21_284_672), (50, 23_508_032)])
def test_networks_have_torchvisions_parameters_without_the_classifier(depth, parameters):
    assert sum(leaf.size for leaf in jax.tree.leaves(template(ResNet(depth))["params"])) == parameters


@pytest.mark.parametrize("depth", [18, 50])
def test_a_torchvision_state_dict_loads_without_its_classifier_and_goes_back(depth):
    given = torchvision_state_dict(depth, width=4)
    variables = to_variables(given, template(ResNet(depth, width=4)), ignored=("fc.",))
    back = to_state_dict(variables)
    assert back.keys() == {name for name in given if not name.startswith("fc.")}
    assert all(np.array_equal(back[name], given[name]) for name in back)


def test_a_state_dict_of_another_depth_is_refused():
    with pytest.raises(ValueError, match="missing: layer1.2.bn1"):
        to_variables(torchvision_state_dict(18, width=4), template(ResNet(34, width=4)), ignored=("fc.",))


@pytest.mark.parametrize(("depth", "channels"), [(18, (64, 64, 128, 256, 512)), (50, (64, 256, 512, 1024, 2048))])
def test_maps_halve_from_stage_to_stage(depth, channels):
    network = ResNet(depth)
    maps = jax.eval_shape(lambda variables, image: network.apply(variables, image, False), template(network), IMAGE)
    assert [one.shape for one in maps] == [
        (1, side, side, c) for side, c in zip((32, 16, 8, 4, 2), channels, strict=True)
    ]


def test_bfloat16_is_of_the_activations_only_and_changes_little():
    network = ResNet(10, width=8)
    variables = cheap.filled(template(network))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    image = jnp.asarray(np.random.default_rng(1).normal(size=(1, 32, 32, 3)), jnp.float32)

    def last(dtype):
        chosen = network.clone(compute=Compute(dtype))
        return cheap.compiled(lambda *given: chosen.apply(*given, False)[-1], variables, image)(variables, image)

    exact, short = last(jnp.float32), last(jnp.bfloat16)
    assert short.dtype == jnp.bfloat16
    np.testing.assert_allclose(short.astype(jnp.float32), exact, atol=0.05 * float(jnp.abs(exact).max()))


def test_an_unknown_depth_is_refused():
    with pytest.raises(ValueError, match="depth must be one of"):
        template(ResNet(20))


@pytest.fixture(scope="module")
def hand_networks():
    """Variables of the networks that hold a residual network, in small."""
    many = MultiHand(depth=10, width=4, neck=8, texture_vertices=0, light=False, keypoint_depth=10)
    one = DeepHandMesh(vertices=5, depth=10, width=4, features=8, skeleton_hidden=4, skin_hidden=4)
    return cheap.filled(cheap.shapes(many, IMAGE)), cheap.filled(cheap.shapes(one, IMAGE, jnp.zeros(32)))


@pytest.mark.parametrize(("network", "prefix"), [(0, ""), (0, "backbone."), (1, "backbone_net.resnet.")])
def test_imagenet_weights_go_into_the_residual_network_and_nowhere_else(hand_networks, network, prefix):
    variables = hand_networks[network]
    given = torchvision_state_dict(10, width=4)
    before, after = to_state_dict(variables), to_state_dict(with_backbone(variables, given, prefix))
    assert before.keys() == after.keys()
    taken = {name for name in given if prefix + name in after and not name.endswith("num_batches_tracked")}
    # The trunk of this multi-hand network reads the keypoint branch instead of a stem.
    assert ("conv1.weight" in taken) == (prefix != "")
    assert "layer4.0.downsample.1.running_var" in taken
    for name in after:
        expected = given[name.removeprefix(prefix)] if name.removeprefix(prefix) in taken else before[name]
        if name.startswith(prefix):
            np.testing.assert_array_equal(after[name], expected)
        else:
            np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.parametrize(
    ("state_dict", "prefix", "message"),
    [
        (torchvision_state_dict(18, width=4), "", "they differ in layer1.1"),
        (torchvision_state_dict(10, width=8), "", "of another shape"),
        (torchvision_state_dict(10, width=4), "trunk.", "names begin with 'trunk.'"),
        ({"conv1.weight": np.zeros((4, 3, 7, 7))}, "backbone.", "they differ in backbone.bn1.bias"),
    ],
)
def test_imagenet_weights_of_another_network_are_refused(hand_networks, state_dict, prefix, message):
    with pytest.raises(ValueError, match=message):
        with_backbone(hand_networks[0], state_dict, prefix)
