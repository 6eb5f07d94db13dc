"""Full images to hands in camera space: against NumPy steps, mirrored, padded, of several sizes; and bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.camera import Camera, crop_affine, project
from handjax.detect import Detection
from handjax.infer import BoxedHands, boxed, crop_image, infer_bihand, infer_handtailor
from tests import cheap, crop_steps, reference, tiny_pipelines
from tests.boxed_hands import BOXES, CAMERA, HANDS, PICTURE, WIDTH, assert_same, mirrored, pick, rows, views
from tests.tiny_pipelines import BIHAND, HANDTAILOR, RAW, SIZE

MARGIN = 2.0


@pytest.fixture(scope="module")
def bihand(small_model):
    """Boxed hands of several images -> results; all calls share one compiled network."""
    variables = tiny_pipelines.bihand_variables()
    return partial(infer_bihand, BIHAND, variables, model=small_model, crop_size=SIZE, batch_size=4), variables


@pytest.fixture(scope="module")
def handtailor(small_model):
    variables = tiny_pipelines.handtailor_variables()
    return partial(infer_handtailor, HANDTAILOR, variables, model=small_model, crop_size=SIZE, batch_size=4), variables


TOLERANCE = (2e-4, 2e-4, 2e-3, 2e-3)
"""Of BiHand: a depth solved from a bone of few pixels multiplies what is rounded."""


def assert_consistent(hands, model):
    """What `InferredHands` says of its own fields."""
    for index, side in enumerate(hands.sides):
        posed = crop_steps.posed_of_side(RAW, [values[index] for values in hands.params], side)
        np.testing.assert_allclose(hands.scale[index] * posed["vertices"], hands.vertices[index], rtol=1e-3, atol=2e-5)
        np.testing.assert_array_equal(hands.faces[index], (model if side == 1 else mano.mirror(model)).faces)


def test_bihand_agrees_with_cutting_recovering_and_placing_step_by_step(bihand, small_model):
    infer, variables = bihand
    (found,) = infer([HANDS._replace(bones=[0.09, np.nan, 0.08, 0.07], root_depths=[0.5, 0.6, np.nan, np.nan])])
    assert_consistent(found, small_model)
    rest = reference.posed(RAW, np.zeros(10), np.zeros(3), np.zeros(45), np.zeros(3))
    rest = reference.keypoints(rest, RAW["fingertip_ids"], small_model.keypoint_ids)
    bones, depths = [0.09, np.linalg.norm(rest[0] - rest[9]), 0.08, 0.07], [0.5, 0.6, None, None]
    cut = list(views(HANDS, *CAMERA, SIZE, MARGIN))
    crops = jnp.float32(np.stack([view.crop for view in cut])) - 0.5

    def upstream(variables, crops):
        seed = BIHAND.seednet.apply(variables["seednet"], crops)
        maps = (seed["heatmaps"][:, -1], seed["mask"][:, -1], seed["encoding"])
        return BIHAND.liftnet.apply(variables["liftnet"], *maps)["uvd"][:, -1]

    siknet = cheap.compiled(BIHAND.siknet.apply, variables["siknet"], jnp.zeros((1, 21, 3)))
    uvds = np.asarray(cheap.compiled(upstream, variables, crops)(variables, crops), float)
    for index, (view, uvd, bone, depth) in enumerate(zip(cut, uvds, bones, depths, strict=True)):
        camera = (SIZE, view.focal, view.center, 0.5)
        depth = crop_steps.solved_depth(uvd, bone, *camera) if depth is None else depth
        joints = crop_steps.joints(uvd, bone, depth, *camera)
        seen = jnp.float32(crop_steps.relative(joints, joints[9]))[None]
        said = siknet(variables["siknet"], seen)
        betas, axis_angle = (np.asarray(said[name][0], float) for name in ("betas", "axis_angle"))
        vertices, keypoints = crop_steps.mesh(RAW, small_model, betas, axis_angle, joints[9], bone)
        side, pixels = HANDS.sides[index], uvd[:, :2] * SIZE + 0.5
        for got, points in ((found.predicted_joints, joints), (found.joints, keypoints), (found.vertices, vertices)):
            expected, expected_pixels = crop_steps.to_full(view, points, pixels, WIDTH, side)
            np.testing.assert_allclose(got[index], expected, rtol=TOLERANCE[index], atol=2e-5)
        np.testing.assert_allclose(found.keypoints_2d[index], expected_pixels, atol=1e-3)


@pytest.mark.parametrize("camera", [CAMERA, None], ids=["perspective", "weak"])
def test_handtailor_agrees_with_cutting_recovering_and_placing_step_by_step(handtailor, small_model, camera):
    infer, variables = handtailor
    (found,) = infer([HANDS._replace(camera=camera)])
    assert_consistent(found, small_model)
    focal, center = (np.asarray(values, float) for values in found.camera)
    cut = list(views(HANDS, focal, center, SIZE, MARGIN))
    crops = jnp.float32(np.stack([view.crop for view in cut])) - 0.5
    seen = Camera(*(jnp.float32([getattr(view, name) - shift for view in cut]) for name, shift in SHIFTS))

    def network(variables, crops):
        return HANDTAILOR.apply(variables, crops, None if camera is None else seen)

    said = jax.tree.map(np.asarray, cheap.compiled(network, variables, crops)(variables, crops))
    for index, view in enumerate(cut):
        uvd, betas, axis_angle = (said[name][index].astype(float) for name in ("uvd", "betas", "axis_angle"))
        pixels = uvd[:, :2] * SIZE + 0.5
        root, bone = np.zeros(3), None
        joints = said["joints"][index].astype(float)
        if camera is not None:
            expected = (said["bone"][index], said["root_depth"][index], SIZE, view.focal, view.center, 0.5)
            joints = crop_steps.joints(uvd, *expected)
            root, bone = joints[9], np.linalg.norm(joints[0] - joints[9])
        vertices, keypoints = crop_steps.mesh(RAW, small_model, betas, axis_angle, root, bone)
        if camera is None:
            own = np.linalg.norm(keypoints[0] - keypoints[9])
            joints = (joints - joints[9]) * own
        offset, side = np.zeros(3), HANDS.sides[index]
        vertices, in_full = crop_steps.to_full(view, vertices, pixels, WIDTH, side)
        if camera is None:
            # Pixels of the full image for each metre, then the distance at which the camera sees them so.
            scale = said["scale"][index] * SIZE / own / np.sqrt(np.linalg.det(view.linear))
            np.testing.assert_allclose(found.weak.scale[index], scale, rtol=1e-4)
            np.testing.assert_allclose(found.weak.translation[index], in_full[9], atol=1e-3)
            depth = focal.mean() / scale
            offset = np.append((in_full[9] - center) / focal * depth, depth)
        np.testing.assert_allclose(found.vertices[index], vertices + offset, rtol=1e-3, atol=2e-5)
        for got, points in ((found.joints, keypoints), (found.predicted_joints, joints)):
            points, _ = crop_steps.to_full(view, points, pixels, WIDTH, side)
            np.testing.assert_allclose(got[index], points + offset, rtol=1e-3, atol=2e-5)
        np.testing.assert_allclose(found.keypoints_2d[index], in_full, atol=1e-3)


SHIFTS = (("focal", 0.0), ("center", 0.5))
"""Of the crop's camera for weights that count pixels from 0."""


def test_predicted_joints_fall_on_the_keypoints_in_the_full_image(bihand):
    infer, _ = bihand
    (found,) = infer([HANDS._replace(root_depths=[0.5, 0.6, 0.7, 0.8])])
    np.testing.assert_allclose(project(CAMERA, found.predicted_joints), found.keypoints_2d, atol=1e-2)


@pytest.mark.parametrize("pipeline", ["bihand", "handtailor"])
def test_the_mirrored_picture_with_the_other_sides_gives_the_mirrored_meshes(pipeline, request, small_model):
    infer, _ = request.getfixturevalue(pipeline)
    one, other = infer([HANDS, mirrored(HANDS)])
    for name in ("vertices", "joints", "predicted_joints"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name) * crop_steps.MIRROR, rtol=2e-3, atol=2e-4)
    expected = np.array([WIDTH, 0]) + one.keypoints_2d * [-1, 1]
    np.testing.assert_allclose(other.keypoints_2d, expected, atol=1e-3)
    again = mano.mirror_params(mano.HandParams(*(jnp.asarray(values) for values in other.params)))
    np.testing.assert_allclose(again.betas, one.params.betas, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(other.sides, 1 - one.sides)


@pytest.mark.parametrize("pipeline", ["bihand", "handtailor"])
def test_hands_in_padded_and_several_batches_are_the_same_as_alone(pipeline, request):
    infer, _ = request.getfixturevalue(pipeline)
    (together,) = infer([HANDS])
    for index in range(4):
        (alone,) = infer([rows(HANDS, [index])])
        assert_same(alone, jax.tree.map(np.asarray, pick(together, [index])))
    three, two, none = infer([rows(HANDS, [0, 1, 2]), rows(HANDS, [3, 1]), rows(HANDS, [])])
    assert_same(three, pick(together, [0, 1, 2]))
    assert_same(two, pick(together, [3, 1]))
    assert none.vertices.shape == (0, *together.vertices.shape[1:])
    assert none.faces.shape == (0, *together.faces.shape[1:])


def test_images_of_other_sizes_and_without_cameras_come_back_in_their_order(handtailor):
    infer, _ = handtailor
    small = BoxedHands(np.ascontiguousarray(PICTURE[:40, :50]), BOXES[:1], [0])
    found = infer([small, HANDS, small._replace(camera=CAMERA)])
    assert [len(one.vertices) for one in found] == [1, 4, 1]
    assert [one.weak is None for one in found] == [False, True, True]
    assert_same(found[1], infer([HANDS])[0])
    # Nothing is known of its camera, but that it is in the middle.
    np.testing.assert_allclose(found[0].camera.center, [25, 20])


def test_images_without_hands_give_results_without_rows(bihand):
    infer, _ = bihand
    (found,) = infer([BoxedHands(PICTURE, [], [], CAMERA)])
    assert found.vertices.shape == (0, 60, 3) and found.params.hand_pose.shape == (0, 45)
    assert infer([]) == []


def test_detections_are_boxed_by_the_keypoints_that_were_seen(handtailor):
    infer, _ = handtailor
    keypoints = np.random.default_rng(0).uniform([12, 14], [50, 40], (21, 2)).astype(np.float32)
    confidence = np.ones(21, np.float32)
    keypoints[4], confidence[4] = [1000, 1000], 0
    hand = Detection(np.zeros(4), 0, 0.9, keypoints, None, confidence)
    seen = np.delete(keypoints, 4, axis=0)
    by_hand = BoxedHands(PICTURE, [[*seen.min(0), *seen.max(0)]], [0], CAMERA)
    assert_same(infer([boxed(PICTURE, [hand], CAMERA)])[0], infer([by_hand])[0])
    assert len(infer([boxed(PICTURE, [], CAMERA)])[0].vertices) == 0


# Crops.


@pytest.mark.parametrize(("box", "rotation"), [((10, 12, 26, 28), 0.0), ((-8, 5, 30, 40), 1.1), ((0, 0, 64, 48), 0.0)])
def test_a_crop_is_read_between_pixels_and_black_outside(box, rotation):
    view = crop_steps.cut(PICTURE, np.array(box, float), rotation, np.ones(2), np.zeros(2), 20, 1.0)
    crop = crop_image(PICTURE, crop_affine(jnp.float32(box), rotation, 20), 20)
    np.testing.assert_allclose(crop, view.crop, atol=2e-4)


def test_a_crop_of_whole_pixels_is_these_pixels():
    crop = crop_image(PICTURE, crop_affine(jnp.float32([10, 12, 26, 28]), 0.0, 16), 16)
    np.testing.assert_allclose(255 * crop, PICTURE[12:28, 10:26], atol=1e-2)


# Bad input.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": PICTURE / 255}, r"hands\[1\].image must be uint8 RGB, got float64"),
        ({"image": PICTURE[..., 0]}, r"hands\[1\].image must have shape \(H, W, 3\), got \(48, 64\): grey"),
        ({"image": PICTURE.transpose(2, 0, 1)}, r"image must have shape .* got \(3, 48, 64\): channels come last"),
        ({"image": np.insert(PICTURE, 3, 255, -1)}, r"image must have shape .* got \(48, 64, 4\): has an alpha"),
        ({"image": PICTURE[:0]}, r"hands\[1\].image must have pixels"),
        ({"boxes": BOXES[:, :2]}, r"hands\[1\].boxes must have shape \(n, 4\)"),
        ({"boxes": BOXES * np.nan}, r"hands\[1\].boxes must be finite"),
        ({"boxes": BOXES[:, [2, 1, 0, 3]]}, r"hands\[1\].boxes must have x1 > x0"),
        ({"sides": [1, 0, 0]}, r"hands\[1\].sides must have shape \(4,\)"),
        ({"sides": [1, 0, 0, 2]}, r"hands\[1\].sides must be 0 \(left\) or 1"),
        ({"rotations": [0, 0, 0, np.inf]}, r"hands\[1\].rotations must be finite"),
        ({"rotations": [0.0]}, r"hands\[1\].rotations must have shape"),
        ({"camera": CAMERA._replace(focal=jnp.zeros(2))}, r"hands\[1\].camera.focal must be positive"),
        ({"camera": CAMERA._replace(center=jnp.zeros(3))}, r"hands\[1\].camera.center must have shape"),
        ({"camera": np.eye(3)}, r"hands\[1\].camera must be a handjax.camera.Camera or None, got ndarray"),
        ({"camera": None}, r"hands\[1\].camera must be given"),
        ({"bones": [90, 90, 90, 90]}, r"hands\[1\].bones must be in metres"),
        ({"root_depths": [-1.0, 1, 1, 1]}, r"hands\[1\].root_depths must be metres in front"),
    ],
)
def test_bad_hands_are_named(change, message, small_model):
    with pytest.raises(ValueError, match=message):
        infer_bihand(BIHAND, {}, [HANDS, HANDS._replace(**change)], model=small_model, crop_size=SIZE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_size": 0}, "crop_size must be a positive whole number, got 0"),
        ({"crop_size": 16.5}, "crop_size must be a positive whole number"),
        ({"crop_size": 18}, "image must have sides that are multiples of 8"),
        ({"batch_size": -1}, "batch_size must be a positive"),
        ({"margin": np.nan}, "margin must be a positive number"),
    ],
)
def test_bad_sizes_are_named(change, message, bihand):
    infer, _ = bihand
    with pytest.raises(ValueError, match=message):
        infer([HANDS], **change)


def test_handtailor_refuses_what_it_predicts(handtailor):
    infer, _ = handtailor
    with pytest.raises(ValueError, match=r"hands\[0\].bones must be None"):
        infer([HANDS._replace(bones=np.full(4, 0.1))])
    with pytest.raises(ValueError, match=r"hands\[0\].root_depths must be None"):
        infer([HANDS._replace(root_depths=np.full(4, 0.5))])
    # The name counts all hands, those with a camera too.
    with pytest.raises(ValueError, match=r"hands\[1\].boxes must be finite"):
        infer([HANDS, HANDS._replace(camera=None, boxes=BOXES * np.inf)])
