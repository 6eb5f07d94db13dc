"""HAMR: the regressor's iterations, dropout, what a preset holds, and the decoding to a hand and a camera."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from handjax.models import hamr_decode
from handjax.models.hamr import PRESETS, Hamr
from handjax.models.layers import Compute
from tests import cheap

TINY = PRESETS["tiny"].clone(stacks=1, maps=8, encoder=(24, 24, 32))
IMAGE = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def tiny():
    variables = cheap.filled(cheap.shapes(TINY, IMAGE))
    return variables, cheap.compiled(TINY.apply, variables, IMAGE)(variables, IMAGE)


def with_dropouts(network, image, train):
    """Traces a pass and notes the rate of each dropout that acts."""
    rates = []

    def note(call, args, kwargs, context):
        if isinstance(context.module, nn.Dropout) and not context.module.deterministic:
            rates.append(context.module.rate)
        return call(*args, **kwargs)

    def run(key, image):
        with nn.intercept_methods(note):
            return network.init({"params": key, "dropout": key}, image, train)

    jax.eval_shape(run, jax.random.key(0), image)
    return rates


def test_the_regressor_adds_what_it_says_three_times(tiny):
    variables, outputs = tiny
    layers = [jax.tree.map(np.float64, variables["params"]["regressor"][name]) for name in ("0", "3", "6")]
    numbers = np.zeros((2, 22))
    numbers[:, 0] = 1
    for _ in range(3):
        x = np.concatenate([np.float64(outputs["features"]), numbers], -1)
        for place, layer in enumerate(layers):
            x = x @ layer["kernel"] + layer["bias"]
            x = np.maximum(x, 0) if place < 2 else x
        numbers += x
    got = np.concatenate([outputs[name] for name in ("camera", "global_orient", "pca", "betas")], -1)
    np.testing.assert_allclose(got, numbers, atol=1e-4 * np.abs(numbers).max())


def test_outputs_have_their_shapes():
    for preset, size, maps, pca in (("small", 128, 32, 6), ("paper", 256, 64, 6), ("released", 256, 64, 12)):
        network = PRESETS[preset]
        image = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
        outputs = jax.eval_shape(network.apply, cheap.shapes(network, image), image)
        assert outputs["heatmaps"].shape == (2, network.stacks, size // 4, size // 4, maps)
        assert outputs["features"].shape == (2, network.encoder[-1])
        assert [outputs[name].shape for name in ("camera", "global_orient", "pca", "betas")] == [
            (2, 3),
            (2, 3),
            (2, pca),
            (2, 10),
        ]


@pytest.mark.parametrize(("preset", "rate"), [("paper", 0.4), ("released", 0.5)])
def test_each_hidden_layer_is_followed_by_dropout_in_training_only(preset, rate):
    network = PRESETS[preset]
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    assert with_dropouts(network, image, True) == [rate] * 6
    assert with_dropouts(network, image, False) == []


def test_only_the_papers_hourglass_is_normalised_and_both_encoders_are():
    names = {}
    for preset in ("paper", "released"):
        template = cheap.shapes(PRESETS[preset], jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32))
        names[preset] = set(template["batch_stats"])
    assert names["released"] == {f"fe.conv.{layer}.bn" for layer in range(5)}
    assert names["released"] < names["paper"]
    hourglass = {name for name in names["paper"] if name.startswith("hg.features.0")}
    assert len(hourglass) == 4 + 4 + 1
    assert not [name for name in hourglass if "low3" in name or ".0.1." in name or ".0.2." in name]


def test_the_papers_hourglass_averages_where_the_codes_takes_the_largest(tiny):
    variables, _ = tiny

    def differences(variables, image):
        kinds = [TINY.clone(pool=pool).apply(variables, image)["heatmaps"] for pool in ("average", "max")]
        return kinds[0] - kinds[1]

    assert jnp.abs(cheap.compiled(differences, variables, IMAGE)(variables, IMAGE)).max() > 1e-2


def test_bfloat16_is_of_the_activations_only_and_changes_little(tiny):
    variables, exact = tiny
    short = cheap.compiled(TINY.clone(compute=Compute(jnp.bfloat16)).apply, variables, IMAGE)(variables, IMAGE)
    for name, output in short.items():
        assert output.dtype == jnp.float32
        np.testing.assert_allclose(output, exact[name], atol=0.06 * float(jnp.abs(exact[name]).max()))


def test_a_step_of_gradient_descent_lowers_the_loss_and_all_gradients_are_finite(tiny, small_model):
    variables, _ = tiny

    def loss(params):
        outputs = TINY.apply({**variables, "params": params}, IMAGE)
        hand = jax.vmap(lambda one: hamr_decode.decode(small_model, one, TINY))(outputs)
        wanted = jnp.full(hand.keypoints_2d.shape, 10.0)
        return ((hand.keypoints_2d - wanted) ** 2).mean() + (outputs["heatmaps"] ** 2).mean()

    value_and_grad = cheap.compiled(jax.value_and_grad(loss), variables["params"])
    value, gradients = value_and_grad(variables["params"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    length = np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(gradients)))
    stepped = jax.tree.map(lambda leaf, slope: leaf - 0.001 / length * slope, variables["params"], gradients)
    assert value_and_grad(stepped)[0] < value


@pytest.fixture(scope="module")
def decoded(small_model):
    """A hand in its mean pose of someone's shape, and one that is turned and bent."""
    model = small_model
    decode = jax.jit(lambda outputs: hamr_decode.decode(model, outputs, PRESETS["paper"]))
    random = np.random.default_rng(3)
    bent = {"pca": random.normal(size=6), "global_orient": random.normal(size=3), "betas": random.normal(size=10)}
    mean = {"pca": np.zeros(6), "global_orient": np.zeros(3), "betas": bent["betas"]}
    camera = {"camera": np.array([1.1, 0.02, -0.01])}
    return model, [decode(jax.tree.map(jnp.float32, numbers | camera)) for numbers in (mean, bent)]


def test_no_pose_is_the_mean_pose_and_the_wrist_is_the_origin(decoded):
    model, (hand, bent) = decoded
    np.testing.assert_allclose(hand.params.hand_pose, model.hands_mean, rtol=1e-6)
    for one in (hand, bent):
        np.testing.assert_allclose(one.keypoints_3d[0], 0, atol=1e-6)
        np.testing.assert_allclose(one.keypoints_3d[0], (model.J_regressor @ one.vertices)[0], atol=1e-5)


def test_joints_are_regressed_from_the_posed_vertices_and_tips_are_vertices(decoded):
    model, (_, bent) = decoded
    regressed = np.asarray(model.J_regressor, np.float64) @ np.asarray(bent.vertices, np.float64)
    np.testing.assert_allclose(np.asarray(bent.keypoints_3d)[[5, 9, 17]], regressed[[1, 4, 7]], atol=1e-5)
    np.testing.assert_allclose(bent.keypoints_3d[8], bent.vertices[model.fingertip_ids[1]], atol=1e-6)


def test_the_hand_is_seen_where_equation_5_puts_it(decoded):
    _, (_, bent) = decoded
    uv = 9.0 * 1.1 * (np.asarray(bent.keypoints_3d)[:, :2] + np.array([0.02, -0.01]))
    np.testing.assert_allclose(bent.keypoints_2d, 128 * (uv + 1), rtol=1e-4, atol=1e-3)


def test_joints_alone_are_regressed_without_a_mesh():
    network = TINY.clone(mesh=False)
    outputs = jax.eval_shape(network.apply, cheap.shapes(network, IMAGE), IMAGE)
    assert outputs["joints"].shape == (2, 21, 3)
    assert not outputs.keys() & {"pca", "betas", "global_orient"}
    with pytest.raises(ValueError, match="outputs must hold 'betas'"):
        hamr_decode.decode(None, outputs, network)


@pytest.mark.parametrize(
    ("network", "image", "message"),
    [
        (TINY, np.zeros((1, 64, 64, 3), np.float32), r"image must have shape \(N, 32, 32, 3\), got \(1, 64, 64, 3\)"),
        (TINY, np.zeros((1, 32, 32, 3), np.uint8), "image must be floating point"),
        (TINY.clone(pool="mean"), IMAGE, "pool must be one of"),
        (Hamr(size=128), IMAGE, "size must be 4"),
    ],
)
def test_wrong_pictures_and_sizes_are_named(network, image, message):
    with pytest.raises(ValueError, match=message):
        cheap.shapes(network, image)
