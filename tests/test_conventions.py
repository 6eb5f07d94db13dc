"""Conversions between conventions: round trips, published tables, and hands posed both ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handjax import camera, conventions, mano
from tests import reference, toy

forward_batch = jax.jit(mano.forward_batch)
HANDS = mano.HandParams(*toy.params(7, 4))

COMMON = ["wrist"] + [f"{finger}{k}" for finger in "TIMRP" for k in range(1, 5)]
MANO = ["wrist"] + [f"{finger}{k}" for finger in "IMPRT" for k in range(1, 4)]
TIP_FIRST = [f"{finger}{k}" for finger in "TIMRP" for k in range(4, 0, -1)]
RAW_NAMES = {
    "handjax": COMMON,
    "openpose": COMMON,
    "mediapipe": COMMON,
    "freihand": COMMON,
    "mano": MANO + ["T4", "I4", "M4", "R4", "P4"],
    "ho3d": MANO + ["T4", "I4", "M4", "R4", "P4"],
    "mano_16": MANO,
    "smplx": MANO,
    "handmesh": MANO + ["I4", "M4", "P4", "R4", "T4"],
    "rhd": ["wrist", *TIP_FIRST],
    "stb": ["palm"] + [f"{finger}{k}" for finger in "PRMIT" for k in range(1, 5)],
    "interhand": [*TIP_FIRST, "wrist"],
    "deephandmesh": [*TIP_FIRST, "wrist"],
    "reinterhand": ["wrist", "T0", "T1", "T2", "T3", "T4"]
    + [f"{finger}{k}" for finger in "IMR" for k in range(1, 5)]
    + ["P0", "P1", "P2", "P3", "P4", "stub"],
    "fphab": ["wrist", "T1", "I1", "M1", "R1", "P1"] + [f"{finger}{k}" for finger in "TIMRP" for k in (2, 3, 4)],
    "dexter_object": ["T4", "I4", "M4", "R4", "P4"],
}
"""The joints of each data set in its own order, written from its description and not from the permutations.

Fingers are T(humb), I(ndex), M(iddle), R(ing), P(inky), numbered from base to tip.
"""


@pytest.mark.parametrize("order", RAW_NAMES)
def test_each_joint_of_an_order_lands_on_the_keypoint_of_its_name(order):
    raw = RAW_NAMES[order]
    assert conventions.joint_count(order) == len(raw)
    valid = conventions.common_valid(order)
    assert [name in raw for name in COMMON] == valid.tolist()
    joints = 1 + np.arange(len(raw), dtype=np.float32)[:, None]
    common = conventions.to_common(order, joints)
    for index in np.flatnonzero(valid):
        assert raw[int(common[index, 0]) - 1] == COMMON[index]
    first_of_stb = [joints[0, 0]] if order == "stb" else []
    np.testing.assert_array_equal(common[~valid, 0], first_of_stb or np.zeros(np.sum(~valid)))


@pytest.mark.parametrize("order", conventions.JOINT_ORDERS)
def test_from_common_undoes_to_common_in_numpy_and_jax(order):
    count = conventions.joint_count(order)
    joints = np.random.default_rng(0).normal(size=(2, 3, count, 3))
    known = np.isin(np.arange(count), [k for k in conventions.JOINT_ORDERS[order] if k >= 0])
    again = conventions.from_common(order, conventions.to_common(order, joints))
    assert isinstance(again, np.ndarray) and again.dtype == np.float64
    np.testing.assert_array_equal(again, np.where(known[:, None], joints, 0))
    traced = jax.jit(lambda x: conventions.from_common(order, conventions.to_common(order, x)))(joints)
    np.testing.assert_array_equal(traced, again.astype(np.float32))


def test_missing_joints_are_zero_whatever_stands_in_their_place():
    tips = np.full((5, 2), np.nan)
    common = conventions.to_common("egodexter", tips)
    assert np.isnan(common).any(-1).tolist() == conventions.common_valid("egodexter").tolist()


def test_the_right_hand_comes_first_in_interhand_and_second_in_rhd():
    both = np.arange(42.0)[:, None]
    # The two-hand rows of the published permutations.
    expected = {
        ("interhand", "right"): [20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16],
        ("interhand", "left"): [41, 24, 23, 22, 21, 28, 27, 26, 25, 32, 31, 30, 29, 36, 35, 34, 33, 40, 39, 38, 37],
        ("rhd", "left"): [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17],
        ("rhd", "right"): [21, 25, 24, 23, 22, 29, 28, 27, 26, 33, 32, 31, 30, 37, 36, 35, 34, 41, 40, 39, 38],
    }
    for (order, side), ids in expected.items():
        one = conventions.one_hand(order, both, side)
        assert conventions.to_common(order, one)[:, 0].tolist() == ids


@pytest.mark.parametrize("order", conventions.HAND_BLOCKS)
def test_both_hands_undoes_one_hand(order):
    both = np.random.default_rng(1).normal(size=(2, 2 * conventions.joint_count(order), 3))
    hands = {side: conventions.one_hand(order, both, side) for side in ("left", "right")}
    np.testing.assert_array_equal(conventions.both_hands(order, **hands), both)
    np.testing.assert_allclose(conventions.both_hands(order, **jax.tree.map(jnp.asarray, hands)), both, atol=1e-6)


def test_the_mano_order_is_the_one_that_the_model_uses(small_model):
    output = forward_batch(small_model, HANDS)
    raw = jnp.concatenate([output.joints, output.vertices[:, np.array(small_model.fingertip_ids)]], 1)
    np.testing.assert_array_equal(conventions.to_common("mano", raw), mano.keypoints_of(small_model, output))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: conventions.to_common("kinect", np.zeros((21, 3))), "order must be one of .*, got 'kinect'"),
        (lambda: conventions.from_common("kinect", np.zeros((21, 3))), "order must be one of .*, got 'kinect'"),
        (lambda: conventions.to_common("mano_16", np.zeros((21, 3))), r"joints must have shape \(\.\.\., 16, d\)"),
        (lambda: conventions.from_common("mano_16", np.zeros((16, 3))), r"joints must have shape \(\.\.\., 21, d\)"),
        (lambda: conventions.to_common("rhd", [1, 2, 3]), r"joints must have shape \(\.\.\., 21, d\), got \(3,\)"),
        (lambda: conventions.one_hand("rhd", np.zeros((21, 3)), "left"), r"joints must have shape \(\.\.\., 42, d\)"),
        (lambda: conventions.one_hand("rhd", np.zeros((42, 3)), "Left"), "side must be one of 'left', 'right'"),
        (lambda: conventions.one_hand("stb", np.zeros((42, 3)), "left"), "order must be one of 'rhd', .*, got 'stb'"),
        (lambda: conventions.change_frame(np.zeros((4, 3)), "opencv", "maya"), "target must be one of .*, got 'maya'"),
        (lambda: conventions.change_unit(1.0, "inch", "m"), "source must be one of 'm', 'cm', 'mm', got 'inch'"),
    ],
)
def test_unknown_names_and_wrong_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


convert_pose = jax.jit(conventions.convert_pose, static_argnames=("source", "target", "num_pca_comps"))
SHAPES = {"axis_angle": (45,), "mean_relative": (45,), "pca": (45,), "pca_flat": (45,)}
SHAPES |= {"quaternion": (15, 4), "6d": (15, 6), "matrix": (15, 3, 3)}


@pytest.mark.parametrize("coding", conventions.POSE_CODINGS)
def test_a_pose_comes_back_from_every_coding(small_model, coding):
    pose = np.random.default_rng(3).normal(size=(2, 3, 45)).astype(np.float32) * 0.5
    coded = convert_pose(small_model, pose, source="axis_angle", target=coding)
    assert coded.shape == (2, 3, *SHAPES[coding])
    again = convert_pose(small_model, coded, source=coding, target="axis_angle")
    np.testing.assert_allclose(again, pose, atol=5e-6)


def test_codings_mean_what_their_names_say(small_model):
    raw = toy.arrays(seed=1, vertices=60, faces=100)
    pose = np.random.default_rng(4).normal(size=45).astype(np.float32)

    def converted(target, **options):
        return conventions.convert_pose(small_model, pose, source="axis_angle", target=target, **options)

    matrices = np.stack([reference.rodrigues(vector) for vector in pose.reshape(15, 3)])
    np.testing.assert_allclose(converted("matrix"), matrices, atol=1e-6)
    np.testing.assert_allclose(converted("6d")[:, :3], matrices[:, :, 0], atol=1e-6)
    quaternions = np.stack([reference.quaternion_of(vector) for vector in pose.reshape(15, 3)])
    np.testing.assert_allclose(converted("quaternion"), quaternions, atol=1e-6)
    np.testing.assert_allclose(converted("mean_relative"), pose - raw["hands_mean"], atol=1e-6)
    six = raw["hands_components"][:6]
    np.testing.assert_allclose(converted("pca", num_pca_comps=6), six @ (pose - raw["hands_mean"]), atol=1e-5)
    np.testing.assert_allclose(converted("pca_flat", num_pca_comps=6), six @ pose, atol=1e-5)


def test_matrices_are_whole_poses_without_the_mean(small_model):
    identity = np.broadcast_to(np.eye(3, dtype=np.float32), (15, 3, 3))
    flat = conventions.convert_pose(small_model, identity, source="matrix", target="axis_angle")
    np.testing.assert_array_equal(flat, np.zeros(45))
    relative = conventions.convert_pose(small_model, identity, source="matrix", target="mean_relative")
    np.testing.assert_allclose(relative, -small_model.hands_mean)


@pytest.mark.parametrize(
    "source, shape, message",
    [
        ("axis_angle", (48,), r"hand_pose must have shape \(\.\.\., 45\), got \(48,\)"),
        ("quaternion", (60,), r"hand_pose must have shape \(\.\.\., 15, 4\), got \(60,\)"),
        ("matrix", (16, 3, 3), r"hand_pose must have shape \(\.\.\., 15, 3, 3\), got \(16, 3, 3\)"),
        ("euler", (45,), "source must be one of 'axis_angle', .*, got 'euler'"),
    ],
)
def test_convert_pose_names_what_is_wrong(small_model, source, shape, message):
    with pytest.raises(ValueError, match=message):
        conventions.convert_pose(small_model, np.zeros(shape), source=source, target="6d")


@given(st.sampled_from(sorted(conventions.FRAMES)), st.sampled_from(sorted(conventions.FRAMES)))
def test_frames_are_rotations_and_lead_back(source, target):
    turn = conventions.frame_rotation(source, target)
    np.testing.assert_array_equal(turn @ turn.T, np.eye(3))
    assert np.linalg.det(turn) == 1
    points = np.random.default_rng(5).normal(size=(2, 4, 3)).astype(np.float32)
    again = conventions.change_frame(conventions.change_frame(points, source, target), target, source)
    np.testing.assert_array_equal(again, points)


def test_axes_of_the_frames():
    right_down_ahead = np.eye(3, dtype=np.float32)
    opengl = conventions.change_frame(right_down_ahead, "opencv", "opengl")
    np.testing.assert_array_equal(opengl, [[1, 0, 0], [0, -1, 0], [0, 0, -1]])
    blender = conventions.change_frame(right_down_ahead, "opencv", "blender")
    np.testing.assert_array_equal(blender, [[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    # A joint of HO-3D, which is in OpenGL's axes.
    ho3d = conventions.change_frame(np.array([0.02, 0.03, -0.5], np.float32), "opengl", "opencv")
    np.testing.assert_allclose(ho3d, [0.02, -0.03, 0.5])


def test_units():
    assert conventions.change_unit(1.5, "m", "mm") == pytest.approx(1500)
    assert conventions.change_unit(70.79, "cm", "m") == pytest.approx(0.7079)


@pytest.fixture(scope="module")
def framed_model():
    frames = np.stack([reference.rodrigues(v) for v in np.random.default_rng(6).normal(size=(16, 3))])
    return jax.tree.map(jnp.asarray, mano.build(**toy.arrays(seed=1, vertices=60, faces=100), joint_frames=frames))


move_params = jax.jit(conventions.move_params)


@pytest.mark.parametrize("framed", [False, True])
def test_moved_params_pose_the_moved_mesh(small_model, framed_model, framed):
    model = framed_model if framed else small_model
    turn = reference.rodrigues([0.7, -1.1, 2.0]).astype(np.float32)
    shift = np.array([0.2, -0.1, 0.6], np.float32)
    moved = forward_batch(model, move_params(model, HANDS, turn, shift))
    expected = np.asarray(forward_batch(model, HANDS).vertices) @ turn.T + shift
    np.testing.assert_allclose(moved.vertices, expected, atol=3e-6)


def test_moved_params_take_one_motion_a_hand(small_model):
    turns = np.stack([reference.rodrigues(v) for v in np.random.default_rng(8).normal(size=(4, 3))]).astype(np.float32)
    shifts = np.random.default_rng(9).normal(size=(4, 3)).astype(np.float32)
    batch = move_params(small_model, HANDS, turns, shifts)
    one = move_params(small_model, jax.tree.map(lambda a: a[2], HANDS), turns[2], shifts[2])
    jax.tree.map(lambda many, single: np.testing.assert_allclose(many[2], single, atol=1e-6), batch, one)


SMPLX_MODES = [
    {},
    {"num_pca_comps": 45},
    {"num_pca_comps": 12, "flat_hand_mean": True},
    {"use_pca": False},
    {"use_pca": False, "flat_hand_mean": True},
]


@pytest.mark.parametrize("mode", SMPLX_MODES, ids=str)
def test_smplx_params_come_back(small_model, mode):
    width = mode.get("num_pca_comps", 6) if mode.get("use_pca", True) else 45
    given = dict(zip(["betas", "global_orient", "hand_pose", "transl"], toy.params(10, 3), strict=True))
    given["hand_pose"] = given["hand_pose"][:, :width]
    again = conventions.to_smplx(small_model, conventions.from_smplx(small_model, given, **mode), **mode)
    for name, values in given.items():
        np.testing.assert_allclose(again[name], values, atol=2e-6, err_msg=name)


def test_smplx_defaults_are_the_mean_hand_with_what_is_left_out_at_zero(small_model):
    params = conventions.from_smplx(small_model, {"betas": np.ones((2, 4), np.float32), "expression": np.zeros(3)})
    np.testing.assert_allclose(params.hand_pose, np.tile(small_model.hands_mean, (2, 1)))
    np.testing.assert_array_equal(params.betas, np.repeat([[1.0, 1, 1, 1, 0, 0, 0, 0, 0, 0]], 2, 0))
    np.testing.assert_array_equal(params.transl, np.zeros((2, 3)))


@pytest.mark.parametrize(
    "key, values, message",
    [
        ("hand_pose", np.zeros((1, 45)), r"hand_pose must have shape \(\.\.\., 6\), got \(1, 45\)"),
        ("betas", np.zeros((1, 11)), r"betas must have shape \(\.\.\., n\), n <= 10, got \(1, 11\)"),
        ("transl", np.zeros((1, 4)), r"transl must have shape \(\.\.\., 3\), got \(1, 4\)"),
        ("global_orient", np.zeros((1, 1, 3, 3)), None),
    ],
)
def test_smplx_params_of_the_wrong_shape_are_named(small_model, key, values, message):
    if message is None:
        message, values = r"global_orient must have shape \(\.\.\., 3\)", np.zeros((1, 6))
    with pytest.raises(ValueError, match=message):
        conventions.from_smplx(small_model, {key: values})


@pytest.mark.parametrize("mode", [{}, {"ncomps": 45}, {"use_pca": False, "flat_hand_mean": False}], ids=str)
def test_manopth_params_come_back(small_model, mode):
    betas, orient, fingers, transl = toy.params(11, 3)
    width = mode.get("ncomps", 6) if mode.get("use_pca", True) else 45
    pose = np.concatenate([orient, fingers[:, :width]], -1)
    params = conventions.from_manopth(small_model, pose, betas, transl, **mode)
    again = conventions.to_manopth(small_model, params, **mode)
    np.testing.assert_allclose(again["th_pose_coeffs"], pose, atol=3e-6)
    np.testing.assert_array_equal(again["th_betas"], betas)
    np.testing.assert_array_equal(again["th_trans"], transl)


def test_manopth_and_smplx_differ_in_the_mean_and_in_all_components(small_model):
    fingers = toy.params(12, 1)[2]
    pose = np.concatenate([np.zeros((1, 3), np.float32), fingers], -1)
    manopth = conventions.from_manopth(small_model, pose, ncomps=45)
    smplx = conventions.from_smplx(small_model, {"hand_pose": fingers}, num_pca_comps=45)
    components, mean = np.asarray(small_model.hands_components), np.asarray(small_model.hands_mean)
    np.testing.assert_allclose(manopth.hand_pose, fingers @ components, atol=1e-6)
    np.testing.assert_allclose(smplx.hand_pose, fingers + mean, atol=1e-6)


def test_manopth_output_is_centred_millimetres_unless_there_is_a_translation(small_model):
    manopth_output = jax.jit(conventions.manopth_output, static_argnames="center_idx")
    batch = HANDS._replace(transl=np.zeros((4, 3), np.float32))
    params = jax.tree.map(lambda array: array[0], batch)
    output = forward_batch(small_model, batch)
    points, mesh = np.asarray(mano.keypoints_of(small_model, output)[0]), np.asarray(output.vertices[0])
    vertices, joints = manopth_output(small_model, params, center_idx=9)
    np.testing.assert_allclose(joints, 1000 * (points - points[9]), atol=1e-3)
    np.testing.assert_allclose(vertices, 1000 * (mesh - points[9]), atol=1e-3)
    _, joints = manopth_output(small_model, params)
    np.testing.assert_allclose(joints, 1000 * points, atol=1e-3)
    shift = np.array([0.1, 0, 0], np.float32)
    _, joints = manopth_output(small_model, params._replace(transl=shift), center_idx=9)
    np.testing.assert_allclose(joints, 1000 * (points + shift), atol=1e-3)
    with pytest.raises(ValueError, match=r"center_idx must lie in \[0, 21\), got 21"):
        conventions.manopth_output(small_model, params, center_idx=21)


def hamer_output(count: int) -> dict[str, np.ndarray]:
    betas, orient, fingers, _ = toy.params(13, count)
    pose = np.concatenate([orient, fingers], -1).reshape(count, 16, 3)
    matrices = np.array([[reference.rodrigues(v) for v in hand] for hand in pose], np.float32)
    return {"betas": betas, "global_orient": matrices[:, :1], "hand_pose": matrices[:, 1:]}


CAM = np.array([[0.9, 0.02, -0.05], [1.2, -0.1, 0.3]], np.float32)
BOX = {"box_center": np.array([[300, 220], [100, 400]], np.float32), "box_size": np.array([180, 90], np.float32)}


def test_hamer_translation_in_the_crop_and_in_the_full_image_are_the_published_ones(small_model):
    crop = camera.Camera(jnp.full(2, 5000.0), jnp.full(2, 128.0))
    in_crop = conventions.from_hamer(
        small_model, hamer_output(2), CAM, camera=crop, box_center=np.full((2, 2), 128.0), box_size=np.full(2, 256.0)
    )
    s, tx, ty = CAM.T
    np.testing.assert_allclose(in_crop.transl, np.stack([tx, ty, 2 * 5000 / (256 * s)], -1), rtol=1e-6)
    full = conventions.from_hamer(small_model, hamer_output(2), CAM, camera=conventions.hamer_camera(480, 640), **BOX)
    # Worked by hand: focal 5000 / 256 * 640 = 12500, and 0.9 * 180 = 162 px for half the crop.
    expected = [2 * (300 - 320) / 162 + 0.02, 2 * (220 - 240) / 162 - 0.05, 2 * 12500 / 162]
    np.testing.assert_allclose(full.transl[0], expected, rtol=1e-6)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_hamer_hand_falls_on_its_place_in_the_image_with_any_camera(small_model, side):
    model = small_model if side == "right" else mano.mirror(small_model)
    prediction = hamer_output(2)
    sign = np.array([1 if side == "right" else -1, 1, 1])
    # What the network sees: a right hand at s (x + tx), s (y + ty) of a crop of half width 1, mirrored if left.
    right = mano.HandParams(prediction["betas"], *toy.params(13, 2)[1:3], np.zeros((2, 3), np.float32))
    root = np.asarray(forward_batch(small_model, right).joints[:, 0])
    seen = CAM[:, :1] * (root[:, :2] + CAM[:, 1:]) * sign[:2]
    expected = BOX["box_center"] + seen * BOX["box_size"][:, None] / 2
    view = camera.Camera(jnp.array([610.0, 590.0]), jnp.array([330.0, 235.0]))
    params = conventions.from_hamer(model, prediction, CAM, camera=view, **BOX)
    output = forward_batch(model, params)
    local = np.asarray(output.vertices) - np.asarray(params.transl)[:, None]
    np.testing.assert_allclose(local, np.asarray(forward_batch(small_model, right).vertices) * sign, atol=3e-6)
    # To first order in the root's depth over the distance: it lies some centimetres from the origin.
    pixels = np.asarray(camera.project(view, output.joints[:, 0]))
    np.testing.assert_allclose(pixels, expected, atol=1.0)
    depth = 2 * 600 / (BOX["box_size"] * CAM[:, 0])
    np.testing.assert_allclose(params.transl[:, 2], depth, rtol=1e-6)


def test_hamer_output_of_the_wrong_shape_is_named(small_model):
    arguments = {"camera": conventions.hamer_camera(480, 640), **BOX}
    with pytest.raises(ValueError, match=r"hand_pose must have shape \(\.\.\., 15, 3, 3\), got \(2, 45\)"):
        conventions.from_hamer(small_model, hamer_output(2) | {"hand_pose": np.zeros((2, 45))}, CAM, **arguments)
    with pytest.raises(ValueError, match=r"pred_cam must have shape \(\.\.\., 3\), got \(2, 4\)"):
        conventions.from_hamer(small_model, hamer_output(2), np.zeros((2, 4)), **arguments)


def test_mirrored_pose_codings_are_mirror_images(small_model):
    pose = toy.params(14, 1)[2][0]
    mirrored = conventions.mirror_axis_angle(pose)
    matrices, other = (
        conventions.convert_pose(small_model, values, source="axis_angle", target="matrix")
        for values in (pose, mirrored)
    )
    flip = np.diag([-1.0, 1, 1])
    np.testing.assert_allclose(other, flip @ np.asarray(matrices) @ flip, atol=1e-6)
