"""The hand model against float64 loops: mesh, joints, keypoints, batches and their gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.mano import hand
from tests import reference, toy

DETAILED_PARENTS = np.array([-1, 0, 1, 2, 3, 0, 5, 6, 7, 5, 9, 10, 0, 12, 13, 14, 14, 16, 0, 18, 19, 2])
"""22 joints, forks below the wrist, branches of unequal length, joints of one depth that are not in one run."""

HANDS = 100
TOLERANCE_M = 1e-6


def raw_arrays(name: str) -> dict[str, np.ndarray]:
    if name == "mano":
        return toy.arrays()
    if name == "small":
        return toy.arrays(seed=1, vertices=60, faces=100)
    raw = toy.arrays(seed=2, vertices=143, faces=260, betas=7, parents=DETAILED_PARENTS)
    frames = np.random.default_rng(3).normal(size=(len(DETAILED_PARENTS), 3))
    return {**raw, "joint_frames": np.stack([reference.rodrigues(frame) for frame in frames])}


@pytest.fixture(scope="module", params=["mano", "small", "detailed"])
def hands(request):
    return hands_of(request.param)


@functools.cache
def hands_of(name: str):
    """A model, 100 random hands, and what the loops make of them."""
    raw = raw_arrays(name)
    model = jax.tree.map(jnp.asarray, mano.build(**raw))
    params = mano.HandParams(*toy.params(4, HANDS, model.num_betas, model.num_joints))
    outputs = [reference.posed(raw, *hand) for hand in zip(*params, strict=True)]
    expected = {name: np.stack([output[name] for output in outputs]) for name in outputs[0]}
    expected["keypoints"] = np.stack(
        [reference.keypoints(output, raw["fingertip_ids"], model.keypoint_ids) for output in outputs]
    )
    return model, params, expected


def assert_close_m(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE_M)


def test_forward_matches_float64_loops(hands):
    model, params, expected = hands
    output = jax.jit(jax.vmap(mano.forward, (None, 0)))(model, params)
    assert_close_m(output.vertices, expected["vertices"])
    assert_close_m(output.joints, expected["joints"])
    assert_close_m(output.transforms, expected["transforms"])
    assert_close_m(mano.keypoints_of(model, output), expected["keypoints"])


def test_forward_batch_matches_float64_loops(hands):
    model, params, expected = hands
    output = jax.jit(mano.forward_batch)(model, params)
    assert_close_m(output.vertices, expected["vertices"])
    assert_close_m(output.joints, expected["joints"])
    assert_close_m(output.transforms, expected["transforms"])


def test_keypoints_without_a_mesh_match_float64_loops(hands):
    model, params, expected = hands
    assert_close_m(jax.jit(jax.vmap(mano.keypoints, (None, 0)))(model, params), expected["keypoints"])


def test_rotation_matrices_give_the_same_hand_as_axis_angle():
    model, params, expected = hands_of("detailed")
    pose = np.concatenate([params.global_orient, params.hand_pose], -1).reshape(HANDS, -1, 3)
    local = np.array([[reference.rodrigues(joint) for joint in hand] for hand in pose], np.float32)
    in_axes = (None, 0, 0, 0)
    output = jax.jit(jax.vmap(mano.forward_rotations, in_axes))(model, params.betas, local, params.transl)
    assert_close_m(output.vertices, expected["vertices"])
    points = jax.jit(jax.vmap(mano.keypoints_rotations, in_axes))(model, params.betas, local, params.transl)
    assert_close_m(points, expected["keypoints"])


TILE = 16
BATCHES = [1, TILE - 1, TILE, TILE + 1, 2 * TILE + 1]


@pytest.fixture(scope="module")
def tiny_model():
    """Few joints, so that a batch of each size compiles soon."""
    raw = toy.arrays(seed=5, vertices=20, faces=30, betas=3, parents=np.array([-1, 0, 1, 0]), influences=2)
    return jax.tree.map(jnp.asarray, mano.build(**raw))


def loss_of(pose_hands):
    def loss(params, model, weights):
        vertices = pose_hands(model, params).vertices
        return (vertices * weights).sum(), vertices

    return jax.jit(jax.grad(loss, has_aux=True))


gradient_of_singles = loss_of(jax.vmap(mano.forward, (None, 0)))


@pytest.mark.parametrize("batch", BATCHES)
def test_batches_around_the_tile_pose_single_hands_and_pull_back_their_gradients(tiny_model, batch):
    assert hand.TILE == TILE
    params = mano.HandParams(*toy.params(5, BATCHES[-1], tiny_model.num_betas, tiny_model.num_joints))
    weights = np.random.default_rng(6).normal(size=(BATCHES[-1], tiny_model.num_vertices, 3)).astype(np.float32)
    # Hands do not see each other, so the gradients of the first few are those of a smaller batch.
    single, expected = gradient_of_singles(params, tiny_model, weights)
    some = jax.tree.map(lambda array: array[:batch], params)
    gradient, vertices = loss_of(mano.forward_batch)(some, tiny_model, weights[:batch])
    assert_close_m(vertices, expected[:batch])
    for name in mano.HandParams._fields:
        np.testing.assert_allclose(
            getattr(gradient, name), getattr(single, name)[:batch], rtol=1e-5, atol=1e-5, err_msg=name
        )


def test_backward_memory_grows_by_less_than_two_outputs_a_hand(toy_model):
    def backward(model, params, cotangent):
        _, pull = jax.vjp(lambda p: mano.forward_batch(model, p).vertices, params)
        return pull(cotangent)

    def temporary_bytes(batch: int) -> int:
        params = mano.HandParams(*toy.params(8, batch))
        cotangent = np.zeros((batch, toy_model.num_vertices, 3), np.float32)
        compiled = jax.jit(backward).lower(toy_model, params, cotangent).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    output_of_a_hand = toy_model.num_vertices * 3 * 4
    # Measured 1.3 to 1.8 outputs a hand: a copy of the cotangent, and the joints' share. Without tiles it is 7.
    assert (temporary_bytes(128) - temporary_bytes(64)) / 64 < 2 * output_of_a_hand


def test_centred_moves_the_named_keypoint_to_the_origin(small_model):
    params = mano.HandParams(*(array[0] for array in toy.params(9, 1)))
    output = jax.jit(mano.forward)(small_model, params)
    for index in (0, 9, 20):
        centred = mano.centred(small_model, output, index)
        np.testing.assert_allclose(mano.keypoints_of(small_model, centred)[index], np.zeros(3), atol=1e-6)
        shift = np.asarray(centred.vertices - output.vertices)
        np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=TOLERANCE_M)
        np.testing.assert_allclose(centred.transforms[..., 3] - output.transforms[..., 3], shift[:16], atol=TOLERANCE_M)
    with pytest.raises(ValueError, match=r"center_idx must lie in \[0, 21\), got 21"):
        mano.centred(small_model, output, 21)


def test_fingertips_are_chosen_by_name_or_by_five_ids(toy_model, small_model):
    params = mano.HandParams(*(array[0] for array in toy.params(10, 1)))
    output = jax.jit(mano.forward)(toy_model, params)
    for name, ids in mano.FINGERTIP_SETS.items():
        points = mano.keypoints_of(toy_model.with_fingertips(name), output)
        np.testing.assert_array_equal(points[np.array([4, 8, 12, 16, 20])], output.vertices[np.array(ids)])
    with pytest.raises(ValueError, match="fingertips must be one of .*smplx.*, got 'mediapipe'"):
        toy_model.with_fingertips("mediapipe")
    with pytest.raises(ValueError, match=r"fingertips must lie in \[0, 60\)"):
        small_model.with_fingertips("smplx")
    with pytest.raises(ValueError, match="fingertips must be 5 vertex ids"):
        small_model.with_fingertips((1, 2, 3))


@pytest.mark.parametrize(
    "field, shape", [("betas", (9,)), ("global_orient", (1, 3)), ("hand_pose", (48,)), ("transl", (4,))]
)
def test_a_parameter_of_the_wrong_shape_is_named(small_model, field, shape):
    params = mano.zero_params(small_model)._replace(**{field: np.zeros(shape)})
    for function in (mano.forward, mano.keypoints):
        with pytest.raises(ValueError, match=rf"{field} must have shape .*, got \({shape[0]},"):
            function(small_model, params)


def test_a_batch_with_a_parameter_of_the_wrong_shape_is_named(small_model):
    params = mano.HandParams(*toy.params(11, 4))._replace(hand_pose=np.zeros((4, 48), np.float32))
    with pytest.raises(ValueError, match=r"hand_pose must have shape \(45,\), got \(48,\)"):
        mano.forward_batch(small_model, params)


def test_the_zero_hand_is_the_template(toy_model):
    output = jax.jit(mano.forward)(toy_model, mano.zero_params(toy_model))
    np.testing.assert_allclose(output.vertices, toy_model.v_template, atol=TOLERANCE_M)
    np.testing.assert_allclose(output.joints, toy_model.joint_template, atol=TOLERANCE_M)


def test_a_model_is_a_pytree_that_keeps_what_is_static(small_model):
    leaves, tree = jax.tree.flatten(small_model)
    again = jax.tree.unflatten(tree, leaves)
    assert (again.parents, again.side, again.fingertip_ids) == (
        small_model.parents,
        small_model.side,
        small_model.fingertip_ids,
    )
    np.testing.assert_allclose(small_model.shapedirs, toy.arrays(seed=1, vertices=60)["shapedirs"], atol=1e-7)
    np.testing.assert_allclose(small_model.posedirs, toy.arrays(seed=1, vertices=60)["posedirs"], atol=1e-7)
