"""The layers that the networks are made of follow PyTorch's rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from handjax.models.hourglass import Hourglass, PostBottleneck, PreBottleneck, middle_width
from handjax.models.layers import EPSILON, BatchNorm, Compute, Conv, ConvTranspose, Linear, Mlp, max_pool, upsample

KEY = jax.random.key(0)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape)


def convolve_loops(x, kernel, bias, stride, padding, dilation):
    """Float64, from the definition: (H, W, C) and (k, k, C, F) -> (H', W', F)."""
    k = kernel.shape[0]
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    reach = dilation * (k - 1) + 1
    size = [(length - reach) // stride + 1 for length in x.shape[:2]]
    out = np.zeros((*size, kernel.shape[-1])) + bias
    for i, j, a, b in np.ndindex(*size, k, k):
        out[i, j] += x[i * stride + a * dilation, j * stride + b * dilation] @ kernel[a, b]
    return out


@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding", "dilation"),
    [(1, 1, 0, 1), (1, 2, 0, 1), (1, 1, 1, 1), (3, 1, 1, 1), (3, 2, 1, 1), (7, 2, 3, 1), (3, 1, 2, 2)],
)
def test_convolution_pads_and_strides_as_pytorch_documents(kernel_size, stride, padding, dilation):
    x, kernel, bias = normal(1, 9, 8, 3), normal(kernel_size, kernel_size, 3, 2), normal(2)
    layer = Conv(2, kernel_size, stride, padding, dilation)
    out = layer.apply({"params": {"kernel": jnp.float32(kernel), "bias": jnp.float32(bias)}}, jnp.float32(x))
    np.testing.assert_allclose(out[0], convolve_loops(x[0], kernel, bias, stride, padding, dilation), atol=1e-4)


def test_a_convolution_without_padding_given_keeps_the_size():
    for kernel_size, dilation in [(1, 1), (3, 1), (3, 2), (5, 1)]:
        layer = Conv(4, kernel_size, dilation=dilation)
        assert jax.eval_shape(layer.init_with_output, KEY, jnp.zeros((1, 9, 8, 3)))[0].shape == (1, 9, 8, 4)


@pytest.mark.parametrize(("kernel_size", "stride", "padding"), [(4, 2, 1), (8, 4, 2), (3, 1, 1), (2, 2, 0)])
def test_transposed_convolution_adds_a_kernel_for_each_pixel(kernel_size, stride, padding):
    x, kernel, bias = normal(1, 3, 4, 3), normal(kernel_size, kernel_size, 3, 2), normal(2)
    layer = ConvTranspose(2, kernel_size, stride, padding)
    params = {"transposed_kernel": jnp.float32(kernel), "bias": jnp.float32(bias)}
    out = layer.apply({"params": params}, jnp.float32(x))
    whole = np.zeros((*(stride * (length - 1) + kernel_size for length in x.shape[1:3]), 2))
    for i, j, a, b in np.ndindex(3, 4, kernel_size, kernel_size):
        whole[i * stride + a, j * stride + b] += x[0, i, j] @ kernel[a, b]
    inner = whole[padding : whole.shape[0] - padding, padding : whole.shape[1] - padding] + bias
    np.testing.assert_allclose(out[0], inner, atol=1e-4)


def batch_norm_step(x, mean, var, scale, bias):
    """PyTorch's rule in training, float64: the output and the running statistics after it."""
    axes = tuple(range(x.ndim - 1))
    count = x[..., 0].size
    batch_mean = x.mean(axes)
    biased = ((x - batch_mean) ** 2).mean(axes)
    out = (x - batch_mean) / np.sqrt(biased + 1e-5) * scale + bias
    return out, 0.9 * mean + 0.1 * batch_mean, 0.9 * var + 0.1 * biased * count / (count - 1)


@pytest.mark.parametrize("shape", [(5, 6), (2, 3, 4, 6)])
def test_batch_norm_in_training_follows_pytorch_over_three_steps(shape):
    rng = np.random.default_rng(0)
    scale, bias = rng.uniform(0.5, 1.5, 6), rng.standard_normal(6)
    mean, var = np.zeros(6), np.ones(6)
    layer = BatchNorm()
    variables = layer.init(KEY, jnp.zeros(shape), True)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], mean)
    np.testing.assert_array_equal(variables["batch_stats"]["var"], var)
    params, stats = {"scale": jnp.float32(scale), "bias": jnp.float32(bias)}, variables["batch_stats"]
    for _ in range(3):
        x = 3 * rng.standard_normal(shape) + 50
        out, state = layer.apply(
            {"params": params, "batch_stats": stats}, jnp.float32(x), True, mutable=["batch_stats"]
        )
        want, mean, var = batch_norm_step(x, mean, var, scale, bias)
        stats = state["batch_stats"]
        np.testing.assert_allclose(out, want, atol=2e-4)
        np.testing.assert_allclose(stats["mean"], mean, rtol=1e-5)
        np.testing.assert_allclose(stats["var"], var, rtol=1e-4)
    evaluated = layer.apply({"params": params, "batch_stats": stats}, jnp.float32(x), False)
    np.testing.assert_allclose(evaluated, (x - mean) / np.sqrt(var + EPSILON) * scale + bias, atol=2e-4)


def test_batch_norm_over_devices_is_that_of_the_whole_batch():
    x = jnp.float32(normal(8, 2, 3, 4)) * jnp.arange(1.0, 9).reshape(8, 1, 1, 1)
    alone, together = BatchNorm(), BatchNorm(Compute(axis_name="devices"))
    variables = together.init(KEY, x, True)
    want, want_state = alone.apply(variables, x, True, mutable=["batch_stats"])

    def one_device(part):
        return together.apply(variables, part, True, mutable=["batch_stats"])

    out, state = jax.vmap(one_device, axis_name="devices")(x.reshape(4, 2, 2, 3, 4))
    np.testing.assert_allclose(out.reshape(x.shape), want, atol=1e-5)
    for name in ("mean", "var"):
        for device in range(4):
            got = state["batch_stats"][name][device]
            np.testing.assert_allclose(got, want_state["batch_stats"][name], rtol=1e-5, atol=1e-6)


def test_batch_norm_of_a_channel_that_never_changes_is_finite_with_its_gradients():
    layer = BatchNorm()
    x = jnp.full((4, 3), 7.0)
    variables = layer.init(KEY, x, True)
    summed = jax.grad(lambda x: layer.apply(variables, x, True, mutable=["batch_stats"])[0].sum())
    gradient = jax.jit(summed)(x)
    assert jnp.isfinite(gradient).all()


def test_computing_in_bfloat16_keeps_parameters_and_statistics_in_float32():
    block = PreBottleneck(8, Compute(jnp.bfloat16))
    x = jnp.float32(normal(2, 4, 4, 4))
    out, variables = jax.eval_shape(lambda: block.init_with_output(KEY, x, True))
    assert out.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    state = jax.eval_shape(lambda: block.apply(block.init(KEY, x, True), x, True, mutable=["batch_stats"]))[1]
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype(jnp.float32)}


def test_max_pooling_pads_with_what_never_wins():
    x = -1 - jnp.abs(jnp.float32(normal(1, 4, 4, 2)))
    out = max_pool(x, window=3, stride=2, padding=1)
    assert out.shape == (1, 2, 2, 2)
    np.testing.assert_array_equal(out[0, 0, 0], x[0, :2, :2].max((0, 1)))
    np.testing.assert_array_equal(out[0, 1, 1], x[0, 1:, 1:].max((0, 1)))


def test_upsampling_repeats_each_pixel():
    x = np.float32(normal(1, 2, 3, 2))
    np.testing.assert_array_equal(upsample(jnp.asarray(x)), x.repeat(2, 1).repeat(2, 2))


def test_convolutions_start_from_kaiming_and_linear_layers_from_pytorchs_uniform():
    kernel = Conv(512, 3).init(KEY, jnp.zeros((1, 4, 4, 32)))["params"]
    assert np.isclose(np.std(kernel["kernel"]), np.sqrt(2 / (9 * 32)), rtol=0.02)
    # Not truncated: of 147,456 numbers the largest is beyond four deviations.
    assert np.abs(kernel["kernel"]).max() > 4 * np.std(kernel["kernel"])
    assert 0.9 / np.sqrt(288) < np.abs(kernel["bias"]).max() <= 1 / np.sqrt(288)
    linear = Linear(512).init(KEY, jnp.zeros((1, 64)))["params"]
    for leaf in linear.values():
        assert 0.95 / 8 < np.abs(leaf).max() <= 1 / 8
        assert np.isclose(np.std(leaf), 1 / 8 / np.sqrt(3), rtol=0.05)


def test_the_names_of_an_mlp_are_the_places_of_a_sequential():
    x = jnp.zeros((2, 3))
    plain = jax.eval_shape(lambda: Mlp((4, 5, 6)).init(KEY, x, False))
    assert set(plain["params"]) == {"0", "2", "4"}
    normed = jax.eval_shape(lambda: Mlp((4, 5, 6), batch_norm=True).init(KEY, x, False))
    assert set(normed["params"]) == {"0", "1", "3", "4", "6"}
    dropped = jax.eval_shape(lambda: Mlp((4, 5, 6), dropout=0.4).init(KEY, x, False))
    assert set(dropped["params"]) == {"0", "3", "6"}


def test_dropout_drops_its_share_in_training_and_nothing_after():
    mlp = Mlp((400, 1), dropout=0.4)
    params = {"0": {"kernel": jnp.ones((1, 400)), "bias": jnp.zeros(400)}}
    params["3"] = {"kernel": jnp.full((400, 1), 1 / 400), "bias": jnp.zeros(1)}
    x = jnp.ones((50, 1))
    np.testing.assert_allclose(mlp.apply({"params": params}, x, False), 1, rtol=1e-5)
    dropped = mlp.apply({"params": params}, x, True, rngs={"dropout": KEY})
    # What is kept is divided by its share: 0.6 of 400 are kept, each counting 1 / 0.6.
    kept = np.asarray(dropped) * 0.6
    assert np.isclose(kept.mean(), 0.6, atol=0.01)
    assert np.std(kept) > 0.01


def test_a_bottlenecks_middle_is_half_its_wider_end():
    assert [middle_width(64, 128), middle_width(256, 256), middle_width(256, 64)] == [64, 128, 128]


class Scaled(nn.Module):
    """Stands in for a bottleneck: multiplies by a number of its own, 1 at first."""

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x, train):
        return x * self.param("factor", nn.initializers.ones, ())


def test_branches_of_an_hourglass_share_its_way_down_and_nothing_else():
    x = jnp.float32(normal(1, 8, 8, 2))
    network = Hourglass(Scaled, 2, depth=2, branches=2)
    params = network.init(KEY, x, False)["params"]
    assert sum(name.split(".")[2] == "1" for name in params) == 2
    assert len(params) == 2 * (2 + 1 + 2) + 2

    def outputs(name, factor):
        return network.apply({"params": params | {name: {"factor": jnp.float32(factor)}}}, x, False)

    (first, second), bottom = outputs("hg.1.0.0.0", 1.0)
    np.testing.assert_allclose(first, second)
    assert bottom.shape == (1, 2, 2, 2)
    (first_now, second_now), _ = outputs("hg.0.3.0.0", 5.0)
    assert np.abs(first_now - first).max() > 0.1
    np.testing.assert_array_equal(second_now, second)
    (first_now, second_now), bottom_now = outputs("hg.1.1.0.0", 5.0)
    assert min(np.abs(a - b).max() for a, b in [(first_now, first), (second_now, second), (bottom_now, bottom)]) > 0.1


def test_an_hourglass_adds_what_comes_up_to_what_goes_across():
    x = jnp.float32(normal(1, 4, 4, 2))
    network = Hourglass(Scaled, 2, depth=1)
    (out,), bottom = network.init_with_output(KEY, x, False)[0]
    np.testing.assert_allclose(bottom, max_pool(x))
    np.testing.assert_allclose(out, x + upsample(max_pool(x)), rtol=1e-6)


@pytest.mark.parametrize("block", [PreBottleneck, PostBottleneck])
def test_a_bottleneck_of_256_has_the_published_214_528_parameters(block):
    shapes = jax.eval_shape(lambda: block(256).init(KEY, jnp.zeros((1, 4, 4, 256)), False))
    counted = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    assert counted == 214_528


def test_a_bisected_hourglass_has_the_published_4_719_616_parameters():
    network = Hourglass(PreBottleneck, 256, branches=2)
    shapes = jax.eval_shape(lambda: network.init(KEY, jnp.zeros((1, 64, 64, 256)), False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 4_719_616
