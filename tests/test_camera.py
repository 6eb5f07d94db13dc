"""Cameras, crops and pixel conventions."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handjax import camera as cam

CAMERA = cam.Camera(jnp.array([620.0, 610.0]), jnp.array([310.0, 250.0]))
SQUARE_CAMERA = cam.Camera(jnp.array([620.0, 620.0]), jnp.array([310.0, 250.0]))
WEAK = cam.WeakCamera(jnp.array(1500.0), jnp.array([200.0, 180.0]))

coordinate = st.floats(-0.4, 0.4, allow_subnormal=False)
point = st.tuples(coordinate, coordinate, st.floats(0.25, 2.0))
angle = st.floats(-7.0, 7.0, allow_subnormal=False)
crop_box = st.tuples(
    st.floats(-200, 600, allow_subnormal=False),
    st.floats(-200, 600, allow_subnormal=False),
    st.floats(10, 500),
    st.floats(10, 500),
).map(lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]], np.float32))

crop_affine = jax.jit(cam.crop_affine, static_argnames="size")
crop_camera = jax.jit(cam.crop_camera)
apply_affine = jax.jit(cam.apply_affine)
invert_affine = jax.jit(cam.invert_affine)
project = jax.jit(cam.project)


def test_projection_is_focal_times_tangent_plus_center():
    np.testing.assert_allclose(project(CAMERA, np.array([0.1, -0.2, 0.5])), [434.0, 6.0], rtol=1e-6)
    np.testing.assert_allclose(project(WEAK, np.array([0.1, -0.2, 9.0])), [350.0, -120.0], rtol=1e-6)


@pytest.mark.parametrize("camera", [CAMERA, WEAK], ids=["perspective", "weak"])
@settings(max_examples=50, deadline=None)
@given(point)
def test_unproject_inverts_project(camera, xyz):
    xyz = np.array(xyz, np.float32)
    np.testing.assert_allclose(cam.unproject(camera, project(camera, xyz), xyz[2]), xyz, atol=2e-6)


def test_projection_matches_the_intrinsics_matrix():
    points = np.random.default_rng(0).uniform([-1, -1, 0.3], [1, 1, 2], (50, 3))
    homogeneous = points @ np.asarray(cam.intrinsics_matrix(CAMERA), np.float64).T
    np.testing.assert_allclose(project(CAMERA, points), homogeneous[:, :2] / homogeneous[:, 2:], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("depth", [0.0, -1.0, 1e-30, -np.inf])
def test_points_at_or_behind_the_camera_stay_finite_with_their_gradient(depth):
    xyz = jnp.array([0.1, -0.2, depth])
    assert np.isfinite(project(CAMERA, xyz)).all()
    assert np.isfinite(jax.grad(lambda p: cam.project(CAMERA, p).sum())(xyz)).all()


def test_leading_axes_of_a_camera_are_the_first_axes_of_its_points():
    points = np.random.default_rng(1).uniform([-0.2, -0.2, 0.4], [0.2, 0.2, 1.0], (3, 5, 21, 3)).astype(np.float32)
    cameras = cam.Camera(jnp.array([[500.0, 510], [600, 610], [700, 710]]), jnp.array([[1.0, 2], [3, 4], [5, 6]]))
    weak = cam.WeakCamera(jnp.array([100.0, 200, 300]), cameras.center)
    with jax.numpy_rank_promotion("raise"):
        for camera in (cameras, weak):
            whole = cam.project(camera, points)
            back = cam.unproject(camera, whole, points[..., 2])
            assert whole.shape == (3, 5, 21, 2)
            for i in range(3):
                one = jax.tree.map(lambda leaf, i=i: leaf[i], camera)
                np.testing.assert_allclose(whole[i], cam.project(one, points[i]), rtol=1e-6)
            np.testing.assert_allclose(back, points, atol=2e-6)
    mapped = jax.vmap(cam.project)(cameras, points)
    np.testing.assert_allclose(mapped, cam.project(cameras, points), rtol=1e-6)


def test_weak_camera_and_translation_convert_both_ways_and_agree_at_the_depth_of_the_root():
    transl = cam.transl_from_weak(WEAK, SQUARE_CAMERA)
    np.testing.assert_allclose(transl[2], 620 / 1500, rtol=1e-6)
    back = cam.weak_from_transl(transl, SQUARE_CAMERA)
    np.testing.assert_allclose(back.scale, WEAK.scale, rtol=1e-6)
    np.testing.assert_allclose(back.translation, WEAK.translation, rtol=1e-5)
    flat = np.random.default_rng(2).uniform([-0.1, -0.1, 0], [0.1, 0.1, 0], (20, 3)).astype(np.float32)
    exact = project(SQUARE_CAMERA, flat + np.asarray(transl))
    np.testing.assert_allclose(exact, project(WEAK, flat), atol=1e-3)


@settings(max_examples=50, deadline=None)
@given(crop_box, angle)
def test_crop_sends_the_box_center_to_the_middle_and_its_longer_side_to_the_size(box, rotation):
    affine = crop_affine(box, rotation, size=256)
    center, side = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max()
    np.testing.assert_allclose(apply_affine(affine, center), [128, 128], atol=0.02)
    turned = np.asarray(apply_affine(affine, center + np.array([side / 2, 0], np.float32)))
    np.testing.assert_allclose(turned, 128 + 128 * np.array([np.cos(rotation), np.sin(rotation)]), atol=0.02)


@settings(max_examples=50, deadline=None)
@given(crop_box, angle)
def test_inverse_affine_undoes_the_crop(box, rotation):
    affine = crop_affine(box, rotation, size=128)
    pixels = np.random.default_rng(3).uniform(-100, 800, (7, 2)).astype(np.float32)
    back = apply_affine(invert_affine(affine), apply_affine(affine, pixels))
    np.testing.assert_allclose(back, pixels, atol=0.05)


@settings(max_examples=50, deadline=None)
@given(crop_box, angle, point)
def test_crop_camera_sees_turned_points_where_the_crop_shows_them(box, rotation, xyz):
    affine = crop_affine(box, rotation, size=256)
    cropped, turn = crop_camera(SQUARE_CAMERA, affine)
    seen = project(cropped, np.asarray(turn) @ np.array(xyz, np.float32))
    shown = apply_affine(affine, project(SQUARE_CAMERA, np.array(xyz, np.float32)))
    scale = 256 / (box[2:] - box[:2]).max()
    np.testing.assert_allclose(seen, shown, atol=0.01 * max(1.0, scale))


def test_upright_crop_of_any_camera_is_exact_and_needs_no_turn():
    affine = crop_affine(np.array([100.0, 50, 300, 200]), 0.0, size=128)
    cropped, turn = crop_camera(CAMERA, affine)
    np.testing.assert_allclose(turn, np.eye(3), atol=1e-7)
    np.testing.assert_allclose(cropped.focal, CAMERA.focal * 128 / 200, rtol=1e-6)
    np.testing.assert_allclose(cropped.center, apply_affine(affine, CAMERA.center), rtol=1e-6)


def test_turned_crop_of_unequal_focals_errs_no_more_than_documented():
    affine = crop_affine(np.array([100.0, 50, 300, 250]), 0.7, size=200)
    cropped, turn = crop_camera(CAMERA, affine)
    xyz = np.random.default_rng(4).uniform([-0.3, -0.3, 0.5], [0.3, 0.3, 1.0], (200, 3)).astype(np.float32)
    seen = np.asarray(project(cropped, xyz @ np.asarray(turn).T))
    error = np.linalg.norm(seen - np.asarray(apply_affine(affine, project(CAMERA, xyz))), axis=-1)
    tangent = np.linalg.norm(xyz[:, :2] / xyz[:, 2:], axis=-1)
    assert (error <= 10 / 2 * tangent + 1e-3).all()
    assert error.max() > 0.5  # the bound is of the right size


def test_crop_leads_with_the_axes_of_its_boxes():
    boxes = np.array([[0.0, 0, 10, 20], [5, 5, 50, 20], [-5, 3, 9, 9]], np.float32)
    turns = np.array([0.0, 1.0, -2.0], np.float32)
    pixels = np.random.default_rng(5).uniform(0, 50, (3, 4, 2)).astype(np.float32)
    with jax.numpy_rank_promotion("raise"):
        affines = cam.crop_affine(boxes, turns, 64)
        whole = cam.apply_affine(affines, pixels)
        cameras, rotations = cam.crop_camera(cam.Camera(jnp.ones((3, 2)), jnp.ones((3, 2))), affines)
        assert cam.invert_affine(affines).shape == (3, 2, 3)
    assert cameras.focal.shape == (3, 2) and rotations.shape == (3, 3, 3)
    for i in range(3):
        np.testing.assert_allclose(affines[i], cam.crop_affine(boxes[i], turns[i], 64), atol=1e-4)
        np.testing.assert_allclose(whole[i], cam.apply_affine(affines[i], pixels[i]), atol=1e-3)


def test_opencv_warps_a_dot_to_where_the_crop_says():
    image = np.zeros((120, 160), np.float32)
    image[70, 90] = 1.0
    image = cv2.GaussianBlur(image, (0, 0), 3.0)
    affine = cam.crop_affine(np.array([60.0, 40, 120, 90]), 0.5, 180)
    crop = cv2.warpAffine(image, np.asarray(cam.to_opencv_affine(affine)), (180, 180), flags=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:180, :180] + 0.5
    seen = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
    np.testing.assert_allclose(seen, apply_affine(affine, np.array([90.5, 70.5])), atol=0.05)


def test_opencv_resize_by_half_follows_the_pixel_convention():
    image = np.zeros((64, 64), np.float32)
    image[20:24, 30:32] = 1.0
    half = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[:32, :32] + 0.5
    seen = np.array([(half * columns).sum(), (half * rows).sum()]) / half.sum()
    affine = cam.crop_affine(np.array([0.0, 0, 64, 64]), 0.0, 32)
    np.testing.assert_allclose(seen, apply_affine(affine, np.array([31.0, 22.0])), atol=1e-5)


def test_opencv_pixels_count_from_the_first_centre():
    np.testing.assert_array_equal(cam.from_opencv_pixels(np.zeros(2)), [0.5, 0.5])
    np.testing.assert_array_equal(cam.to_opencv_pixels(cam.from_opencv_pixels(np.array([3.0, 4.0]))), [3, 4])


@settings(max_examples=30, deadline=None)
@given(point)
def test_mirrored_camera_sees_mirrored_points_at_mirrored_pixels(xyz):
    xyz = np.array(xyz, np.float32)
    mirrored = cam.mirror_camera(CAMERA, 640)
    seen = project(mirrored, xyz * np.array([-1, 1, 1], np.float32))
    np.testing.assert_allclose(seen, cam.mirror_pixels(project(CAMERA, xyz), 640), atol=1e-3)


def test_square_box_keeps_the_center_and_takes_the_longer_side():
    np.testing.assert_allclose(cam.square_box(np.array([10.0, 20, 30, 100]), 2.0), [-60, -20, 100, 140])
    np.testing.assert_allclose(cam.square_box(np.array([5.0, 5, 5, 5])), [4.5, 4.5, 5.5, 5.5])


def test_assumed_camera_is_a_phone_lens_looking_through_the_middle():
    camera = cam.assumed_camera(1200, 900)
    np.testing.assert_allclose(camera.center, [450, 600])
    # The EXIF of 4:3 phone photographs with a 26 mm equivalent lens gives 901 px at this size.
    np.testing.assert_allclose(camera.focal, 901.3, rtol=0.01)
    np.testing.assert_allclose(cam.assumed_camera(10, 20, focal=33.0).focal, 33.0)


def test_matrix_and_camera_convert_both_ways():
    back = cam.camera_from_matrix(cam.intrinsics_matrix(CAMERA))
    np.testing.assert_allclose(back.focal, CAMERA.focal)
    np.testing.assert_allclose(back.center, CAMERA.center)
    traced = jax.jit(cam.camera_from_matrix)(cam.intrinsics_matrix(CAMERA))
    np.testing.assert_allclose(traced.focal, CAMERA.focal)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cam.project(CAMERA, np.zeros((4, 2))), r"points must have shape \(\.\.\., 3\), got \(4, 2\)"),
        (lambda: cam.project(cam.Camera(np.ones((2, 2)), np.ones((2, 2))), np.zeros(3)), "leading axes of the camera"),
        (lambda: cam.unproject(CAMERA, np.zeros(3), 1.0), "pixels must have shape"),
        (lambda: cam.transl_from_weak(cam.WeakCamera(jnp.ones(()), jnp.ones(3)), CAMERA), "pixels must have shape"),
        (lambda: cam.weak_from_transl(np.zeros(2), CAMERA), "transl must have shape"),
        (lambda: cam.crop_affine(np.zeros(3), 0.0, 64), "box must have shape"),
        (lambda: cam.crop_affine(np.zeros(4), 0.0, 0), "size must be positive, got 0"),
        (lambda: cam.apply_affine(np.zeros((3, 3)), np.zeros(2)), "affine must have shape"),
        (lambda: cam.apply_affine(np.zeros((5, 2, 3)), np.zeros(2)), "leading axes of affine"),
        (lambda: cam.invert_affine(np.zeros((2, 2))), "affine must have shape"),
        (lambda: cam.crop_camera(CAMERA, np.zeros(6)), "affine must have shape"),
        (lambda: cam.to_opencv_affine(np.zeros((3, 3))), "affine must have shape"),
        (lambda: cam.mirror_pixels(np.zeros(3), 10), "pixels must have shape"),
        (lambda: cam.intrinsics_matrix(cam.Camera(jnp.ones(3), jnp.ones(2))), "camera.focal must have shape"),
        (lambda: cam.camera_from_matrix(np.eye(4)), "matrix must have shape"),
        (lambda: cam.camera_from_matrix(np.zeros((3, 3))), "positive focal lengths"),
        (lambda: cam.camera_from_matrix(np.full((3, 3), np.nan)), "must be finite"),
        (lambda: cam.camera_from_matrix(np.array([[9.0, 1, 0], [0, 9, 0], [0, 0, 1]])), "no skew"),
        (lambda: cam.camera_from_matrix(np.diag([9.0, 9, 2])), "last row"),
        (lambda: cam.assumed_camera(0, 10), "height and width must be positive"),
        (lambda: cam.assumed_camera(10, 10, focal=-1), "focal must be a positive number"),
        (lambda: cam.assumed_camera(10, 10, focal=float("nan")), "focal must be a positive number"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
