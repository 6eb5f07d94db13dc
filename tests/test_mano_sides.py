"""Left and right: mirror images in every field, and fingers that close towards the palm on both."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.mano import anatomy
from tests import reference, toy

MIRROR = np.array([-1, 1, 1])
forward = jax.jit(mano.forward)
keypoints = jax.jit(mano.keypoints)


@pytest.fixture(scope="module")
def framed_model() -> mano.HandModel:
    """With joint frames, a mean pose and uneven limits, so that each field has something to get wrong."""
    raw = toy.arrays(seed=1, vertices=60, faces=100)
    rng = np.random.default_rng(2)
    frames = np.stack([reference.rodrigues(vector) for vector in rng.normal(size=(16, 3))])
    axes = np.stack([reference.rodrigues(vector) for vector in rng.normal(size=(15, 3))])
    limits = np.sort(rng.normal(size=(15, 3, 2)))
    model = mano.build(**raw, joint_frames=frames, joint_axes=axes, joint_limits=limits)
    return jax.tree.map(jnp.asarray, model)


@pytest.fixture(scope="module")
def params() -> mano.HandParams:
    return mano.HandParams(*(array[0] for array in toy.params(3, 1)))


def test_mirroring_a_model_twice_gives_it_back_exactly(framed_model):
    again = mano.mirror(mano.mirror(framed_model))
    assert jax.tree.structure(again) == jax.tree.structure(framed_model)
    jax.tree.map(np.testing.assert_array_equal, again, framed_model)
    assert mano.mirror(framed_model).side == "left"


def test_mirroring_params_twice_gives_them_back_exactly(params):
    jax.tree.map(np.testing.assert_array_equal, mano.mirror_params(mano.mirror_params(params)), params)


def test_a_mirrored_hand_is_the_mirror_image_of_the_hand(framed_model, params):
    left, right = forward(mano.mirror(framed_model), mano.mirror_params(params)), forward(framed_model, params)
    np.testing.assert_allclose(left.vertices, mano.mirror_points(right.vertices), atol=1e-6)
    np.testing.assert_allclose(left.joints, mano.mirror_points(right.joints), atol=1e-6)
    points, right_points = (mano.keypoints_of(framed_model, output) for output in (left, right))
    np.testing.assert_allclose(points, mano.mirror_points(right_points), atol=1e-6)


def test_mirrored_params_match_a_reflected_rotation(params):
    turn = reference.rodrigues(params.global_orient)
    mirrored = reference.rodrigues(mano.mirror_params(params).global_orient)
    np.testing.assert_allclose(mirrored, np.diag(MIRROR) @ turn @ np.diag(MIRROR), atol=1e-7)


def test_mirror_params_takes_a_batch():
    batch = mano.HandParams(*toy.params(4, 5))
    mirrored = mano.mirror_params(batch)
    one = mano.mirror_params(jax.tree.map(lambda array: array[3], batch))
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda array: array[3], mirrored), one)


def test_faces_of_a_mirrored_hand_still_wind_outwards(framed_model):
    def normals(model):
        a, b, c = np.asarray(model.v_template)[np.asarray(model.faces)].swapaxes(0, 1)
        return np.cross(b - a, c - a)

    np.testing.assert_allclose(normals(mano.mirror(framed_model)), normals(framed_model) * MIRROR, atol=1e-7)


def test_pca_coefficients_of_a_hand_are_those_of_its_mirror_image(framed_model):
    coefficients = np.random.default_rng(5).normal(size=8).astype(np.float32)
    right = mano.pose_from_pca(framed_model, coefficients)
    left = mano.pose_from_pca(mano.mirror(framed_model), coefficients)
    np.testing.assert_allclose(
        left, mano.mirror_params(mano.zero_params(framed_model)._replace(hand_pose=right)).hand_pose
    )


def test_an_angle_about_an_axis_is_kept_by_mirroring(framed_model):
    angles = np.random.default_rng(6).normal(size=(15, 3)).astype(np.float32)
    mirrored = mano.mirror(framed_model)
    np.testing.assert_array_equal(mirrored.joint_limits, framed_model.joint_limits)

    def pose(model):
        return jnp.einsum("ja,jac->jc", angles, model.joint_axes).reshape(-1)

    zero = mano.zero_params(framed_model)
    right, left = (
        forward(framed_model, zero._replace(hand_pose=pose(framed_model))),
        forward(mirrored, zero._replace(hand_pose=pose(mirrored))),
    )
    np.testing.assert_allclose(left.vertices, mano.mirror_points(right.vertices), atol=1e-6)


def free_hand(own_axes: bool) -> mano.HandModel:
    """The shipped hand, with the axes of its file or those that `build` finds for a file without."""
    model = mano.default()
    names = ["v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights", "faces", "fingertip_ids"]
    names += ["joint_axes", "joint_limits"] if own_axes else []
    return jax.tree.map(jnp.asarray, mano.build(**{name: np.asarray(getattr(model, name)) for name in names}))


def hand_frame(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rest keypoints (21, 3) of either side -> the palm's way out of the hand, and the way to the thumb."""
    to_fingers = points[9] - points[0]
    to_thumb = points[5] - points[17]
    to_thumb = to_thumb - to_fingers * (to_fingers @ to_thumb) / (to_fingers @ to_fingers)
    to_palm = np.cross(to_thumb, to_fingers)
    # Of a right hand with fingers towards -x and the thumb at +z, the palm looks to -y.
    side = 1 if points[9][0] < points[0][0] else -1
    return side * to_palm / np.linalg.norm(to_palm), to_thumb / np.linalg.norm(to_thumb)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("own_axes", [True, False], ids=["stored axes", "computed axes"])
def test_flexion_closes_the_fingers_and_abduction_moves_them_to_the_thumb(own_axes, side):
    model = free_hand(own_axes)
    model = model if side == "right" else mano.mirror(model)
    zero = mano.zero_params(model)
    rest = np.asarray(keypoints(model, zero))
    to_palm, to_thumb = hand_frame(rest)
    np.testing.assert_allclose(to_palm @ [0, -1, 0], 1, atol=0.1)
    np.testing.assert_allclose(to_thumb @ [0, 0, 1], 1, atol=0.1)
    for finger in range(1, 5):
        base, tip = mano.MANO_KEYPOINT_IDS[1 + 4 * finger], 4 + 4 * finger
        for segment in range(3):
            pose = np.zeros((15, 3), np.float32)
            pose[base - 1 + segment] = 0.3 * model.joint_axes[base - 1 + segment, 0]
            moved = np.asarray(keypoints(model, zero._replace(hand_pose=pose.reshape(-1)))) - rest
            assert moved[tip] @ to_palm > 3e-3
            assert moved[tip] @ to_palm > 0.8 * np.linalg.norm(moved[tip])
        pose = np.zeros((15, 3), np.float32)
        pose[base - 1] = 0.2 * model.joint_axes[base - 1, 1]
        moved = np.asarray(keypoints(model, zero._replace(hand_pose=pose.reshape(-1)))) - rest
        assert moved[tip] @ to_thumb > 0.8 * np.linalg.norm(moved[tip]) > 0.8 * 8e-3


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("own_axes", [True, False], ids=["stored axes", "computed axes"])
def test_the_thumb_flexes_across_the_palm_and_abducts_away_from_the_fingers(own_axes, side):
    model = free_hand(own_axes)
    model = model if side == "right" else mano.mirror(model)
    zero = mano.zero_params(model)
    rest = np.asarray(keypoints(model, zero))
    _, to_thumb = hand_frame(rest)
    for segment, axis, sign in [(13, 0, -1), (14, 0, -1), (15, 0, -1), (13, 1, 1)]:
        pose = np.zeros((15, 3), np.float32)
        pose[segment - 1] = 0.3 * model.joint_axes[segment - 1, axis]
        moved = np.asarray(keypoints(model, zero._replace(hand_pose=pose.reshape(-1)))) - rest
        assert sign * (moved[4] @ to_thumb) > 1e-3, (segment, axis)


@pytest.mark.parametrize("own_axes", [True, False], ids=["stored axes", "computed axes"])
def test_axes_are_orthonormal_and_the_last_runs_along_the_bone(own_axes):
    model = free_hand(own_axes)
    axes = np.asarray(model.joint_axes)
    products = np.einsum("jac,jbc->jab", axes, axes)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), products.shape), atol=1e-5)
    rest = np.asarray(keypoints(model, mano.zero_params(model)))
    for finger in range(5):
        for segment in range(3):
            keypoint = 1 + 4 * finger + segment
            bone = rest[keypoint + 1] - rest[keypoint]
            along = axes[mano.MANO_KEYPOINT_IDS[keypoint] - 1, 2] @ bone / np.linalg.norm(bone)
            assert along > 0.9, (keypoint, along)


def test_computed_axes_of_a_left_hand_are_the_mirror_image_of_the_right_ones():
    right = free_hand(own_axes=False)
    left = mano.mirror(right)
    tips = np.asarray(left.v_template)[np.array(left.fingertip_ids)]
    axes = anatomy.joint_axes(np.asarray(left.joint_template), tips, left.parents, left.keypoint_ids, "left")
    np.testing.assert_allclose(axes, left.joint_axes, atol=1e-6)


def test_limits_hold_the_flat_hand():
    limits = anatomy.joint_limits(mano.MANO_PARENTS, mano.MANO_KEYPOINT_IDS)
    assert np.all(limits[..., 0] < 0)
    assert np.all(limits[..., 1] > 0)
    assert np.all(limits[..., 1] - limits[..., 0] < np.pi)


def test_trees_other_than_manos_get_coordinate_axes_and_no_limits():
    parents = np.array([-1, 0, 1, 0])
    model = mano.build(**toy.arrays(seed=5, vertices=20, faces=30, parents=parents))
    np.testing.assert_array_equal(model.joint_axes, np.broadcast_to(np.eye(3), (3, 3, 3)))
    np.testing.assert_allclose(model.joint_limits, np.tile([-np.pi, np.pi], (3, 3, 1)), atol=1e-6)
