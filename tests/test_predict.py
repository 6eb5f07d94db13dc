"""Keypoints become hands in camera space, of both sides by one fit, and the same whatever else is in the batch."""

from functools import cache

import jax
import numpy as np
import pytest

from handjax import mano
from handjax.camera import Camera, project
from handjax.detect import LEFT, RIGHT
from handjax.predict import predict_image, read_hands
from handjax.predict.batches import BATCH_SIZE, Observation
from handjax.predict.fit import ASTRAY, fit_images, right_hand, with_shape
from handjax.predict.hands import Hands, mean_error_px, posed, take, write_arrays
from handjax.predict.image_camera import intrinsics_of, known_camera
from tests.hand_scenes import CAMERA, HEIGHT, WIDTH, detection, mirrored, params

IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
PLACES = [(x, 0.06, z) for x in (-0.05, 0.0, 0.05) for z in (0.45, 0.5, 0.55, 0.6)]


def seen(index: int):
    return detection(index % 2, seed=index, place=PLACES[index % len(PLACES)], noise_px=0.3)


@cache
def both() -> Hands:
    """A right and a left hand, with points in space."""
    return predict_image(IMAGE, [detection(RIGHT, 1), detection(LEFT, 2)])


def test_hands_of_both_sides_come_out_where_they_were():
    for hand, (side, seed) in enumerate(((RIGHT, 1), (LEFT, 2))):
        model = mano.default("left" if side == LEFT else "right")
        true = np.asarray(mano.keypoints(model, params(side, seed)))
        assert both().side[hand] == side
        root_relative = (both().joints[hand] - both().joints[hand, 0]) - (true - true[0])
        assert np.linalg.norm(root_relative, axis=-1).mean() < 0.006
        assert mean_error_px(both())[hand] < 0.5


def test_hands_come_out_from_2d_keypoints_alone():
    hands = predict_image(IMAGE, [detection(RIGHT, 1, deep=False), detection(LEFT, 2, deep=False)])
    assert (mean_error_px(hands) < 1.0).all()
    assert (hands.vertices[..., 2] > 0).all()


def test_params_pose_the_model_of_their_side_to_the_vertices():
    for hand, name in enumerate(("right", "left")):
        model = mano.default(name)
        fields = (both().betas, both().global_orient, both().hand_pose, both().transl)
        output = mano.forward(model, mano.HandParams(*(field[hand] for field in fields)))
        np.testing.assert_allclose(both().vertices[hand], output.vertices, atol=2e-5)
        np.testing.assert_allclose(both().joints[hand], mano.keypoints_of(model, output), atol=2e-5)
        np.testing.assert_allclose(both().transforms[hand], output.transforms, atol=2e-5)
        np.testing.assert_array_equal(both().faces[hand], model.faces)
        mine = posed(model, take(both(), [hand]))
        np.testing.assert_allclose(mine.joints[0], output.joints, atol=2e-5)


def test_reprojected_is_what_the_camera_sees_of_the_joints():
    camera = Camera(both().camera[:2], both().camera[2:])
    np.testing.assert_allclose(project(camera, both().joints), both().reprojected, atol=0.02)
    distance = np.linalg.norm(both().reprojected - both().keypoints_2d, axis=-1)
    np.testing.assert_allclose(distance, both().error_px, atol=0.02)


def test_the_mirrored_picture_gives_the_mirrored_hand():
    camera = Camera(np.array([100.0, 104.0], np.float32), np.array([70.0, 66.0], np.float32))
    mirrored_camera = camera._replace(center=np.array([WIDTH - 70.0, 66.0], np.float32))
    hand = predict_image(IMAGE, [seen(1)], camera)
    other = predict_image(IMAGE, [mirrored(seen(1))], mirrored_camera)
    np.testing.assert_allclose(other.vertices, hand.vertices * [-1, 1, 1], atol=1e-4)
    np.testing.assert_allclose(other.betas, hand.betas, atol=1e-3)
    assert other.side[0] == 1 - hand.side[0]


def test_a_hand_does_not_depend_on_what_it_is_batched_with():
    count = BATCH_SIZE + 3
    alone = [predict_image(IMAGE, [seen(index)], CAMERA) for index in (0, count - 1)]
    together = predict_image(IMAGE, [seen(index) for index in range(count)], CAMERA)
    assert together.vertices.shape[0] == count
    for one, index in zip(alone, (0, count - 1), strict=True):
        np.testing.assert_allclose(together.vertices[index], one.vertices[0], atol=1e-3)


def test_hands_with_and_without_points_in_space_keep_their_order():
    flat = [detection(side, seed, deep=False) for side, seed in ((LEFT, 3), (RIGHT, 4))]
    hands = predict_image(IMAGE, [flat[0], seen(0), flat[1], seen(1)])
    assert hands.side.tolist() == [LEFT, 0, RIGHT, 1]
    for hand, given in enumerate([flat[0], seen(0), flat[1], seen(1)]):
        np.testing.assert_array_equal(hands.keypoints_2d[hand], given.keypoints_2d)
        assert mean_error_px(hands)[hand] < 2.0


def test_points_in_space_of_another_pose_are_not_believed():
    true = detection(RIGHT, 1)
    turned = true.keypoints_3d @ np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32)
    hands = predict_image(IMAGE, [true._replace(keypoints_3d=turned)])
    box = np.ptp(true.keypoints_2d, axis=0).max()
    assert mean_error_px(hands)[0] < ASTRAY * box


def test_images_of_one_batch_keep_their_own_cameras_and_hands():
    cameras = [np.array([100, 100, 80, 60], np.float32), np.array([150, 150, 70, 50], np.float32)]
    observations = [
        Observation([seen(0), seen(1)], cameras[0], WIDTH),
        Observation([], cameras[1], WIDTH),
        Observation([seen(2)], cameras[1], 2 * WIDTH),
    ]
    first, second, third = fit_images(right_hand(), observations)
    assert [len(hands.side) for hands in (first, second, third)] == [2, 0, 1]
    np.testing.assert_array_equal(third.camera, cameras[1])
    np.testing.assert_array_equal(third.keypoints_2d[0], seen(2).keypoints_2d)
    assert mean_error_px(third)[0] < 2.0


def test_no_hand_gives_arrays_of_the_usual_shapes_and_types():
    none = predict_image(IMAGE, [])
    for name, empty, filled in zip(Hands._fields, none, both(), strict=True):
        assert empty.dtype == filled.dtype, name
        assert empty.shape[1:] == filled.shape[1:] and (name == "camera" or len(empty) == 0), name


def test_keypoints_that_are_not_seen_do_not_matter():
    hand = detection(RIGHT, 1)
    hidden = hand._replace(confidence=np.where(np.arange(21) == 8, 0, 1).astype(np.float32))
    wild = hidden._replace(keypoints_2d=hand.keypoints_2d + 500 * (np.arange(21) == 8)[:, None].astype(np.float32))
    missing = hand._replace(keypoints_2d=np.where((np.arange(21) == 8)[:, None], np.nan, hand.keypoints_2d))
    results = [predict_image(IMAGE, [one]) for one in (hidden, wild, missing)]
    for result in results:
        np.testing.assert_allclose(result.vertices, results[0].vertices, atol=1e-4)
        assert np.isnan(result.error_px[0, 8]) and np.isfinite(np.delete(result.error_px[0], 8)).all()


def test_a_left_model_serves_both_sides_as_its_mirror_image_does():
    one = predict_image(IMAGE, [seen(0), seen(1)], model=mano.default("left"))
    other = predict_image(IMAGE, [seen(0), seen(1)], model=mano.default())
    np.testing.assert_allclose(one.vertices, other.vertices, atol=1e-4)


def test_with_shape_keeps_the_shape_and_still_meets_the_keypoints():
    observation = Observation([seen(0), seen(2)], intrinsics_of(CAMERA), WIDTH)
    (hands,) = fit_images(right_hand(), [observation])
    betas = hands.betas.mean(0)
    held = with_shape(right_hand(), observation, hands, betas)
    np.testing.assert_allclose(held.betas, np.broadcast_to(betas, held.betas.shape), atol=0.02)
    assert (mean_error_px(held) < 2.0).all()


def test_hands_read_back_from_their_file(tmp_path):
    write_arrays(tmp_path / "hands.npz", both()._asdict())
    jax.tree.map(np.testing.assert_array_equal, read_hands(tmp_path / "hands.npz"), both())
    with np.load(tmp_path / "hands.npz", allow_pickle=False) as arrays:
        wanted = "side score betas global_orient hand_pose transl vertices joints keypoints_2d reprojected confidence"
        assert set(wanted.split()) | {"faces", "camera", "converged"} <= set(arrays)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut off", b"nonsense"])
def test_a_file_that_holds_no_hands_is_named(tmp_path, data):
    (tmp_path / "hands.npz").write_bytes(data)
    with pytest.raises(ValueError, match="hands.npz"):
        read_hands(tmp_path / "hands.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints_2d": np.zeros((20, 2))}, r"keypoints_2d must have shape \(21, 2\), got \(20, 2\)"),
        ({"confidence": np.zeros(20)}, "confidence must have shape"),
        ({"keypoints_3d": np.zeros((21, 2))}, "keypoints_3d must have shape"),
        ({"side": 2}, "side must be 0"),
    ],
)
def test_wrong_detections_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        predict_image(IMAGE, [detection(RIGHT)._replace(**change)])


def test_a_picture_without_channels_and_a_weak_camera_are_refused():
    with pytest.raises(ValueError, match="image must have shape"):
        predict_image(IMAGE[..., 0], [])
    with pytest.raises(ValueError, match="camera.focal must have shape"):
        predict_image(IMAGE, [], Camera(np.zeros((1, 2)), np.zeros(2)))


def test_the_camera_is_the_given_one_then_exif_then_assumed(tmp_path):
    (tmp_path / "k.json").write_text("[[500, 0, 300], [0, 510, 200], [0, 0, 1]]")
    (tmp_path / "named.json").write_text('{"fx": 500, "fy": 510, "cx": 300, "cy": 200}')
    for flag in ("500,510,300,200", str(tmp_path / "k.json"), str(tmp_path / "named.json")):
        camera = known_camera(flag, None).of_image(640, 480, 700.0)
        np.testing.assert_array_equal(camera.intrinsics, [500, 510, 300, 200])
        assert "as given" in camera.sentence
    assert known_camera(None, 600.0).of_image(640, 480, 700.0).intrinsics.tolist() == [600, 600, 320, 240]
    exif = known_camera(None, None).of_image(640, 480, 700.0)
    assert exif.intrinsics.tolist() == [700, 700, 320, 240] and "EXIF" in exif.sentence
    assumed = known_camera(None, None).of_image(640, 480, None)
    assert assumed.intrinsics.tolist() == [480, 480, 320, 240] and "assumed" in assumed.sentence


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "0,500,1,1", "nan,500,1,1", "[]", "1,2,3,4,5"])
def test_intrinsics_that_cannot_be_used_are_named(text):
    with pytest.raises(ValueError, match="--intrinsics"):
        known_camera(text, None)


@pytest.mark.parametrize(
    "text", ["{}", "[[1, 2], [3]]", "[[500, 9, 300], [0, 500, 200], [0, 0, 1]]", "not json", "null", '["a", 1, 2, 3]']
)
def test_intrinsics_files_that_cannot_be_used_are_named(tmp_path, text):
    (tmp_path / "k.json").write_text(text)
    with pytest.raises(ValueError, match=r"--intrinsics: .*k\.json"):
        known_camera(str(tmp_path / "k.json"), None)
