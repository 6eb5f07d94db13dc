"""HAMR's terms: values by hand, the camera that labels imply, gradients against differences, what is not valid."""

import jax
import numpy as np
import pytest

from handjax import losses
from handjax.losses import hamr
from tests.loss_checks import assert_finite, assert_gradient_of_differences, assert_nothing, hand, mean

RNG = np.random.default_rng(1)
JOINTS, OTHER = hand(1), hand(2)
PIXELS = RNG.uniform(-1, 1, size=(21, 2))
MAPS, MAP_TARGET = RNG.uniform(size=(2, 3, 3, 64)), RNG.uniform(size=(3, 3, 21))
CAMERA = np.array([8.0, 0.02, -0.03])


def projected(camera: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Eq. 5, of joints relative to the wrist."""
    return camera[0] * (joints[:, :2] - joints[0, :2] + camera[1:])


def fingers_along(points: list[list[float]]) -> np.ndarray:
    """A hand whose index finger has these four points, tip to palm, and whose others are straight."""
    joints = np.zeros((21, 3))
    joints[1:] = np.tile(np.arange(4.0)[:, None] * [0.0, 1.0, 0.0], (5, 1))
    joints[5:9] = np.array(points)[::-1]
    return joints


def test_joint_losses_are_mean_squared_distances_from_the_wrist():
    moved = JOINTS + [0.5, 0.0, 0.0]
    assert mean(hamr.joint_3d, moved, JOINTS) == pytest.approx(0, abs=1e-9)
    moved[4] += [0.0, 0.03, 0.04]
    assert mean(hamr.joint_3d, moved, JOINTS) == pytest.approx(0.0025 / 21, rel=1e-3)
    seen = np.arange(21) < 5
    assert mean(hamr.joint_3d, moved, JOINTS, seen) == pytest.approx(0.0025 / 5, rel=1e-3)
    assert mean(hamr.joint_2d, PIXELS + [0.3, 0.4], PIXELS) == pytest.approx(0.25, rel=1e-5)
    assert mean(hamr.joint_2d, PIXELS, PIXELS) == 0


def test_a_hand_without_its_wrist_counts_for_nothing_in_3d():
    target = JOINTS.copy()
    target[0] = np.nan
    assert_nothing(hamr.joint_3d, JOINTS, target, np.arange(21) > 0)


def test_geometric_loss_by_hand():
    # In one plane, bending on to the same side: nothing.
    bent = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    assert mean(hamr.geometric, fingers_along(bent)) == pytest.approx(0, abs=1e-7)
    # A step out of the plane at right angles is a volume of 1, and turns neither way.
    twisted = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    assert mean(hamr.geometric, fingers_along(twisted)) == pytest.approx(1 / 4)
    # Bent one way and then the other: the normals are opposite.
    zigzag = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [2.0, 1.0, 0.0]]
    assert mean(hamr.geometric, fingers_along(zigzag)) == pytest.approx(1 / 4)
    # Of any length of the bones, whatever the order of the points.
    assert mean(hamr.geometric, 0.01 * fingers_along(zigzag)) == pytest.approx(1 / 4)
    assert mean(hamr.geometric, fingers_along(twisted[::-1])) == pytest.approx(1 / 4)


def test_the_thumb_is_free_to_twist():
    joints = fingers_along([[0.0, 3.0, 0.0], [0.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    joints[1:5] = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    assert mean(hamr.geometric, joints) == 0


def test_ground_truth_camera_is_the_papers():
    pixels = projected(CAMERA, JOINTS)
    bones = list(zip([0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19], range(1, 21), strict=True))
    in_picture = np.mean([np.linalg.norm(pixels[b] - pixels[a]) for a, b in bones])
    in_space = np.mean([np.linalg.norm(JOINTS[b] - JOINTS[a]) for a, b in bones])
    scale = in_picture / in_space
    shift = np.mean(pixels / scale - (JOINTS - JOINTS[0])[:, :2], axis=0)
    camera, valid = hamr.ground_truth_camera(JOINTS, pixels)
    np.testing.assert_allclose(camera, [scale, *shift], rtol=1e-4)
    assert valid == 1


def test_ground_truth_camera_of_a_flat_hand_is_the_one_that_took_it():
    flat = JOINTS * [1, 1, 0]
    camera, _ = hamr.ground_truth_camera(flat, projected(CAMERA, flat))
    np.testing.assert_allclose(camera, CAMERA, rtol=1e-4)
    # Hidden keypoints may hold anything.
    pixels, hidden = projected(CAMERA, flat), np.array([3, 4, 12])
    pixels[hidden] = np.nan
    camera, valid = hamr.ground_truth_camera(flat, pixels, ~np.isin(np.arange(21), hidden))
    np.testing.assert_allclose(camera, CAMERA, rtol=1e-4)
    assert valid == 1


@pytest.mark.parametrize("seen", [[], [0], [0, 6], list(range(1, 21))])
def test_ground_truth_camera_without_a_bone_or_without_the_wrist_is_none(seen):
    camera, valid = hamr.ground_truth_camera(JOINTS, PIXELS, np.isin(np.arange(21), seen))
    assert valid == 0 and not np.any(camera)


def test_camera_loss_is_the_squared_distance():
    assert mean(hamr.camera, CAMERA + [1.0, 0.2, 0.0], CAMERA) == pytest.approx(1.04, rel=1e-5)
    assert mean(hamr.camera, CAMERA, CAMERA) == 0


def test_heatmap_loss_is_of_the_first_21_maps():
    heatmaps = np.concatenate([MAP_TARGET, np.full((3, 3, 43), 7.0)], -1)[None]
    assert mean(hamr.heatmap, heatmaps, MAP_TARGET) == 0
    heatmaps[0, 1, 1, 4] += 3.0
    assert mean(hamr.heatmap, np.concatenate([heatmaps] * 2), MAP_TARGET) == pytest.approx(2 * 9 / (9 * 21), rel=1e-5)


def test_silhouette_loss_is_the_mean_over_pixels():
    mask, target = np.array([[0.0, 0.25], [1.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.5]])
    assert mean(hamr.silhouette, mask, target) == pytest.approx(1.25 / 4)
    assert mean(hamr.silhouette, mask, target, [[1, 0], [1, 1]]) == pytest.approx(0.5 / 4)
    assert mean(hamr.silhouette, target, target) == 0
    sums = jax.vmap(hamr.silhouette)(np.stack([mask] * 3), np.stack([target] * 3))
    assert losses.mean_of(sums) == pytest.approx(1.25 / 4)


def test_silhouette_gradient_is_that_of_differences_in_float32():
    mask, target = RNG.uniform(size=(2, 4, 4)).astype(np.float32)
    slope = jax.grad(lambda m: losses.mean_of(hamr.silhouette(m, target)))(mask)
    np.testing.assert_allclose(slope, np.sign(mask - target) / 16, rtol=1e-6)


def test_the_shape_prior_is_on_unless_the_paper_is_asked_for():
    means = losses.means_of({"betas": hamr.betas(np.full(10, 2.0))})
    assert losses.weighted(means, hamr.HamrWeights()) == pytest.approx(0.04)
    assert losses.weighted(means, hamr.PAPER) == 0


GRADIENTS = [
    (hamr.joint_3d, JOINTS, OTHER),
    (hamr.joint_2d, PIXELS, -PIXELS),
    (hamr.geometric, RNG.normal(size=(21, 3))),
    (hamr.camera, CAMERA, -CAMERA),
    (hamr.heatmap, MAPS, MAP_TARGET),
    (hamr.betas, CAMERA),
]


@pytest.mark.parametrize("case", GRADIENTS, ids=lambda case: case[0].__name__)
def test_gradients_are_those_of_differences(case):
    assert_gradient_of_differences(*case)


def test_gradients_are_finite_where_everything_is_zero():
    assert assert_finite(hamr.geometric, np.zeros((21, 3))) == 0
    slope = jax.jit(jax.grad(lambda joints: hamr.ground_truth_camera(joints, PIXELS)[0].sum()))(np.zeros((21, 3)))
    assert np.isfinite(slope).all()


def test_what_is_not_valid_may_hold_anything():
    nothing = np.float32(0)
    assert_nothing(hamr.joint_3d, JOINTS, np.full((21, 3), np.nan), np.zeros(21))
    assert_nothing(hamr.joint_2d, PIXELS, np.full((21, 2), np.nan), np.zeros(21))
    assert_nothing(hamr.geometric, JOINTS, nothing)
    assert_nothing(hamr.camera, CAMERA, np.full(3, np.nan), nothing)
    assert_nothing(hamr.heatmap, MAPS, np.full(MAP_TARGET.shape, np.nan), np.zeros(21))
    assert_nothing(hamr.betas, CAMERA, nothing)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hamr.joint_3d(PIXELS, PIXELS), r"joints must have shape \(21, 3\)"),
        (lambda: hamr.joint_3d(JOINTS, JOINTS[:20]), "target must have shape"),
        (lambda: hamr.joint_2d(JOINTS, JOINTS), r"pixels must have shape \(21, 2\)"),
        (lambda: hamr.joint_2d(PIXELS, PIXELS, np.ones(20)), r"valid must have shape \(21,\)"),
        (lambda: hamr.geometric(JOINTS[None]), "joints must have shape"),
        (lambda: hamr.ground_truth_camera(JOINTS, JOINTS), "pixels must have shape"),
        (lambda: hamr.camera(CAMERA[:2], CAMERA), r"camera must have shape \(3,\)"),
        (lambda: hamr.heatmap(MAPS[..., :20], MAP_TARGET), "target must have shape"),
        (lambda: hamr.silhouette(np.zeros((3, 4)), np.zeros((4, 3))), "target must have shape"),
        (lambda: hamr.silhouette(np.zeros((3, 4, 1)), np.zeros((3, 4))), "mask must have shape"),
    ],
)
def test_bad_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
