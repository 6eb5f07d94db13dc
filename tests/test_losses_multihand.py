"""The multi-hand network's terms: values by hand, empty slots, gradients against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import losses, mano, render
from handjax.camera import Camera
from handjax.losses import multihand
from handjax.mano import pose_library
from tests.loss_checks import assert_finite, assert_gradient_of_differences, assert_nothing, hand, mean

RNG = np.random.default_rng(3)
PIXELS = np.stack([hand(1, axes=2), hand(2, axes=2) + 40])
LABELS = PIXELS + RNG.normal(scale=4, size=PIXELS.shape)
JOINTS = np.stack([hand(1), hand(2)])
VERTICES = RNG.normal(scale=0.05, size=(2, 12, 3))
POSES = RNG.normal(scale=1.0, size=(2, 45))
SIDES = np.array([0, 1])
LOGITS = RNG.normal(size=(4, 5, 2))
CENTERS = RNG.uniform(size=(4, 5, 2)) ** 2
CENTERS[1, 2, 0] = CENTERS[3, 3, 1] = 1.0
MAPS = 0.5 + 0.1 * RNG.normal(size=(3, 3, 21))
MAP_TARGET = np.zeros((3, 3, 21))
MAP_TARGET[1, 1] = 1.0
LITTLE = 18
"""Where the little finger's base begins among the 45 numbers."""


@pytest.fixture(scope="module")
def right_axes() -> np.ndarray:
    return np.asarray(mano.default(side="right", resolution="low").joint_axes)


def test_focal_loss_by_hand():
    logits, target = np.array([[[0.0], [0.0], [2.0]]]), np.array([[[1.0], [0.5], [0.0]]])
    score = 1 / (1 + np.exp(-2.0))
    expected = 0.25 * np.log(2) + 0.5**4 * 0.25 * np.log(2) - score**2 * np.log(1 - score)
    assert mean(multihand.center, logits, target) == pytest.approx(expected, rel=1e-5)
    # Two hands halve the sum.
    assert mean(multihand.center, np.tile(logits, (2, 1, 1)), np.tile(target, (2, 1, 1))) == pytest.approx(expected)


def test_focal_loss_of_certain_and_right_maps_is_zero():
    target = (CENTERS == 1).astype(float)
    assert mean(multihand.center, 40 * (target - 0.5), target) == pytest.approx(0, abs=1e-6)
    assert mean(multihand.side, 40 * (target - 0.5), target) == pytest.approx(0, abs=1e-6)
    assert mean(multihand.keypoint_maps, MAP_TARGET, MAP_TARGET) == pytest.approx(0, abs=1e-6)


def test_a_picture_without_hands_is_background_and_divides_by_one():
    sums = multihand.center(np.zeros((2, 2, 1)), np.zeros((2, 2, 1)))
    assert sums.number == 1
    assert losses.mean_of(sums) == pytest.approx(4 * 0.25 * np.log(2), rel=1e-5)


def test_focal_loss_of_maps_is_that_of_their_logits():
    logits = RNG.normal(size=(3, 3, 21))
    of_maps = mean(multihand.keypoint_maps, 1 / (1 + np.exp(-logits)), MAP_TARGET)
    assert of_maps == pytest.approx(mean(multihand.center, logits, MAP_TARGET), rel=1e-4)
    assert_finite(multihand.keypoint_maps, 1 - MAP_TARGET, MAP_TARGET)
    assert_finite(multihand.center, 1000 * (0.5 - MAP_TARGET), MAP_TARGET)


def test_reprojection_is_in_first_sections_of_the_middle_finger():
    section = np.linalg.norm(PIXELS[:, 10] - PIXELS[:, 9], axis=-1)
    moved = PIXELS + [3.0, 4.0]
    assert mean(multihand.reprojection, moved, PIXELS) == pytest.approx(np.mean(5 / section), rel=1e-4)
    only = np.stack([np.zeros(21), np.arange(21) != 4])
    assert mean(multihand.reprojection, moved, PIXELS, only) == pytest.approx(5 / section[1], rel=1e-4)
    assert mean(multihand.reprojection, PIXELS, PIXELS) == 0


def test_reprojection_has_a_unit_where_the_section_has_no_length_or_is_hidden():
    flat = PIXELS[:1].copy()
    flat[0, 10] = flat[0, 9]
    longer = np.ptp(flat[0], axis=0).max()
    assert mean(multihand.reprojection, flat + [3.0, 4.0], flat) == pytest.approx(5 / (0.1 * longer), rel=1e-4)
    hidden, valid = PIXELS[:1].copy(), np.ones((1, 21))
    hidden[0, 10], valid[0, 10] = np.nan, 0
    longer = np.nanmax(hidden[0], 0) - np.nanmin(hidden[0], 0)
    expected = 5 / (0.25 * longer.max())
    assert mean(multihand.reprojection, PIXELS[:1] + [3.0, 4.0], hidden, valid) == pytest.approx(expected, rel=0.02)
    assert np.isfinite(mean(multihand.reprojection, np.ones((1, 21, 2)), np.zeros((1, 21, 2))))


def test_released_reprojection_is_the_mean_square_of_coordinates():
    assert mean(multihand.reprojection_squares, PIXELS + [3.0, 4.0], PIXELS) == pytest.approx(12.5, rel=1e-4)
    assert mean(multihand.reprojection_squares, PIXELS, PIXELS) == 0


def test_bone_direction_by_hand():
    pixels, target = np.zeros((1, 21, 2)), np.zeros((1, 21, 2))
    pixels[0, 8], target[0, 8] = [30.0, 0.0], [0.0, 50.0]
    # One bone at right angles: sqrt 2 apart; the others have no direction in either.
    assert mean(multihand.bone_direction, pixels, target) == pytest.approx(np.sqrt(2) / 20, rel=1e-4)
    assert mean(multihand.bone_direction_squares, pixels, target) == pytest.approx(2 / 20, rel=1e-4)
    for term in (multihand.bone_direction, multihand.bone_direction_squares):
        assert mean(term, 2 * PIXELS + 7, PIXELS) == pytest.approx(0, abs=1e-5)


def test_raw_pose_range_by_hand():
    pose = np.zeros((1, 45))
    assert mean(multihand.pose_range_raw, pose, [1]) == 0
    pose[0, 2], pose[0, 0] = np.deg2rad(110), np.deg2rad(-8)
    excess = np.deg2rad(10 + 3) / 45
    assert mean(multihand.pose_range_raw, pose, [1]) == pytest.approx(excess, rel=1e-5)
    # On the left hand the finger bends the other way.
    pose[0, 2] *= -1
    assert mean(multihand.pose_range_raw, pose, [0]) == pytest.approx(excess, rel=1e-5)
    assert mean(multihand.pose_range_raw, pose, [1]) == pytest.approx(np.deg2rad(100 + 3) / 45, rel=1e-5)


@pytest.mark.parametrize(
    ("joint", "right", "left"),
    [
        (3 * 9 + 2, (-10, 100), (-100, 10)),  # a finger's pitch
        (LITTLE + 1, (-10, 20), (-20, 10)),
        (3 * 12 + 1, (-22.5, 33.75), (-33.75, 22.5)),
        (3 * 12, (0, 90), (0, 90)),
        (3 * 14 + 2, (-20, 100), (-100, 20)),
    ],
)
def test_ranges_are_the_table_of_both_sides(joint, right, left):
    for side, (lowest, highest) in enumerate((left, right)):
        for angle, past in [(lowest - 5, 5), (lowest, 0), (highest, 0), (highest + 5, 5)]:
            pose = np.zeros((1, 45))
            pose[0, joint] = np.deg2rad(angle)
            found = 45 * mean(multihand.pose_range_raw, pose, [side])
            assert found == pytest.approx(np.deg2rad(past), abs=1e-5)


def test_anatomical_pose_range_is_about_the_joints_own_axes(right_axes):
    model = mano.default(side="right", resolution="low")
    # Little finger's base: flexion, abduction, twist towards the tip, degrees, and how far beyond.
    cases = [((110, 0, 0), 10), ((-15, 0, 0), 5), ((0, 25, 0), 5), ((0, -15, 0), 5), ((0, 0, 15), 0), ((0, 0, -15), 10)]
    for angles, past in cases:
        every = np.zeros((15, 3))
        every[LITTLE // 3] = np.deg2rad(angles)
        pose = np.asarray(pose_library.pose_from_angles(model, jnp.asarray(every)))
        mirrored = pose.reshape(15, 3) * [1, -1, -1]
        for side, posed in enumerate((mirrored.ravel(), pose)):
            found = 45 * mean(multihand.pose_range, posed[None], [side], right_axes)
            assert found == pytest.approx(np.deg2rad(past), abs=1e-5), (angles, side)


def test_a_relaxed_hand_pays_less_about_its_own_axes_than_raw(right_axes):
    pose = np.asarray(mano.named_pose(mano.default(side="right", resolution="low"), "relaxed"))[None]
    assert mean(multihand.pose_range, pose, [1], right_axes) < mean(multihand.pose_range_raw, pose, [1])


def test_shape_loss_is_the_mean_square():
    assert mean(multihand.shape, [[1.0, 3.0], [9.0, 9.0]], [True, False]) == pytest.approx(5.0)
    assert mean(multihand.shape, np.zeros((2, 10))) == 0


def test_joints_and_vertices_are_compared_about_the_knuckle_in_the_targets_bone():
    grown = 2 * JOINTS[:1] + 0.3
    assert mean(multihand.joint_3d, grown, JOINTS[:1]) == pytest.approx(0, abs=1e-7)
    moved = JOINTS[:1].copy()
    moved[0, 4] += [0.01, -0.02, 0.03]
    assert mean(multihand.joint_3d, 2 * moved, JOINTS[:1]) == pytest.approx(0.06 / 63, rel=1e-4)
    vertices = VERTICES[:1].copy()
    vertices[0, 5] += [0.03, 0.0, -0.03]
    shifted = 2 * vertices + 0.3
    assert mean(multihand.vertex_3d, shifted, VERTICES[:1], grown, JOINTS[:1]) == pytest.approx(0.06 / 36, rel=1e-3)
    assert mean(multihand.vertex_3d, VERTICES, VERTICES, JOINTS, JOINTS) == pytest.approx(0, abs=1e-7)


def test_photometric_loss_is_the_one_of_pictures():
    picture, target = RNG.uniform(size=(2, 3, 4, 3))
    mask = np.ones((3, 4))
    expected = np.linalg.norm(picture - target, axis=-1).mean()
    assert mean(multihand.photometric, picture, target, mask) == pytest.approx(expected, rel=1e-5)


def test_segmentation_gradient_moves_the_outline():
    corners = np.array([[-0.1, -0.1, 1.0], [0.1, -0.1, 1.0], [0.1, 0.1, 1.0], [-0.1, 0.1, 1.0]], np.float32)
    topology = render.topology(np.array([[0, 2, 1], [0, 3, 2]]))
    camera = Camera(jnp.full(2, 40.0), jnp.full(2, 8.0))
    target = np.zeros((16, 16), np.float32)
    target[4:12, 4:12] = 1

    @jax.jit
    @jax.value_and_grad
    def loss(shift):
        drawn = render.silhouette(camera, corners + shift * np.array([[1, 0, 0]], np.float32), topology, size=(16, 16))
        return losses.mean_of(multihand.segmentation(drawn.mask, target))

    (ahead, _), (here, slope), (behind, _) = loss(0.03), loss(0.02), loss(0.01)
    assert loss(0.0)[0] == pytest.approx(0, abs=1e-5)
    # Both edges, 8 px high, move 0.8 px.
    assert here == pytest.approx(2 * 8 * 0.8 / 256, rel=0.05)
    assert slope == pytest.approx(2 * 8 * 40 / 256, rel=0.1)
    assert slope == pytest.approx(float(ahead - behind) / 0.02, rel=0.1)


GRADIENTS = [
    (multihand.center, LOGITS, CENTERS),
    (multihand.side, LOGITS, CENTERS),
    (multihand.keypoint_maps, MAPS, MAP_TARGET),
    (multihand.reprojection, PIXELS, LABELS),
    (multihand.reprojection_squares, PIXELS, LABELS),
    (multihand.bone_direction, PIXELS, LABELS),
    (multihand.bone_direction_squares, PIXELS, LABELS),
    (multihand.pose_range_raw, POSES, SIDES),
    (multihand.shape, POSES),
    (multihand.joint_3d, JOINTS, JOINTS[::-1]),
    (multihand.vertex_3d, VERTICES, VERTICES[::-1], JOINTS, JOINTS[::-1]),
]


@pytest.mark.parametrize("case", GRADIENTS, ids=lambda case: case[0].__name__)
def test_gradients_are_those_of_differences(case):
    assert_gradient_of_differences(*case)


def test_anatomical_gradient_is_that_of_differences(right_axes):
    assert_gradient_of_differences(multihand.pose_range, POSES, SIDES, right_axes.astype(np.float64))


def test_scaling_joints_have_gradients_of_their_own():
    def of_joints(joints, target):
        return multihand.vertex_3d(VERTICES, VERTICES[::-1], joints, target)

    assert_gradient_of_differences(of_joints, JOINTS, JOINTS[::-1])


def test_gradients_are_finite_where_everything_is_zero():
    zeros = np.zeros((2, 21, 2))
    for term in (multihand.reprojection, multihand.bone_direction, multihand.reprojection_squares):
        assert assert_finite(term, zeros, zeros) == 0
        assert_finite(term, zeros, LABELS)
    assert_finite(multihand.joint_3d, np.zeros((2, 21, 3)), JOINTS)
    assert_finite(multihand.joint_3d, JOINTS, np.zeros((2, 21, 3)))
    assert_finite(multihand.pose_range_raw, np.zeros((2, 45)), SIDES)


def test_empty_slots_may_hold_anything_and_count_for_nothing(right_axes):
    none, unknown = np.zeros(2), np.full
    for term in (
        multihand.reprojection,
        multihand.reprojection_squares,
        multihand.bone_direction,
        multihand.bone_direction_squares,
    ):
        assert_nothing(term, PIXELS, unknown(PIXELS.shape, np.nan), np.zeros((2, 21)))
    assert_nothing(multihand.pose_range, POSES, SIDES, right_axes, none)
    assert_nothing(multihand.pose_range_raw, POSES, SIDES, none)
    assert_nothing(multihand.shape, POSES, none)
    assert_nothing(multihand.joint_3d, JOINTS, unknown(JOINTS.shape, np.nan), np.zeros((2, 21)))
    assert_nothing(multihand.vertex_3d, VERTICES, unknown(VERTICES.shape, np.nan), JOINTS, JOINTS, none)
    assert_nothing(multihand.center, LOGITS, unknown(CENTERS.shape, np.nan), np.float32(0))


@pytest.mark.parametrize("term", [multihand.reprojection, multihand.bone_direction, multihand.joint_3d])
def test_an_empty_slot_changes_nothing_of_the_others(term):
    points, labels = (JOINTS, JOINTS[::-1]) if term is multihand.joint_3d else (PIXELS, LABELS)
    alone = mean(term, points[:1], labels[:1])
    valid = np.stack([np.ones(21), np.zeros(21)])
    with_nan = np.stack([labels[0], np.full_like(labels[1], np.nan)])
    assert mean(term, points, with_nan, valid) == pytest.approx(alone, rel=1e-6)
    assert_finite(term, np.stack([points[0], np.zeros_like(points[1])]), with_nan, valid)


def test_pictures_of_a_batch_add_up_hand_by_hand():
    valid = np.ones((2, 2, 21))
    valid[1, 1] = 0
    pixels, labels = np.stack([PIXELS, PIXELS + 3]), np.stack([LABELS, LABELS - 2])
    for term in (multihand.reprojection, multihand.bone_direction):
        sums, alone = jax.jit(jax.vmap(term))(pixels, labels, valid), jax.jit(term)
        one_by_one = [alone(pixels[i, j][None], labels[i, j][None]) for i, j in ((0, 0), (0, 1), (1, 0))]
        expected = sum(float(s.total) for s in one_by_one) / sum(float(s.number) for s in one_by_one)
        assert losses.mean_of(sums) == pytest.approx(expected, rel=1e-5)


def test_every_weight_belongs_to_a_term():
    assert all(callable(getattr(multihand, name)) for name in multihand.MultiHandWeights._fields)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: multihand.center(LOGITS[0], CENTERS[0]), "logits must have shape"),
        (lambda: multihand.center(LOGITS, CENTERS[:1]), "target must have shape"),
        (lambda: multihand.side(LOGITS[..., :1], CENTERS[..., :1]), r"logits must have shape \(H, W, 2\)"),
        (lambda: multihand.keypoint_maps(LOGITS, CENTERS), r"maps must have shape \(H, W, 21\)"),
        (lambda: multihand.reprojection(PIXELS[0], PIXELS[0]), r"pixels must have shape \(N, 21, 2\)"),
        (lambda: multihand.reprojection(PIXELS, PIXELS, np.ones(2)), r"valid must have shape \(2, 21\)"),
        (lambda: multihand.bone_direction(PIXELS, PIXELS[:1]), "target must have shape"),
        (lambda: multihand.pose_range_raw(POSES[:, :44], SIDES), r"hand_pose must have shape \(N, 45\)"),
        (lambda: multihand.pose_range_raw(POSES, SIDES[:1]), r"sides must have shape \(2,\)"),
        (lambda: multihand.pose_range(POSES, SIDES, np.eye(3)), r"joint_axes must have shape \(15, 3, 3\)"),
        (lambda: multihand.shape(POSES[0]), "betas must have shape"),
        (lambda: multihand.joint_3d(PIXELS, PIXELS), r"joints must have shape \(N, 21, 3\)"),
        (lambda: multihand.vertex_3d(VERTICES, VERTICES, JOINTS[:1], JOINTS), r"joints must have shape \(2, 21, 3\)"),
        (lambda: multihand.segmentation(np.zeros((3, 4)), np.zeros(4)), "target must have shape"),
    ],
)
def test_bad_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
