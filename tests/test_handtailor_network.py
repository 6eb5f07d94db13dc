"""HandTailor's hand module: its two ways to place a hand, their singular points, its variants and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from handjax.camera import Camera
from handjax.models import handtailor
from handjax.models.layers import Compute
from handjax.torch_weights import template
from tests import cheap

CAMERA = Camera(jnp.array([50.0, 50.0]), jnp.array([16.0, 16.0]))
IMAGE = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
TINY = handtailor.PRESETS["tiny"].clone(depth=1)


def output_shapes(network, *inputs) -> dict[str, tuple]:
    outputs = jax.eval_shape(lambda *given: network.init_with_output(jax.random.key(0), *given)[0], *inputs)
    assert all(output.dtype == jnp.float32 for output in outputs.values())
    return {name: output.shape for name, output in outputs.items()}


@pytest.fixture(scope="module")
def variables():
    return cheap.filled(template(TINY, IMAGE, CAMERA))


@pytest.fixture(scope="module")
def image():
    return jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, IMAGE.shape), jnp.float32)


def test_outputs_have_the_documented_names_and_shapes_with_and_without_a_camera():
    common = {
        "heatmaps_2d": (2, 1, 8, 8, 21),
        "heatmaps": (2, 1, 8, 8, 21),
        "depths": (2, 1, 8, 8, 21),
        "uvd": (2, 21, 3),
        "joints": (2, 21, 3),
        "quaternions": (2, 16, 4),
        "axis_angle": (2, 48),
        "betas": (2, 10),
        "bone": (2,),
        "root_depth": (2,),
    }
    half = TINY.clone(compute=Compute(jnp.bfloat16))
    assert output_shapes(half, IMAGE, CAMERA) == common | {"root": (2, 3), "bone_length": (2,)}
    assert output_shapes(TINY, IMAGE, None) == common | {"scale": (2,)}


def test_the_paper_has_one_group_of_stacks_and_predicts_no_bone():
    paper = handtailor.PRESETS["paper"]
    small = TINY.clone(stacks_2d=paper.stacks_2d, predicts_bone=paper.predicts_bone)
    bone = jax.ShapeDtypeStruct((2,), jnp.float32)
    found = output_shapes(small, IMAGE, CAMERA, bone)
    assert "heatmaps_2d" not in found
    assert found["heatmaps"] == (2, 1, 8, 8, 21)
    params = template(small, IMAGE, CAMERA, bone)["params"]
    assert params["shapereg_layers"]["3"]["bias"].shape == (11,)
    assert not any(name.startswith("hg") for name in params["hand3d.hand2d"])


def test_a_given_bone_scales_what_the_network_places(variables, image):
    network = TINY.clone(predicts_bone=False)
    drawn = jax.tree.map(lambda leaf: leaf, variables)
    last = drawn["params"]["shapereg_layers"]["3"]
    drawn["params"]["shapereg_layers"]["3"] = {"kernel": last["kernel"][:, :11], "bias": last["bias"][:11] + 5}
    run = jax.jit(lambda bone: network.apply(drawn, image, CAMERA, bone))
    small, large = run(jnp.array([0.1, 0.05])), run(jnp.array([0.2, 0.1]))
    np.testing.assert_allclose(2 * small["joints"], large["joints"], rtol=1e-5)
    np.testing.assert_allclose(small["bone"], [0.1, 0.05])


def test_joints_project_onto_the_heat_maps_means_and_the_bone_is_between_them(variables, image):
    out = jax.jit(lambda image: TINY.apply(variables, image, CAMERA))(image)
    # Untrained, some lie behind the camera, where `project` would not follow them.
    rays = (out["uvd"][..., :2] * 32 - 16) / 50
    np.testing.assert_allclose(out["joints"][..., :2], rays * out["joints"][..., 2:], rtol=1e-4, atol=1e-6)
    depth = (3 * out["uvd"][..., 2] - 1.5) * out["bone"][:, None] + out["root_depth"][:, None]
    np.testing.assert_allclose(out["joints"][..., 2], depth, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(out["root"], out["joints"][:, 9])
    between = np.linalg.norm(out["joints"][:, 0] - out["joints"][:, 9], axis=-1)
    np.testing.assert_allclose(out["bone_length"], between, rtol=1e-5)
    for name in ("bone", "root_depth"):
        assert ((out[name] >= 0) & (out[name] <= 1)).all()


def test_integrating_is_the_mean_under_each_map():
    rng = np.random.default_rng(0)
    heatmaps, depths = rng.uniform(size=(2, 4, 6, 3)), rng.uniform(size=(2, 4, 6, 3))
    want = np.zeros((2, 3, 3))
    for n, v, u, k in np.ndindex(2, 4, 6, 3):
        share = heatmaps[n, v, u, k] / heatmaps[n, :, :, k].sum()
        want[n, k] += share * np.array([u / 6, v / 4, depths[n, v, u, k]])
    got = handtailor.integrate(jnp.float32(heatmaps), jnp.float32(depths))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert (handtailor.integrate(jnp.zeros((1, 4, 6, 3)), jnp.zeros((1, 4, 6, 3))) == 0).all()


def weak_by_hand(uvd):
    """The released code's formula in float64, with each sample's own scale."""
    (u0, v0, d0), (u9, v9, d9) = uvd[0] * [1, 1, 3], uvd[9] * [1, 1, 3]
    scale = np.sqrt(((u0 - u9) ** 2 + (v0 - v9) ** 2) / (1 - (d0 - d9) ** 2))
    return np.concatenate([uvd[:, :2] / scale, 3 * uvd[:, 2:]], -1), scale


def test_weak_joints_have_a_reference_bone_of_one_and_each_their_own_scale():
    rng = np.random.default_rng(0)
    uvd = rng.uniform(0.3, 0.6, (3, 21, 3))
    joints, scale = handtailor.weak_joints(jnp.float32(uvd))
    for sample in range(3):
        want, want_scale = weak_by_hand(uvd[sample])
        np.testing.assert_allclose(joints[sample], want, rtol=1e-4)
        np.testing.assert_allclose(scale[sample], want_scale, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(joints[:, 0] - joints[:, 9], axis=-1), 1, rtol=1e-4)
    assert len(set(np.asarray(scale).tolist())) == 3


@pytest.mark.parametrize(
    ("along", "across"),
    [(1 / 3, 0.0), (0.4, 0.1), (0.9, 0.0), (0.0, 0.0), (1 / 3, 0.2)],
    ids=["along the axis", "longer than itself", "far beyond", "no bone", "exactly one deep"],
)
def test_weak_joints_and_their_gradients_stay_finite_where_the_scale_is_undefined(along, across):
    uvd = np.full((21, 3), 0.4, np.float32)
    uvd[9] += [across, 0, along]

    @jax.jit
    @jax.value_and_grad
    def summed(uvd):
        joints, scale = handtailor.weak_joints(uvd)
        return joints.sum() + scale

    value, gradient = summed(jnp.asarray(uvd))
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all()
    _, scale = handtailor.weak_joints(jnp.asarray(uvd))
    assert 1e-3 <= scale <= 10 * max(across, 1e-3) * 1.001


def test_a_step_lowers_the_loss_and_all_gradients_are_finite(variables):
    # Of two images batch norm would leave the signs alone.
    image = jnp.asarray(np.random.default_rng(1).uniform(-0.5, 0.5, (8, 32, 32, 3)), jnp.float32)

    def loss(params):
        given = {"params": params, "batch_stats": variables["batch_stats"]}
        out, _ = TINY.apply(given, image, CAMERA, train=True, mutable=["batch_stats"])
        return sum(jnp.square(out[name]).mean() for name in ("heatmaps", "uvd", "joints", "axis_angle", "betas"))

    step = cheap.compiled(jax.value_and_grad(loss), variables["params"])
    before, gradient = step(variables["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert jnp.isfinite(leaf).all(), path
    # As long as would lower a straight line by a few thousandths of itself.
    rate = 0.003 * before / sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(gradient))
    after, _ = step(jax.tree.map(lambda p, g: p - rate * g, variables["params"], gradient))
    assert after < before


@pytest.mark.parametrize("camera", [CAMERA, None], ids=["perspective", "weak"])
def test_it_lowers_for_a_tpu_that_is_not_there(variables, camera):
    run = jax.jit(lambda variables, image: TINY.apply(variables, image, camera))
    assert export.export(run, platforms=["tpu"])(variables, IMAGE).platforms == ("tpu",)


@pytest.mark.parametrize(
    ("image", "bone", "message"),
    [
        ((1, 3, 32, 32), None, r"image must have shape \(N, H, W, 3\), got \(1, 3, 32, 32\)"),
        ((1, 32, 64, 3), None, "image must be square, got 32 x 64"),
        ((1, 36, 36, 3), None, "image must have sides that are multiples of 8"),
        ((1, 32, 32, 3), (1,), "bone must be None: it is predicted"),
    ],
)
def test_a_picture_or_bone_that_does_not_fit_is_refused(image, bone, message):
    given = None if bone is None else jax.ShapeDtypeStruct(bone, jnp.float32)
    with pytest.raises(ValueError, match=message):
        output_shapes(TINY, jax.ShapeDtypeStruct(image, jnp.float32), CAMERA, given)
    with pytest.raises(ValueError, match="bone must be given, in metres"):
        output_shapes(TINY.clone(predicts_bone=False), IMAGE, CAMERA)
