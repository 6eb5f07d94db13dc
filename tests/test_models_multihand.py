"""The multi-hand network's parts and training start, and its decoder on maps made by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handjax import mano
from handjax.camera import Camera, project
from handjax.models import multihand_decode as decode
from handjax.models.layers import Compute
from handjax.models.multihand import PRESETS, L2Norm, MultiHand
from tests import cheap

TINY = PRESETS["tiny"]
IMAGE = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)
IMAGE_OF_ZEROS = np.zeros(IMAGE.shape, np.float32)
PICTURES = np.random.default_rng(1).normal(size=IMAGE.shape).astype(np.float32)
STRIDE, ROWS, COLUMNS = 8, 12, 16


def output_shapes(network):
    variables = cheap.shapes(network, IMAGE)
    return jax.eval_shape(network.apply, variables, IMAGE), variables


@pytest.mark.parametrize("stride", [4, 8])
def test_maps_have_their_stride_and_their_numbers(stride):
    outputs, _ = output_shapes(MultiHand(stride=stride, per_side=True))
    side = 64 // stride
    assert {name: output.shape for name, output in outputs.items()} == {
        "centers": (2, side, side, 1),
        "sides": (2, side, side, 2),
        "params": (2, side, side, 122),
        "texture": (2, side, side, 3 * 778),
        "light": (2, side, side, 27),
        "keypoint_maps": (2, 32, 32, 21),
    }
    assert {output.dtype for output in outputs.values()} == {jnp.dtype("float32")}


def test_what_is_switched_off_is_neither_computed_nor_stored():
    bare = MultiHand(side=False, light=False, texture_vertices=0, keypoints=False)
    outputs, variables = output_shapes(bare)
    assert outputs.keys() == {"centers", "params"}
    assert not [
        name for name in variables["params"] if name.startswith(("handmap", "light", "texture", "backbone", "p2"))
    ]


def test_outputs_are_float32_and_nearly_the_same_when_computed_in_bfloat16():
    network = TINY.clone(keypoints=False)
    variables = cheap.filled(cheap.shapes(network, IMAGE))

    def both(variables, image):
        return [network.clone(compute=Compute(dtype)).apply(variables, image) for dtype in (jnp.float32, jnp.bfloat16)]

    exact, short = cheap.compiled(both, variables, PICTURES)(variables, PICTURES)
    for name, output in short.items():
        assert output.dtype == jnp.float32
        np.testing.assert_allclose(output, exact[name], atol=0.05 * float(jnp.abs(exact[name]).max()))


def test_before_training_one_cell_in_a_hundred_is_a_hand_and_all_hands_are_at_rest():
    network = MultiHand(depth=10, width=8, neck=64, keypoints=False)
    names = ("hm.2", "handmap.2", "params.0", "params.2", "p5", "p5_l2")
    start = cheap.initialised(network, lambda params: {name: params[name] for name in names}, IMAGE_OF_ZEROS)
    for head in ("hm.2", "handmap.2"):
        np.testing.assert_allclose(1 / (1 + np.exp(-start[head]["bias"])), 0.01, rtol=0.01)
    for head in ("params.0", "params.2"):
        assert np.std(start[head]["kernel"]) == pytest.approx(0.001, rel=0.05)
        assert not start[head]["bias"].any()
    assert np.all(np.asarray(start["p5_l2"]["scale"]) == 10)
    # Xavier: 2 / (fan in + fan out), both with the 4 x 4 cells of the kernel.
    assert np.std(start["p5"]["transposed_kernel"]) == pytest.approx(np.sqrt(2 / (16 * (64 + 64))), rel=0.02)
    assert not start["p5"]["bias"].any()


def test_the_neck_takes_its_statistics_a_tenth_as_fast_as_the_trunk():
    network = TINY.clone(keypoints=False)
    image = jnp.zeros(IMAGE.shape)
    variables = cheap.filled(cheap.shapes(network, image))

    def statistics(variables, image):
        stats = network.apply(variables, image, True, mutable=["batch_stats"])[1]["batch_stats"]
        return stats["bn1"]["var"], stats["feat_bn"]["var"]

    # A black picture has no variance anywhere: what is left of the 1 that was there is one minus the momentum.
    trunk, neck = cheap.compiled(statistics, variables, image)(variables, image)
    np.testing.assert_allclose(trunk, 0.9, rtol=1e-6)
    np.testing.assert_allclose(neck, 0.99, rtol=1e-6)


def test_a_step_of_gradient_descent_lowers_the_loss_and_all_gradients_are_finite():
    network = TINY.clone(keypoints=False)
    variables = cheap.filled(cheap.shapes(network, IMAGE))
    target = jnp.zeros((2, 8, 8, 1)).at[:, 3, 4].set(1.0)

    def loss(params):
        outputs = network.apply({**variables, "params": params}, PICTURES)
        p = decode.scores(outputs["centers"])
        focal = -(target * (1 - p) ** 2 * jnp.log(p) + (1 - target) * p**2 * jnp.log(1 - p)).sum()
        at_hand = (outputs["params"][:, 3, 4] - 0.1) ** 2
        return focal + at_hand.sum() + decode.scores(outputs["sides"]).sum()

    value_and_grad = cheap.compiled(jax.value_and_grad(loss), variables["params"])
    value, gradients = value_and_grad(variables["params"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    length = np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(gradients)))
    stepped = jax.tree.map(lambda leaf, slope: leaf - 0.01 / length * slope, variables["params"], gradients)
    assert value_and_grad(stepped)[0] < value


def test_the_small_preset_fits_a_laptop():
    small = PRESETS["small"]
    image = jax.ShapeDtypeStruct((1, 384, 384, 3), jnp.float32)
    variables = cheap.shapes(small, image)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) < 6e6
    cost = jax.jit(small.apply).lower(variables, image).cost_analysis()
    assert cost["flops"] / 2 < 4e9


def test_the_length_of_a_dead_pixel_has_a_gradient():
    x = np.array([[[[3.0, 0.0, 4.0, 0.0], [0.0] * 4]]], np.float32)
    variables = {"params": {"scale": jnp.full(4, 10.0)}}

    def squared(x):
        y = L2Norm().apply(variables, x)
        return (y**2).sum(), y

    (_, y), gradient = jax.jit(jax.value_and_grad(squared, has_aux=True))(x)
    np.testing.assert_allclose(y[0, 0], [[6.0, 0.0, 8.0, 0.0], [0.0] * 4], rtol=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("network", "image", "message"),
    [
        (TINY, jnp.zeros((1, 3, 64, 64)), r"image must have shape \(N, H, W, 3\)"),
        (TINY, jnp.zeros((64, 64, 3)), r"image must have shape \(N, H, W, 3\)"),
        (TINY, jnp.zeros((1, 64, 48, 3)), "image must have sides that are multiples of 32"),
        (TINY, jnp.zeros((1, 64, 64, 3), jnp.uint8), "image must be floating point"),
        (TINY.clone(stride=16), jnp.zeros((1, 64, 64, 3)), "stride must be one of 4, 8"),
    ],
)
def test_wrong_pictures_and_strides_are_named(network, image, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(network.init, jax.random.key(0), image)


def maps(hands, numbers=122, channels=1, seed=0):
    """Maps of one picture with a peak and its numbers for each (row, column, channel, score, side, 61 numbers)."""
    random = np.random.default_rng(seed)
    centers = np.full((ROWS, COLUMNS, channels), -6.0, np.float32) - random.uniform(0, 1, (ROWS, COLUMNS, channels))
    outputs = {
        "centers": centers,
        "params": random.normal(size=(ROWS, COLUMNS, numbers)),
        "sides": random.normal(size=(ROWS, COLUMNS, 2)),
        "texture": random.normal(size=(ROWS, COLUMNS, 9)),
        "light": random.normal(size=(ROWS, COLUMNS, 27)),
    }
    for row, column, channel, score, side, vector in hands:
        outputs["centers"][row, column, channel] = np.log(score / (1 - score))
        first = 61 * side if numbers == 122 else 0
        outputs["params"][row, column, first : first + 61] = vector
        outputs["sides"][row, column] = (2.0, -1.0) if side == 0 else (-1.0, 2.0)
    return {name: jnp.asarray(value, jnp.float32) for name, value in outputs.items()}


def vector_of(seed):
    return np.random.default_rng(seed).normal(scale=0.2, size=61)


detect = jax.jit(partial(decode.detect_hands, stride=STRIDE, count=4), static_argnames="side")
"""Compiled: operation by operation it takes longer."""


def test_peaks_come_best_first_and_slots_without_one_are_marked():
    hands = detect(maps([(2, 3, 0, 0.6, 0, vector_of(1)), (9, 12, 0, 0.9, 1, vector_of(2))]))
    assert hands.valid.tolist() == [True, True, False, False]
    np.testing.assert_allclose(hands.scores[:2], [0.9, 0.6], rtol=1e-5)
    assert hands.sides[:2].tolist() == [1, 0]
    np.testing.assert_allclose(hands.side_scores[:2], 1 / (1 + np.exp(-2.0)), rtol=1e-6)


def test_a_lower_cell_in_the_window_of_a_peak_is_no_hand_and_one_beyond_it_is():
    near = maps([(5, 5, 0, 0.9, 0, vector_of(1)), (7, 7, 0, 0.8, 0, vector_of(2))])
    assert decode.find_peaks(near["centers"], 3).valid.tolist() == [True, False, False]
    far = maps([(5, 5, 0, 0.9, 0, vector_of(1)), (5, 8, 0, 0.8, 0, vector_of(2))])
    peaks = decode.find_peaks(far["centers"], 3)
    assert peaks.cells[:2].tolist() == [[5, 5], [8, 5]]
    assert peaks.valid.tolist() == [True, True, False]


def test_the_best_of_two_cells_that_are_certain_is_one_hand():
    logits = jnp.full((6, 6, 1), -9.0).at[2, 2].set(30.0).at[2, 3].set(40.0)
    peaks = decode.find_peaks(logits, 2)
    assert peaks.valid.tolist() == [True, False]
    assert peaks.cells[0].tolist() == [3, 2]


def test_a_picture_without_hands_has_no_valid_slot():
    hands = detect(maps([]))
    assert not hands.valid.any()
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(hands))


@settings(max_examples=20)
@given(
    row=st.integers(0, ROWS - 1), column=st.integers(0, COLUMNS - 1), side=st.integers(0, 1), seed=st.integers(0, 99)
)
def test_the_numbers_at_a_peak_are_read_in_the_published_order(row, column, side, seed):
    vector = vector_of(seed)
    hands = detect(maps([(row, column, 0, 0.9, side, vector)]))
    assert hands.sides[0] == side
    np.testing.assert_allclose(hands.params.global_orient[0], vector[:3], rtol=1e-6)
    np.testing.assert_allclose(hands.params.hand_pose[0], vector[3:48], rtol=1e-6)
    np.testing.assert_allclose(hands.params.betas[0], vector[48:58], rtol=1e-6)
    a, b, c = vector[58:]
    depth = c + 0.8
    x = depth * (a + 8 * column - 8 * COLUMNS / 2) / 512
    y = depth * (b + 8 * row - 8 * ROWS / 2) / 512
    np.testing.assert_allclose(hands.params.transl[0], [x, y, depth], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(hands.centers[0], [a + 8 * column, b + 8 * row], rtol=1e-5)


def test_with_another_camera_hands_keep_their_pixel_and_their_size():
    outputs = maps([(4, 9, 0, 0.9, 1, vector_of(5))])
    camera = Camera(jnp.array([1024.0, 1024.0]), jnp.array([70.0, 50.0]))
    published = detect(outputs)
    mine = detect(outputs, camera=camera)
    np.testing.assert_allclose(project(camera, mine.params.transl)[0], published.centers[0], atol=1e-3)
    np.testing.assert_allclose(mine.params.transl[0, 2], 2 * published.params.transl[0, 2], rtol=1e-6)


def test_weights_of_2022_count_depth_in_tenths_of_a_metre():
    outputs = maps([(4, 9, 0, 0.9, 1, vector_of(5))])
    hands = detect(outputs, depth_rule=decode.DEPTH_RULE_2022)
    np.testing.assert_allclose(hands.params.transl[0, 2], 0.1 * vector_of(5)[60] + 0.6, rtol=1e-6)


def test_both_sides_may_share_their_numbers():
    vector = vector_of(7)
    hands = detect(maps([(4, 9, 0, 0.9, 1, vector)], numbers=61))
    np.testing.assert_allclose(hands.params.hand_pose[0], vector[3:48], rtol=1e-6)


def test_with_a_centre_map_for_each_side_the_map_is_the_side():
    outputs = maps([(4, 9, 1, 0.9, 1, vector_of(1)), (4, 9, 0, 0.7, 0, vector_of(2))], channels=2)
    del outputs["sides"]
    hands = detect(outputs)
    assert hands.sides[:2].tolist() == [1, 0]
    np.testing.assert_allclose(hands.params.hand_pose[1], vector_of(2)[3:48], rtol=1e-6)


def test_a_network_that_tells_no_side_gives_the_side_that_is_asked_for():
    outputs = maps([(4, 9, 0, 0.9, 0, vector_of(1))])
    del outputs["sides"]
    assert detect(outputs, side="left").sides.tolist() == [0] * 4
    assert detect(outputs).sides.tolist() == [1] * 4


def test_texture_and_light_have_their_published_means_added():
    outputs = maps([(4, 9, 0, 0.9, 0, vector_of(1))])
    hands = detect(outputs)
    raw = np.asarray(outputs["texture"][4, 9]).reshape(3, 3)
    np.testing.assert_allclose(hands.albedo[0], raw + np.array([0.45, 0.35, 0.3]), rtol=1e-5)
    added = np.asarray(hands.light[0] - outputs["light"][4, 9])
    np.testing.assert_allclose(added[[0, 9, 18]], 0.8, rtol=1e-5)
    assert np.abs(np.delete(added, [0, 9, 18])).max() == 0


def test_a_batch_is_a_vmap():
    one, other = maps([(4, 9, 0, 0.9, 0, vector_of(1))]), maps([(1, 2, 0, 0.8, 1, vector_of(2))], seed=3)
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), one, other)
    hands = jax.jit(jax.vmap(lambda outputs: decode.detect_hands(outputs, stride=STRIDE, count=4)))(both)
    np.testing.assert_allclose(hands.params.transl[1], detect(other).params.transl, rtol=1e-6)


def test_meshes_are_those_of_the_hand_model_and_left_ones_of_its_mirror(small_model):
    outputs = maps([(2, 3, 0, 0.6, 0, vector_of(1)), (9, 12, 0, 0.9, 1, vector_of(2))])
    hands = detect(outputs)
    posed = jax.jit(decode.pose_hands)(small_model, hands)
    best, second = (jax.tree.map(lambda leaf, slot=slot: leaf[slot], hands.params) for slot in range(2))
    forward = jax.jit(mano.forward)
    right, mirrored = forward(small_model, best), forward(small_model, mano.mirror_params(second))
    np.testing.assert_allclose(posed.vertices[0], right.vertices, atol=1e-5)
    np.testing.assert_allclose(posed.transforms[0], right.transforms, atol=1e-5)
    np.testing.assert_allclose(posed.vertices[1], mano.mirror_points(mirrored.vertices), atol=1e-5)
    np.testing.assert_allclose(posed.joints[1], mano.mirror_points(mirrored.joints), atol=1e-5)


def test_hands_of_the_wrong_side_are_refused(small_model):
    hands = detect(maps([]))
    with pytest.raises(ValueError, match="left and right must be hands of these sides, got right and left"):
        decode.pose_hands(mano.mirror(small_model), hands)
    with pytest.raises(ValueError, match="got right and right"):
        decode.pose_hands(small_model, hands, left=small_model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda maps: maps.pop("params"), "outputs must hold 'params'"),
        (lambda maps: maps.update(params=jnp.zeros((ROWS, COLUMNS, 60))), "params.* must be one of 61, 122, got 60"),
        (lambda maps: maps.update(sides=jnp.zeros((ROWS, 5, 2))), r"outputs\['sides'\] must have shape \(12, 16, n\)"),
    ],
)
def test_maps_that_do_not_go_together_are_named(change, message):
    outputs = maps([])
    change(outputs)
    with pytest.raises(ValueError, match=message):
        decode.detect_hands(outputs, stride=STRIDE, count=1)


def test_impossible_counts_and_windows_are_named():
    with pytest.raises(ValueError, match=r"count must lie in \[1, 4\], got 5"):
        decode.find_peaks(jnp.zeros((2, 2, 1)), 5)
    with pytest.raises(ValueError, match="window must be odd"):
        decode.find_peaks(jnp.zeros((2, 2, 1)), 1, window=4)
    with pytest.raises(ValueError, match="side must be one of"):
        decode.detect_hands(maps([]), stride=STRIDE, count=1, side="both")
