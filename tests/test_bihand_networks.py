"""SeedNet, LiftNet, SIKNet and IKNet: their variants, their geometry, their gradients and what they refuse."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from handjax import rotations
from handjax.camera import Camera, project
from handjax.models import iknet, liftnet, seednet, siknet, volume
from handjax.models.layers import Compute
from handjax.models.volume import Pointwise
from handjax.torch_weights import template
from tests import cheap

KEY = jax.random.key(0)


def floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def drawn(network, *inputs):
    return cheap.filled(template(network, *inputs))


def output_shapes(network, *inputs, **options) -> dict[str, tuple]:
    outputs = jax.eval_shape(lambda *given: network.init_with_output(KEY, *given, **options)[0], *inputs)
    assert all(output.dtype == jnp.float32 for output in outputs.values())
    return {name: output.shape for name, output in outputs.items()}


def maps(network, n=2, side=8):
    mask = floats(n, side, side) if network.silhouette else None
    return floats(n, side, side, 21), mask, floats(n, side, side, network.features)


# Names, shapes and variants.


@pytest.mark.parametrize(("train", "dtype"), [(False, jnp.float32), (True, jnp.bfloat16)])
def test_outputs_have_the_documented_names_and_shapes(train, dtype):
    compute = {"compute": Compute(dtype)}
    lift = liftnet.PRESETS["tiny"]
    assert output_shapes(seednet.PRESETS["tiny"].clone(**compute), floats(2, 32, 48, 3), train=train) == {
        "heatmaps": (2, 2, 8, 12, 21),
        "encoding": (2, 8, 12, 16),
        "mask": (2, 2, 8, 12),
    }
    assert output_shapes(lift.clone(**compute), *maps(lift), train=train) == {
        "uvd": (2, 2, 21, 3),
        "latent": (2, 2, 2, 16),
        "depth": (2, 2, 8, 8),
    }
    assert output_shapes(siknet.PRESETS["tiny"].clone(**compute), floats(5, 21, 3), train=train) == {
        "quaternions": (5, 16, 4),
        "axis_angle": (5, 48),
        "betas": (5, 10),
    }


def test_without_silhouette_or_depth_the_hourglasses_have_one_branch():
    seed = seednet.PRESETS["tiny"].clone(silhouette=False)
    lift = liftnet.PRESETS["tiny"].clone(silhouette=False, depth_map=False)
    image = floats(1, 32, 32, 3)
    assert "mask" not in output_shapes(seed, image)
    assert "depth" not in output_shapes(lift, *maps(lift))
    for network, inputs, gone in [(seed, [image], "mask"), (lift, maps(lift), "dep")]:
        names = {
            ".".join(key.key for key in path)
            for path, _ in jax.tree_util.tree_leaves_with_path(template(network, *inputs)["params"])
        }
        assert not any(name.startswith((gone, f"_{gone}", "res2", "fc2")) for name in names)
        assert not any(".hg.0.3.1." in name for name in names)
        assert any(".hg.0.3.0." in name for name in names)
    with_mask = lift.clone(silhouette=True)
    assert "_mask_prev" in template(with_mask, *maps(with_mask))["params"]


def test_presets_differ_in_size_and_small_is_within_its_budget():
    seed = [count(seednet.PRESETS[name], floats(1, 64, 64, 3)) for name in ("tiny", "small")]
    assert seed[0] < 100_000 < seed[1] < 2_500_000
    assert seednet.PRESETS["paper"] == seednet.PRESETS["released"]
    lift = [count(network, *maps(network, 1, 16)) for network in (liftnet.PRESETS["tiny"], liftnet.PRESETS["small"])]
    assert lift[0] < 100_000 < lift[1] < 2_500_000


def count(network, *inputs) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(template(network, *inputs)["params"]))


def test_variables_can_be_drawn_without_running_the_network():
    network = liftnet.LiftNet((4,), features=8, depth=1, keypoints=2)
    inputs = floats(1, 4, 4, 2), floats(1, 4, 4), floats(1, 4, 4, 8)
    variables = network.lazy_init(KEY, *inputs)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, template(network, *inputs))
    kernel = variables["params"]["hg3d2b.0"]["hg.0.1.0.0"]["conv2"]["kernel"]
    assert jnp.std(kernel) == pytest.approx((2 / (9 * 4)) ** 0.5, rel=0.2)


# The volume.


def integrate_loops(volumes: np.ndarray) -> np.ndarray:
    """(K, Z, H, W) float64 -> (K, 3), from the definition."""
    k, z, h, w = volumes.shape
    out = np.zeros((k, 3))
    for j in range(k):
        p = volumes[j] / (volumes[j].sum() + 1e-6)
        for d, v, u in np.ndindex(z, h, w):
            out[j] += p[d, v, u] * np.array([u / w, v / h, d / z])
    return out


@pytest.mark.parametrize("n", [1, 8], ids=["rows of one image", "images"])
def test_reading_volumes_in_slabs_is_integrating_them(n):
    x, kernel, bias = normal(n, 6, 4, 5), normal(5, 3 * 7, seed=1), normal(21, seed=2)
    merge = normal(21, 2, seed=3)
    whole = np.maximum(np.float64(x) @ kernel + bias, 0)
    want = [integrate_loops(one.reshape(6, 4, 3, 7).transpose(2, 3, 0, 1)) for one in whole]
    head = Pointwise(jnp.asarray(kernel), jnp.asarray(bias))
    samples, rows = (1, 3) if n == 1 else (2, 6)
    in_slabs = jax.jit(partial(volume._in_slabs, samples=samples, rows=rows))
    planes, merged = in_slabs(jnp.asarray(x), head, Pointwise(jnp.asarray(merge), None))
    np.testing.assert_allclose(planes[0], whole.sum((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(merged, whole @ merge, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(planes[2], (whole * np.arange(6).reshape(6, 1, 1)).sum((1, 2)), rtol=1e-5)
    uvd, none = volume.read_volumes(jnp.asarray(x), head, None, 7)
    assert none is None
    np.testing.assert_allclose(uvd, want, atol=1e-5)
    shares = volume.normalised_volumes(jnp.asarray(x), head, 7)
    np.testing.assert_allclose(shares.sum((2, 3, 4)), 1, rtol=1e-5)
    np.testing.assert_allclose([integrate_loops(np.float64(one)) for one in shares], want, atol=1e-5)


def test_the_gradients_of_slabs_are_those_of_the_whole_volume():
    x, kernel, merge = jnp.asarray(normal(2, 4, 4, 5)), jnp.asarray(normal(5, 14)), jnp.asarray(normal(14, 3))

    def slabs(x, kernel, merge):
        uvd, merged = volume.read_volumes(x, Pointwise(kernel, None), Pointwise(merge, None), 7)
        return (uvd * jnp.arange(3.0).reshape(1, 1, 3)).sum() + jnp.sin(merged).sum()

    def whole(x, kernel, merge):
        volumes = volume.volumes_of(x, Pointwise(kernel, None))
        shares = volume.normalised_volumes(x, Pointwise(kernel, None), 7)
        v = (shares.sum((2, 4)) * jnp.arange(4).reshape(1, 1, 4) / 4).sum()
        d = (shares.sum((3, 4)) * jnp.arange(7).reshape(1, 1, 7) / 7).sum()
        return v + 2 * d + jnp.sin(volumes @ merge).sum()

    got, want = (jax.jit(jax.grad(read, (0, 1, 2)))(x, kernel, merge) for read in (slabs, whole))
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_the_volume_is_never_in_memory_whole():
    kernel, x = floats(32, 21 * 64), floats(2, 64, 64, 32)
    read = jax.jit(lambda x, kernel: volume.read_volumes(x, Pointwise(kernel, None), None, 64)[0])
    volume_bytes = 2 * 64 * 64 * 21 * 64 * 4
    for compiled in (
        read.lower(x, kernel).compile(),
        jax.jit(jax.grad(lambda *a: read(*a).sum(), (0, 1))).lower(x, kernel).compile(),
    ):
        memory = compiled.memory_analysis()
        assert 0 < memory.temp_size_in_bytes < 0.5 * volume_bytes


def test_a_dead_volume_reads_zero_with_finite_gradients():
    head = Pointwise(jnp.asarray(normal(5, 21)), jnp.full(21, -1e3))

    @jax.jit
    @jax.value_and_grad
    def summed(head):
        return volume.read_volumes(jnp.asarray(normal(1, 4, 4, 5)), head, None, 7)[0].sum()

    value, gradient = summed(head)
    assert value == 0
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_depth_and_pixels_become_points_that_project_back():
    camera = Camera(jnp.array([400.0, 420.0]), jnp.array([130.0, 120.0]))
    uvd = jnp.asarray(np.random.default_rng(0).uniform(0.2, 0.8, (2, 21, 3)), jnp.float32)
    bone, root = jnp.array([0.1, 0.08]), jnp.array([0.5, 0.7])
    joints = jax.jit(liftnet.joints_from_uvd)(uvd, camera, bone, root, 256.0)
    np.testing.assert_allclose(project(camera, joints), uvd[..., :2] * 256, rtol=1e-4)
    np.testing.assert_allclose(joints[1, 3, 2], (3 * uvd[1, 3, 2] - 1.5) * 0.08 + 0.7, rtol=1e-5)
    # In the middle of the depth range stands the root.
    middle = liftnet.joints_from_uvd(jnp.array([[0.5, 0.25, 0.5]]), camera, 0.1, 0.5, 256)
    np.testing.assert_allclose(middle, [[(128 - 130) / 400 * 0.5, (64 - 120) / 420 * 0.5, 0.5]], atol=1e-6)


# Rotations and bones.


def test_bone_directions_are_unit_and_zero_where_a_bone_is():
    joints = normal(21, 3)
    directions = siknet.bone_directions(jnp.asarray(joints))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1, atol=1e-4)
    for child, parent in [(1, 0), (4, 3), (9, 0), (20, 19)]:
        bone = joints[child] - joints[parent]
        np.testing.assert_allclose(directions[child - 1], bone / np.linalg.norm(bone), atol=1e-4)
    gradient = jax.jit(jax.jacobian(siknet.bone_directions))(jnp.zeros((21, 3)))
    assert jnp.isfinite(gradient).all()
    np.testing.assert_array_equal(siknet.bone_directions(jnp.ones((21, 3))), np.zeros((20, 3)))


def test_relative_joints_put_the_root_at_zero_and_the_reference_bone_at_one():
    joints = jnp.asarray(normal(3, 21, 3))
    relative = siknet.relative_joints(joints, joints[:, 9])
    np.testing.assert_array_equal(relative[:, 9], np.zeros((3, 3)))
    np.testing.assert_allclose(np.linalg.norm(relative[:, 0], axis=-1), 1, rtol=1e-5)
    gradient = jax.jit(jax.jacobian(siknet.relative_joints))(jnp.ones((21, 3)), jnp.ones(3))
    assert jnp.isfinite(gradient).all()


def test_a_siknet_that_sees_the_palm_upright_turns_with_the_hand_and_with_nothing_else():
    network = siknet.PRESETS["tiny"].clone(palm_frame=True)
    joints = normal(4, 21, 3)
    variables = drawn(network, floats(4, 21, 3))
    turn = rotations.matrix_from_axis_angle(jnp.array([0.3, -1.2, 2.1]))
    apply = jax.jit(network.apply)
    straight = apply(variables, joints)
    turned = apply(variables, jnp.einsum("ij,bkj->bki", turn, joints, precision="highest"))
    np.testing.assert_allclose(turned["betas"], straight["betas"], atol=1e-4)
    np.testing.assert_allclose(turned["quaternions"][:, 1:], straight["quaternions"][:, 1:], atol=1e-4)
    before, after = (rotations.matrix_from_quaternion(each["quaternions"][:, 0]) for each in (straight, turned))
    np.testing.assert_allclose(after, jnp.einsum("ij,bjk->bik", turn, before, precision="highest"), atol=1e-4)
    assert np.all(turned["quaternions"][:, 0, 0] >= 0)
    # A palm without a plane: all in one place, or on a line.
    line = jnp.linspace(0.0, 1.0, 21)[None, :, None] * jnp.ones((1, 1, 3))
    gradient = jax.jit(jax.grad(lambda each: sum(value.sum() for value in network.apply(variables, each).values())))
    for flat in (jnp.zeros((1, 21, 3)), line):
        assert np.isfinite(gradient(flat)).all()


def test_quaternions_and_axis_angles_of_siknet_are_one_rotation():
    network = siknet.PRESETS["tiny"]
    variables = drawn(network, floats(1, 21, 3))
    out = jax.jit(network.apply)(variables, jnp.asarray(normal(4, 21, 3)))
    angles = np.asarray(out["axis_angle"]).reshape(4, 16, 3)
    theta = np.linalg.norm(angles, axis=-1, keepdims=True)
    quaternions = np.concatenate([np.cos(theta / 2), np.sin(theta / 2) / theta * angles], -1)
    want = out["quaternions"] / np.linalg.norm(out["quaternions"], axis=-1, keepdims=True)
    np.testing.assert_allclose(np.abs((quaternions * want).sum(-1)), 1, atol=1e-5)
    assert (theta <= np.pi + 1e-5).all()


def test_iknet_gives_unit_quaternions_with_a_positive_first_entry():
    network = iknet.IKNet(layers=2, features=32)
    rest = jnp.asarray(normal(1, 21, 3, seed=1))
    variables = drawn(network, rest, rest)
    out = jax.jit(network.apply)(variables, jnp.asarray(normal(4, 21, 3)), jnp.broadcast_to(rest, (4, 21, 3)))
    np.testing.assert_allclose(np.linalg.norm(out["quaternions"], axis=-1), 1, rtol=1e-5)
    assert (out["quaternions"][..., 0] >= 0).all()
    assert out["axis_angle"].shape == (4, 21, 3)
    assert jnp.isfinite(jax.jit(jax.jacobian(iknet.unit_quaternions))(jnp.zeros(4))).all()


# Training.


def test_a_step_lowers_the_loss_of_the_whole_chain_and_all_gradients_are_finite():
    seed = seednet.PRESETS["tiny"].clone(stacks=1, depth=1)
    lift = liftnet.PRESETS["tiny"].clone(volume_depths=(4,), depth=1)
    sik = siknet.PRESETS["tiny"]
    image = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (2, 32, 32, 3)), jnp.float32)
    target = jnp.asarray(np.random.default_rng(1).uniform(0.2, 0.8, (2, 1, 21, 3)), jnp.float32)

    def loss(params, stats):
        found, seed_stats = apply(seed, params, stats, "seed", image)
        inputs = found["heatmaps"][:, -1], found["mask"][:, -1], found["encoding"]
        lifted, lift_stats = apply(lift, params, stats, "lift", *inputs)
        joints = lifted["uvd"][:, -1]
        rotations, _ = apply(sik, params, stats, "sik", siknet.relative_joints(joints, joints[:, 9]))
        terms = [
            jnp.square(found["heatmaps"] - 0.5).mean(),
            jnp.square(lifted["uvd"] - target).mean(),
            jnp.square(lifted["depth"] - 0.5).mean(),
            jnp.square(rotations["axis_angle"]).mean() + jnp.square(rotations["betas"]).mean(),
        ]
        return sum(terms), {"seed": seed_stats, "lift": lift_stats}

    def apply(network, params, stats, name, *inputs):
        variables = {"params": params[name], "batch_stats": stats.get(name, {})}
        outputs, state = network.apply(variables, *inputs, train=True, mutable=["batch_stats"])
        return outputs, state.get("batch_stats", {})

    inputs = {"seed": [image], "lift": maps(lift), "sik": [floats(1, 21, 3)]}
    networks = {"seed": seed, "lift": lift, "sik": sik}
    variables = {name: drawn(network, *inputs[name]) for name, network in networks.items()}
    params = {name: one["params"] for name, one in variables.items()}
    stats = {name: one["batch_stats"] for name, one in variables.items() if "batch_stats" in one}
    step = cheap.compiled(jax.value_and_grad(loss, has_aux=True), params, stats)
    (before, moved), gradient = step(params, stats)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert jnp.isfinite(leaf).all(), path
    # As long as would lower a straight line by a hundredth of itself.
    rate = 0.01 * before / sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(gradient))
    (after, _), _ = step(jax.tree.map(lambda p, g: p - rate * g, params, gradient), stats)
    assert after < before
    assert any(np.abs(a - b).max() > 0 for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(stats), strict=True))


def test_the_whole_chain_lowers_for_a_tpu_that_is_not_there():
    seed, lift, sik = (module.PRESETS["tiny"] for module in (seednet, liftnet, siknet))

    def run(variables, image):
        found = seed.apply(variables["seed"], image)
        lifted = lift.apply(variables["lift"], found["heatmaps"][:, -1], found["mask"][:, -1], found["encoding"])
        return sik.apply(variables["sik"], lifted["uvd"][:, -1])

    image = floats(2, 32, 32, 3)
    variables = {
        "seed": template(seed, image),
        "lift": template(lift, *maps(lift)),
        "sik": template(sik, floats(1, 21, 3)),
    }
    program = export.export(jax.jit(run), platforms=["tpu"])(variables, image)
    assert (2, 48) in [shape.shape for shape in program.out_avals]


# Bad input.


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (floats(1, 3, 32, 32), r"image must have shape \(N, H, W, 3\), got \(1, 3, 32, 32\)"),
        (floats(32, 32, 3), r"image must have shape \(N, H, W, 3\), got \(32, 32, 3\)"),
        (floats(1, 32, 40, 3), r"image must have sides that are multiples of 16, got \(32, 40\)"),
        (jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.uint8), "image must be floating point.*got uint8"),
    ],
)
def test_a_picture_of_another_size_order_or_type_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        output_shapes(seednet.PRESETS["tiny"], image)


def test_maps_and_keypoints_of_other_shapes_are_refused():
    lift = liftnet.PRESETS["tiny"]
    heatmaps, mask, encoding = maps(lift)
    for inputs, message in [
        ((floats(2, 8, 8, 20), mask, encoding), r"heatmaps must have shape \(\?, \?, \?, 21\)"),
        ((floats(2, 6, 8, 21), mask, encoding), "heatmaps must have sides that are multiples of 4, got 6 x 8"),
        ((heatmaps, mask, floats(2, 8, 8, 15)), r"encoding must have shape \(2, 8, 8, 16\)"),
        ((heatmaps, floats(2, 8, 8, 1), encoding), r"mask must have shape \(2, 8, 8\)"),
        ((heatmaps, None, encoding), "mask must be given: silhouette=True"),
    ]:
        with pytest.raises(ValueError, match=message):
            output_shapes(lift, *inputs)
    with pytest.raises(ValueError, match=r"joints must have shape \(..., 21, 3\), got \(2, 20, 3\)"):
        output_shapes(siknet.PRESETS["tiny"], floats(2, 20, 3))
    with pytest.raises(ValueError, match=r"rest_joints must have shape"):
        output_shapes(iknet.IKNet(), floats(2, 21, 3), floats(2, 21))
    with pytest.raises(ValueError, match=r"uvd must have shape \(..., 3\)"):
        liftnet.joints_from_uvd(jnp.zeros((21, 2)), Camera(jnp.ones(2), jnp.ones(2)), 0.1, 0.5, 256)
