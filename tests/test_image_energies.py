"""Fits to a mask and a depth map: what is cut out of the picture, the energy, and hands that are found again."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import fit_images
from handjax import losses, mano, optim
from handjax.camera import Camera, WeakCamera, apply_affine, crop_affine, project, square_box
from handjax.optim import image_energy, image_evidence
from handjax.optim.image_evidence import Observed
from handjax.render import depth_map, topology

SIDE = 128
CAMERA = fit_images.camera_of(SIDE)
MODEL = jax.device_put(mano.default())
MESH = topology(MODEL.faces)
# Half the time to compile, which is nearly all the time of this file.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


# This one runs longer than it compiles.
@partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1})
def fitted(start, mask, depth, keypoints_2d, confidence) -> optim.ImageFit:
    pictures = {"mask": mask, "depth": depth, "keypoints_2d": keypoints_2d, "confidence": confidence}
    return optim.tailor_image(MODEL, start, CAMERA, mesh=MESH, **pictures)


@quick_jit
def keypoints(params):
    return mano.keypoints(MODEL, params)


@quick_jit
def pictures(params):
    return depth_map(CAMERA, mano.forward(MODEL, params).vertices, MESH, size=(SIDE, SIDE))


# Fingers' and thumb's flexion in radians, and where the hand is turned.
HANDS = (((0.1, 0.1), (1.5, 0.1, 0.2)), ((0.5, 0.3), (0.4, 0.3, -0.5)), ((0.9, 0.2), (-0.5, 2.0, 0.3)))


@quick_jit
def truth_and_start(key, flexion, orient):
    angles = jnp.zeros((15, 3)).at[:12, 0].set(flexion[0]).at[12:, 0].set(flexion[1])
    betas = jnp.linspace(-1.0, 1.0, 10) * jnp.sign(orient[0])
    pose = mano.pose_from_angles(MODEL, angles)
    truth = mano.HandParams(betas, orient, pose, jnp.array([0.02, -0.01, 0.5]))
    truth = truth._replace(transl=truth.transl - mano.keypoints(MODEL, truth._replace(transl=jnp.zeros(3))).mean(0))
    return truth, fit_images.draw_start(key, MODEL, truth)


@pytest.fixture(scope="module")
def trials():
    """Three hands and starts that are off as in the benchmark."""
    return [truth_and_start(jax.random.key(k), *map(jnp.array, hand)) for k, hand in enumerate(HANDS)]


def error_mm(one: mano.HandParams, other: mano.HandParams) -> float:
    return 1e3 * float(np.linalg.norm(keypoints(one) - keypoints(other), axis=-1).mean())


@pytest.mark.slow
def test_hands_are_found_again_by_mask_and_depth_alone(trials):
    none_seen = jnp.full((21, 2), jnp.nan, jnp.float32), jnp.ones(21)
    for truth, start in trials:
        seen = pictures(truth)
        fit = fitted(start, seen.mask, seen.depth, *none_seen)
        assert fit.iou > 0.96 and fit.depth_error < 0.002 and not fit.overflow
        assert error_mm(truth, fit.params) < 8 < 20 < error_mm(truth, start)
        np.testing.assert_allclose(fit.keypoints, keypoints(fit.params), atol=1e-5)
        np.testing.assert_allclose(fit.reprojected, project(CAMERA, fit.keypoints), atol=1e-3)


def test_keypoints_and_a_mask_that_is_half_unknown_find_the_hand_too(trials):
    truth, start = trials[0]
    seen, pixels = pictures(truth), project(CAMERA, keypoints(truth))
    mask = seen.mask.at[: SIDE // 2].set(jnp.nan)
    # Half of the keypoints unseen, one of the others wrong and without confidence.
    pixels = pixels.at[::2].set(jnp.nan).at[1].add(50.0)
    fit = fitted(start, mask, jnp.zeros((SIDE, SIDE)), pixels, jnp.ones(21).at[1].set(0.0))
    off = np.linalg.norm(fit.reprojected - project(CAMERA, keypoints(truth)), axis=-1)
    assert off[3::2].mean() < 1.0 and fit.iou > 0.9 and jnp.isnan(fit.depth_error)


@pytest.mark.slow
def test_a_depth_map_alone_finds_the_surface_and_brings_joints_nearer(trials):
    for truth, start in trials:
        fit = optim.tailor_image(MODEL, start, CAMERA, depth=pictures(truth).depth)
        assert fit.depth_error < 0.002 and jnp.isnan(fit.iou)
        assert error_mm(truth, fit.params) < error_mm(truth, start)


@pytest.mark.slow
def test_a_mask_alone_finds_the_outline(trials):
    for truth, start in trials:
        fit = optim.tailor_image(MODEL, start, CAMERA, mask=pictures(truth).mask)
        assert fit.iou > 0.95 and jnp.isnan(fit.depth_error)


@pytest.mark.slow
def test_four_in_five_of_fifty_hands_are_found():
    found = [fit_images.run(MODEL, MESH, seed, 256).found for seed in range(50)]
    assert np.mean(found) >= fit_images.SHARE


@pytest.fixture(scope="module")
def start_of(trials):
    return quick_jit(image_energy.image_start)(MODEL, trials[0][1])


@quick_jit
def changed_keypoints(start, variables):
    return mano.keypoints(MODEL, image_energy.changed_params(MODEL, start, variables))


def test_no_change_is_the_start(trials, start_of):
    after = changed_keypoints(start_of, image_energy.unchanged(MODEL))
    np.testing.assert_allclose(after, keypoints(trials[0][1]), atol=2e-6)


def test_a_turn_leaves_the_middle_of_the_hand_where_it_was_and_a_shift_moves_it(trials, start_of):
    before = keypoints(trials[0][1])
    turn, shift = jnp.array([0.5, -0.3, 0.2]), jnp.array([0.01, 0.02, -0.03])
    changes = image_energy.unchanged(MODEL)._replace(turn=turn, shift=shift)
    after = changed_keypoints(start_of, changes)
    np.testing.assert_allclose(after.mean(0), before.mean(0) + shift, atol=2e-6)
    spread, turned = (
        np.asarray(before - before.mean(0, keepdims=True)),
        np.asarray(after - after.mean(0, keepdims=True)),
    )
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(spread, axis=-1), atol=2e-6)
    assert np.abs(turned - spread).max() > 0.02


def test_a_change_of_shape_leaves_the_wrist_where_it_was(trials, start_of):
    changes = image_energy.unchanged(MODEL)._replace(betas=jnp.full(10, 1.5))
    after = changed_keypoints(start_of, changes)
    np.testing.assert_allclose(after[0], keypoints(trials[0][1])[0], atol=2e-6)


def test_each_term_is_its_loss_times_its_weight(trials):
    truth, start = trials[0]
    theirs, points = pictures(truth), keypoints(truth)
    seen, output = pictures(start), quick_jit(mano.forward)(MODEL, start)
    weight = jnp.ones((SIDE, SIDE)).at[:9].set(0.0)
    evidence = image_evidence.ImageEvidence(CAMERA, None, None, None, None, None)
    settings = optim.ImageSettings(silhouette=3.0, depth=2.0, depth_step=0.02, joint=0.5, size=SIDE)

    def term(**given):
        return image_energy.observed_energy(MODEL, seen, output, evidence._replace(**given), settings)

    assert term() == 0
    silhouette = term(mask=theirs.mask, weight=weight)
    np.testing.assert_allclose(silhouette, 3 * losses.silhouette_pyramid(seen.mask, theirs.mask, weight), rtol=1e-5)
    depth = term(depth=theirs.depth)
    np.testing.assert_allclose(depth, 2 * losses.depth_smooth_l1(seen.depth, theirs.depth, step=0.02), rtol=1e-5)
    confidence = jnp.arange(21.0)
    joint = term(keypoints=project(CAMERA, points), confidence=confidence)
    squares = np.asarray(project(CAMERA, keypoints(start)) - project(CAMERA, points), np.float64) ** 2
    mean = (squares.sum(-1) * confidence).sum() / (2 * confidence.sum())
    np.testing.assert_allclose(joint, 0.5 * mean * (256 / SIDE) ** 2, rtol=1e-3)
    together = term(mask=theirs.mask, weight=weight, depth=theirs.depth)
    np.testing.assert_allclose(together, silhouette + depth, rtol=1e-5)


cropped = partial(quick_jit, static_argnames=("size", "margin"))(image_evidence.crop_evidence)


def test_the_crop_holds_area_means_nearest_depths_and_moved_keypoints():
    rng = np.random.default_rng(0)
    mask = np.zeros((30, 40), np.float32)
    mask[2:20, 25:39] = rng.uniform(0.6, 1.0, (18, 14))
    mask[5, 27:30] = np.nan
    depth = np.where(mask > 0, rng.uniform(0.4, 0.6, mask.shape), 0.0).astype(np.float32)
    depth[25, 5] = 0.9  # outside of the mask
    points = rng.uniform(0, 30, (21, 2)).astype(np.float32)
    size, margin = 9, 1.5
    observed = Observed(jnp.asarray(mask), jnp.asarray(depth), jnp.asarray(points), jnp.zeros(21))
    camera = Camera(jnp.array([50.0, 60.0]), jnp.array([20.0, 15.0]))
    cut = jax.tree.map(np.asarray, cropped(camera, observed, size, margin))
    assert cut.mask is not None and cut.weight is not None and cut.depth is not None and cut.keypoints is not None
    box = np.asarray(square_box(jnp.array([25.0, 2.0, 39.0, 20.0]), margin), np.float64)
    side = (box[2] - box[0]) / size
    for row in range(size):
        for column in range(size):
            total = known = 0.0
            x0, y0 = box[0] + column * side, box[1] + row * side
            for y in range(30):
                for x in range(40):
                    high = max(0.0, min(y0 + side, y + 1) - max(y0, y))
                    area = high * max(0.0, min(x0 + side, x + 1) - max(x0, x)) / side**2
                    if np.isfinite(mask[y, x]):
                        total, known = total + area * mask[y, x], known + area
            np.testing.assert_allclose(cut.weight[row, column], known, atol=1e-5)
            np.testing.assert_allclose(cut.mask[row, column], total / known if known > 1e-5 else 0.0, atol=1e-4)
            y, x = int(np.floor(y0 + side / 2)), int(np.floor(x0 + side / 2))
            inside = 0 <= y < 30 and 0 <= x < 40 and mask[y, x] > 0.5
            assert cut.depth[row, column] == (depth[y, x] if inside else 0.0)
    np.testing.assert_allclose(cut.keypoints, apply_affine(crop_affine(box, 0.0, size), points), rtol=1e-5)
    point = jnp.array([0.1, 0.05, 0.5])
    moved = apply_affine(crop_affine(box, 0.0, size), project(camera, point))
    np.testing.assert_allclose(project(cut.camera, point), moved, rtol=1e-5)


def test_the_crop_reaches_keypoints_that_the_mask_does_not():
    mask = jnp.zeros((40, 40)).at[10:20, 10:20].set(1.0)
    points = jnp.zeros((21, 2)).at[3].set(jnp.array([35.0, 15.0]))
    confidence = jnp.zeros(21).at[3].set(1.0)
    cut = cropped(CAMERA, Observed(mask, None, points, confidence), 25, 1.0)
    assert cut.mask is not None and cut.keypoints is not None and cut.depth is None
    np.testing.assert_allclose(cut.keypoints[3, 0], 25.0, atol=1e-4)
    assert cut.mask[:, -5:].sum() == 0


def test_bad_input_is_named(trials):
    start = trials[0][1]
    mask, depth = np.ones((8, 8)), np.full((8, 8), 0.5)

    def call(error, message, camera: Any = CAMERA, start=start, model=MODEL, **given):
        with pytest.raises(error, match=message):
            optim.tailor_image(model, start, camera, **given)

    call(ValueError, "mask or depth must be given")
    call(ValueError, r"mask must have shape \(H, W\)", mask=np.ones((8, 8, 1)))
    call(ValueError, "depth must have at least one pixel", depth=np.ones((0, 8)))
    call(ValueError, r"depth must have shape \(8, 8\)", mask=mask, depth=depth[1:])
    call(ValueError, "mask must show a hand", mask=np.zeros((8, 8), bool))
    call(ValueError, r"mask must lie in \[0, 1\], got 255", mask=np.full((8, 8), 255, np.uint8))
    call(ValueError, "depth must show a hand", depth=np.full((8, 8), np.nan))
    call(ValueError, "keypoints_2d must have shape", mask=mask, keypoints_2d=np.zeros((20, 2)))
    call(ValueError, "confidence must have shape", mask=mask, keypoints_2d=np.zeros((21, 2)), confidence=np.ones(20))
    call(ValueError, "confidence must be None without keypoints_2d", mask=mask, confidence=np.ones(21))
    call(ValueError, "hand_pose must have shape", start=start._replace(hand_pose=jnp.zeros(48)), mask=mask)
    call(ValueError, "start.transl must be finite", start=start._replace(transl=jnp.full(3, jnp.nan)), mask=mask)
    call(ValueError, "camera.focal must have shape", camera=Camera(jnp.ones(()), jnp.ones(2)), mask=mask)
    call(TypeError, "camera must be a Camera", camera=WeakCamera(jnp.ones(()), jnp.ones(2)), mask=mask)
    few = dataclasses.replace(MODEL, keypoint_ids=MODEL.keypoint_ids[:16])
    call(ValueError, "model must have 21 keypoints", model=few, mask=mask)


@pytest.mark.parametrize(
    ("field", "value"),
    [("silhouette", -1.0), ("depth", float("nan")), ("depth_step", 0.0), ("size", 0), ("margin", 0.5), ("b1", 1.0)],
)
def test_settings_out_of_range_are_named(field, value):
    with pytest.raises(ValueError, match=f"{field} must"):
        optim.ImageSettings(**{field: value})
