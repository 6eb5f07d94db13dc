"""The 22-joint form: DeepHandMesh's names, angles and frames on the surface of a hand with MANO's joints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano, rotations

SIDES = ("right", "left")
FREE = {"thumb0", "thumb1", "index1", "middle1", "ring1", "pinky1"}
HINGES = {f"{finger}{bone}" for finger in ("thumb", "index", "middle", "ring", "pinky") for bone in "23"}


@pytest.fixture(scope="module", params=SIDES)
def pair(request):
    model = mano.default(request.param)
    return model, mano.detailed(model)


@pytest.fixture(scope="module")
def posed():
    return jax.jit(lambda model, angles, betas: _forward(model, angles, betas))


def _forward(model, angles, betas):
    return mano.forward_rotations(model, betas, mano.detailed_rotations(angles), jnp.zeros(3))


def _angles(**turned):
    angles = np.zeros(28, np.float32)
    for name, value in turned.items():
        joint, axis = name.rsplit("_", 1)
        angles[mano.DETAILED_ANGLES.index((joint, axis))] = value
    return jnp.asarray(angles)


def test_it_has_the_published_joints_and_degrees_of_freedom():
    assert mano.PUBLISHED_JOINTS[:5] == ("thumb_null", "thumb3", "thumb2", "thumb1", "thumb0")
    assert mano.PUBLISHED_JOINTS[8::4] == ("index1", "middle1", "ring1", "pinky1")
    assert mano.PUBLISHED_JOINTS[21] == "wrist"
    assert sorted(mano.PUBLISHED_JOINTS) == sorted(mano.DETAILED_JOINTS)
    free = {(joint, axis) for joint in FREE for axis in "xyz"}
    assert set(mano.DETAILED_ANGLES) == free | {(joint, "z") for joint in HINGES}
    assert len(mano.DETAILED_ANGLES) == 28


def test_rest_frames_bend_about_z_with_x_along_the_bone(pair):
    _, model = pair
    joints = np.asarray(model.joint_template)
    for place, name in enumerate(mano.DETAILED_JOINTS):
        frame = np.asarray(model.joint_frames)[place]
        np.testing.assert_allclose(frame.T @ frame, np.eye(3), atol=1e-6)
        assert np.linalg.det(frame) == pytest.approx(1.0, abs=1e-5)
        if name != "wrist" and not name.endswith("_null"):
            bone = joints[place + 1] - joints[place]
            np.testing.assert_allclose(frame[:, 0], bone / np.linalg.norm(bone), atol=1e-5)


def test_the_flat_hand_and_its_keypoints_are_those_of_the_16_joints(pair, posed):
    model, detailed = pair
    betas = jnp.linspace(-1.5, 1.5, 10)
    flat = mano.forward(model, mano.zero_params(model)._replace(betas=betas))
    out = posed(detailed, jnp.zeros(28), betas)
    np.testing.assert_allclose(out.vertices, flat.vertices, atol=1e-6)
    np.testing.assert_allclose(mano.keypoints_of(detailed, out), mano.keypoints_of(model, flat), atol=1e-6)


def test_positive_z_bends_every_joint_to_the_palm(pair, posed):
    _, model = pair
    flat = posed(model, jnp.zeros(28), jnp.zeros(10)).joints
    for finger in ("index", "middle", "ring", "pinky"):
        for bone in "123":
            bent = posed(model, _angles(**{f"{finger}{bone}_z": 0.5}), jnp.zeros(10)).joints
            end = mano.DETAILED_JOINTS.index(f"{finger}_null")
            assert bent[end, 1] < flat[end, 1] - 0.003


def test_a_turned_joint_equals_the_same_turn_of_the_16_joint_hand(pair, posed):
    model, detailed = pair
    turns = {"index1_z": 0.9, "index1_y": 0.2, "index1_x": -0.1, "middle2_z": 1.2, "thumb1_z": 0.3, "thumb3_z": 0.5}
    out = posed(detailed, _angles(**turns), jnp.ones(10))
    pose = np.zeros((15, 3), np.float32)
    for joint, ours in (("index1", 0), ("middle2", 4), ("thumb1", 12), ("thumb3", 14)):
        frame = np.asarray(detailed.joint_frames)[mano.DETAILED_JOINTS.index(joint)]
        x, y, z = (
            np.asarray(rotations.matrix_from_axis_angle(jnp.eye(3)[k] * turns.get(f"{joint}_{'xyz'[k]}", 0.0)))
            for k in range(3)
        )
        pose[ours] = rotations.axis_angle_from_matrix(jnp.asarray(frame @ z @ y @ x @ frame.T))
    params = mano.HandParams(jnp.ones(10), jnp.zeros(3), jnp.asarray(pose.ravel()), jnp.zeros(3))
    np.testing.assert_allclose(out.vertices, mano.forward(model, params).vertices, atol=2e-6)


def test_the_thumbs_extra_joint_carries_the_whole_thumb(pair, posed):
    _, model = pair
    flat = posed(model, jnp.zeros(28), jnp.zeros(10)).joints
    turned = posed(model, _angles(thumb0_z=0.3), jnp.zeros(10)).joints
    moved = np.linalg.norm(np.asarray(turned - flat), axis=1) > 1e-4
    assert {name for name, is_moved in zip(mano.DETAILED_JOINTS, moved, strict=True) if is_moved} == {
        "thumb1",
        "thumb2",
        "thumb3",
        "thumb_null",
    }


def test_skin_follows_only_joints_that_have_any_and_the_palm_and_thumb_base_own_some(pair):
    _, model = pair
    weights = np.asarray(model.lbs_weights)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    owned = {mano.DETAILED_JOINTS[joint] for joint in weights.argmax(axis=1)}
    assert {"wrist", "thumb1"} <= owned
    assert not any(name == "thumb0" or name.endswith("_null") for name in owned)


def test_the_relaxed_mean_pose_is_the_same_hand(pair):
    model, detailed = pair
    zero, detailed_zero = mano.zero_params(model), mano.zero_params(detailed)
    ours = mano.forward(model, zero._replace(hand_pose=model.hands_mean))
    theirs = mano.forward(detailed, detailed_zero._replace(hand_pose=detailed.hands_mean))
    np.testing.assert_allclose(theirs.vertices, ours.vertices, atol=1e-6)


def test_another_tree_or_other_angles_are_refused(pair):
    _, model = pair
    with pytest.raises(ValueError, match="model must have MANO's 16 joints"):
        mano.detailed(model)
    with pytest.raises(ValueError, match="angles"):
        mano.detailed_rotations(jnp.zeros(27))
