"""Named poses: what there is, that a hand can do them, that they do what their names say."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.mano import capsules, pose_library
from handjax.mano.sides import mirror_axis_angle
from tests import toy

FINGERS = ("thumb", "index", "middle", "ring", "little")
FORWARD = jax.jit(mano.forward)


@pytest.fixture(scope="module")
def model():
    return mano.default()


def degrees_of(name: str) -> dict[str, np.ndarray]:
    """Finger -> (3, 3) degrees."""
    degrees = np.rad2deg(pose_library.named_angles(name)).reshape(5, 3, 3)
    return dict(zip(capsules.CHAINS, degrees, strict=True))


def tips(model, name: str) -> dict[str, np.ndarray]:
    params = mano.zero_params(model)._replace(hand_pose=mano.named_pose(model, name))
    vertices = np.asarray(FORWARD(model, params).vertices)
    return dict(zip(FINGERS, vertices[np.array(model.fingertip_ids)], strict=True))


def test_there_are_at_least_sixty_poses_in_groups_and_no_name_twice():
    names = [name for group in mano.POSE_GROUPS.values() for name in group]
    assert tuple(names) == mano.POSE_NAMES
    assert len(names) == len(set(names)) >= 60
    assert set(mano.POSE_GROUPS) == {"rest", "counting", "letters", "grasps", "gestures"}


def test_groups_are_whole():
    letters = {f"asl_{letter}" for letter in "abcdefghiklmnopqrstuvwxy"}
    assert set(mano.POSE_GROUPS["letters"]) == letters
    assert len(mano.POSE_GROUPS["grasps"]) == 33
    counts = set(mano.POSE_GROUPS["counting"])
    assert {f"{style}_{number}" for style in ("european", "american") for number in ("one", "five")} <= counts
    assert {f"chinese_{number}" for number in ("six", "seven", "eight", "nine", "ten")} <= counts


def test_every_pose_lies_inside_the_limits_of_the_free_hand(model):
    lower, upper = np.moveaxis(np.asarray(model.joint_limits), -1, 0)
    for name in mano.POSE_NAMES:
        angles = pose_library.named_angles(name)
        assert angles.shape == (15, 3)
        assert (angles >= lower - 1e-4).all() and (angles <= upper + 1e-4).all(), name


def test_no_pose_pushes_a_finger_through_another(model):
    bodies = jax.jit(capsules.capsules_of)(model)
    poses = jnp.stack([mano.named_pose(model, name) for name in mano.POSE_NAMES])
    deepest = np.asarray(jax.jit(jax.vmap(capsules.penetration, (None, 0)))(bodies, poses)).max(1)
    for name, overlap in zip(mano.POSE_NAMES, deepest, strict=True):
        # Capsules are as thick as a finger, not as its pulp, so that fingertips which touch overlap.
        assert overlap < 0.006, f"{name}: {1000 * overlap:.1f} mm"


@pytest.mark.parametrize(
    ("name", "straight", "bent"),
    [
        ("point", {"index"}, {"middle", "ring", "little"}),
        ("victory", {"index", "middle"}, {"ring", "little"}),
        ("horns", {"index", "little"}, {"middle", "ring"}),
        ("european_three", {"index", "middle"}, {"ring", "little"}),
        ("american_three", {"index", "middle", "ring"}, {"little"}),
        ("chinese_six", {"little"}, {"index", "middle", "ring"}),
        ("asl_b", {"index", "middle", "ring", "little"}, set()),
        ("asl_y", {"little"}, {"index", "middle", "ring"}),
        ("fist", set(), {"index", "middle", "ring", "little"}),
    ],
)
def test_the_right_fingers_are_straight(name, straight, bent):
    flexion = {finger: angles[:, 0].sum() for finger, angles in degrees_of(name).items()}
    assert all(flexion[finger] < 40.0 for finger in straight)
    assert all(flexion[finger] > 180.0 for finger in bent)


@pytest.mark.parametrize(
    ("name", "finger"),
    [
        ("pinch", "index"),
        ("okay", "index"),
        ("pinch_middle", "middle"),
        ("pinch_ring", "ring"),
        ("pinch_little", "little"),
        ("asl_f", "index"),
    ],
)
def test_the_thumb_meets_the_finger_it_should_and_no_other(model, name, finger):
    params = mano.zero_params(model)._replace(hand_pose=mano.named_pose(model, name))
    vertices, owner = np.asarray(FORWARD(model, params).vertices), np.asarray(model.lbs_weights).argmax(1)
    ends = {each: vertices[owner == 3 * capsules.CHAINS.index(each) + 3] for each in FINGERS}
    distance = {each: np.linalg.norm(ends["thumb"][:, None] - ends[each], axis=-1).min() for each in FINGERS[1:]}
    # Vertices lie some 3 mm apart.
    assert distance.pop(finger) < 0.005 < min(distance.values())


def test_crossed_fingers_cross(model):
    flat, crossed = tips(model, "flat"), tips(model, "crossed_fingers")
    assert flat["index"][2] > flat["middle"][2]
    assert crossed["index"][2] < crossed["middle"][2] + 0.004


def test_a_left_hand_makes_the_mirror_image(model):
    left = mano.mirror(model)
    for name in ("pinch", "asl_k"):
        np.testing.assert_allclose(
            mano.named_pose(left, name), mirror_axis_angle(mano.named_pose(model, name)), atol=1e-6
        )


def test_any_hand_with_manos_joints_makes_the_gesture_about_its_own_axes():
    other = mano.build(**toy.arrays())
    pose = mano.named_pose(other, "victory")
    assert pose.shape == (45,)
    np.testing.assert_allclose(mano.angles_from_pose(other, pose), pose_library.named_angles("victory"), atol=1e-5)


def test_angles_and_poses_are_inverse_and_take_leading_axes(model):
    angles = np.random.default_rng(0).normal(size=(2, 7, 15, 3)).astype(np.float32)
    pose = mano.pose_from_angles(model, angles)
    assert pose.shape == (2, 7, 45)
    np.testing.assert_allclose(mano.angles_from_pose(model, pose), angles, atol=1e-5)


def test_bad_names_models_and_shapes_are_refused(model):
    with pytest.raises(ValueError, match="name must be one of .*'flat'.*got 'no such pose'"):
        mano.named_pose(model, "no such pose")
    chain = (-1, 0, 1, 2, 3)
    small = mano.build(**toy.arrays(parents=np.array(chain), vertices=40, faces=60), keypoint_ids=tuple(range(10)))
    with pytest.raises(ValueError, match="MANO's 16 joints, got 5"):
        mano.named_pose(small, "fist")
    with pytest.raises(ValueError, match=r"angles must have shape \(\.\.\., 15, 3\)"):
        mano.pose_from_angles(model, np.zeros((15, 2)))
    with pytest.raises(ValueError, match=r"hand_pose must have shape \(\.\.\., 45\)"):
        mano.angles_from_pose(model, np.zeros(44))


def test_the_table_is_written_as_it_is_read(tmp_path):
    pytest.importorskip("scipy")
    pytest.importorskip("trimesh")
    from launch.freehand.pose_table import write_table

    table = {
        group: {name: np.rad2deg(pose_library.named_angles(name)).reshape(5, 3, 3) for name in names}
        for group, names in mano.POSE_GROUPS.items()
    }
    write_table(tmp_path / "poses.json", table)
    stored = json.loads((tmp_path / "poses.json").read_text(encoding="utf-8"))
    assert {group: tuple(poses) for group, poses in stored.items()} == dict(mano.POSE_GROUPS)
    for group, poses in stored.items():
        for name, degrees in poses.items():
            np.testing.assert_allclose(np.array(degrees).reshape(5, 3, 3), table[group][name], atol=0.051)
