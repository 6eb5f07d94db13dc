"""Keypoint files: what is written is read back, the other forms are read, and faults name the file and the field."""

import copy
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from handjax.detect import LEFT, RIGHT
from handjax.keypoint_entries import make_detection
from handjax.keypoint_files import (
    ImageHands,
    KeypointError,
    Keypoints,
    hands_of_image,
    read_keypoints,
    write_keypoints,
)

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "photos"
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason="the photo collection is not beside the repository")


def some_hand(seed: int, side: int = RIGHT, with_3d: bool = True):
    rng = np.random.default_rng(seed)
    return make_detection(
        rng.uniform(0, 480, (21, 2)).round(3).astype(np.float32),
        rng.normal(0, 0.05, (21, 3)).round(6).astype(np.float32) if with_3d else None,
        side,
        0.75,
        rng.uniform(0.1, 1, 21).round(4).astype(np.float32),
    )


def some_hands(seed: int) -> ImageHands:
    return ImageHands([some_hand(seed), some_hand(seed + 1, LEFT, with_3d=False)], (640, 480), ["good", None])


def assert_same_hands(got: ImageHands, wanted: ImageHands) -> None:
    assert got.size == wanted.size and got.checks == wanted.checks
    for a, b in zip(got.detections, wanted.detections, strict=True):
        assert (a.side, a.score) == (b.side, b.score)
        for x, y in zip((a.box, a.keypoints_2d, a.confidence), (b.box, b.keypoints_2d, b.confidence), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6)
        assert (a.keypoints_3d is None) == (b.keypoints_3d is None)
        if b.keypoints_3d is not None:
            np.testing.assert_allclose(a.keypoints_3d, b.keypoints_3d, atol=1e-7)


def write_json(tmp_path, document, name="keypoints.json"):
    path = tmp_path / name
    path.write_text(json.dumps(document))
    return path


def plain_hand() -> list:
    return [[10.0 + k, 20.0 + 2 * k] for k in range(21)]


def entry() -> dict:
    return {"width": 640, "height": 480, "hands": [{"side": "left", "keypoints_2d": plain_hand()}]}


def test_images_frames_and_a_single_entry_come_back_as_written(tmp_path):
    forms = [
        Keypoints({"a.jpg": some_hands(0), "b/c.png": ImageHands([], (8, 9), [])}, ()),
        Keypoints({"": some_hands(3)}, ()),
        Keypoints({}, [some_hands(5), ImageHands([], None, [])]),
    ]
    for number, keypoints in enumerate(forms):
        path = tmp_path / f"{number}.json"
        write_keypoints(path, keypoints)
        back = read_keypoints(path)
        assert back.images.keys() == keypoints.images.keys() and len(back.frames) == len(keypoints.frames)
        for name, hands in keypoints.images.items():
            assert_same_hands(back.images[name], hands)
        for got, wanted in zip(back.frames, keypoints.frames, strict=True):
            assert_same_hands(got, wanted)


def test_writing_refuses_nan_and_leaves_the_old_file(tmp_path):
    path = write_json(tmp_path, entry())
    before = path.read_bytes()
    bad = some_hand(0)._replace(keypoints_2d=np.full((21, 2), np.nan))
    with pytest.raises(ValueError, match="JSON compliant"):
        write_keypoints(path, Keypoints({"": ImageHands([bad], None, [None])}, ()))
    with pytest.raises(ValueError, match="images or frames"):
        write_keypoints(path, Keypoints({"": some_hands(0)}, [some_hands(0)]))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_defaults_of_a_minimal_entry(tmp_path):
    (hand,) = read_keypoints(write_json(tmp_path, entry())).images[""].detections
    assert hand.side == LEFT and hand.score == 1 and hand.keypoints_3d is None
    np.testing.assert_array_equal(hand.confidence, np.ones(21))
    np.testing.assert_allclose(hand.box, [10, 20, 30, 60])


def test_box_leaves_out_keypoints_without_confidence(tmp_path):
    document = entry()
    document["hands"][0]["keypoints_2d"][5] = [-9999, -9999]
    document["hands"][0]["confidence"] = [float(k != 5) for k in range(21)]
    (hand,) = read_keypoints(write_json(tmp_path, document)).images[""].detections
    np.testing.assert_allclose(hand.box, [10, 20, 30, 60])


def test_plain_lists_take_the_side_that_is_given(tmp_path):
    one, two = write_json(tmp_path, plain_hand(), "1.json"), write_json(tmp_path, [plain_hand()] * 2, "2.json")
    assert [hand.side for hand in read_keypoints(one, side="left").images[""].detections] == [LEFT]
    assert [hand.side for hand in read_keypoints(two, side="right").images[""].detections] == [RIGHT, RIGHT]
    twenty_one = write_json(tmp_path, [plain_hand()] * 21, "21.json")
    assert len(read_keypoints(twenty_one, side="left").images[""].detections) == 21
    assert read_keypoints(write_json(tmp_path, [], "0.json")).images[""].detections == []
    with pytest.raises(KeypointError, match="names no side"):
        read_keypoints(one)


def test_corrected_handedness_wins(tmp_path):
    hand = {"handedness": "Right", "handedness_checked": "Left", "keypoints_px": [[*p, 0.5] for p in plain_hand()]}
    (read,) = read_keypoints(write_json(tmp_path, {"hands": [hand]})).images[""].detections
    assert read.side == LEFT
    hand["handedness_checked"] = None
    (read,) = read_keypoints(write_json(tmp_path, {"hands": [hand]})).images[""].detections
    assert read.side == RIGHT


def test_folder_of_files_is_keyed_by_image_or_file_name(tmp_path):
    write_json(tmp_path, entry(), "a.json")
    write_json(tmp_path, entry() | {"image": "other.png"}, "b.json")
    (tmp_path / ".hidden.json").write_text("broken")
    (tmp_path / "notes.txt").write_text("no keypoints")
    keypoints = read_keypoints(tmp_path)
    assert sorted(keypoints.images) == ["a", "other.png"]
    assert hands_of_image(keypoints, "photos/a.jpg", 640, 480) is not None
    assert hands_of_image(keypoints, "other.png", 640, 480) is not None
    assert hands_of_image(keypoints, "b.png", 640, 480) is None


def test_image_takes_the_entry_that_names_most_of_its_path():
    keypoints = Keypoints({"1.jpg": some_hands(0), "x/1.jpg": some_hands(2), "2": some_hands(4)}, ())
    assert_same_hands(hands_of_image(keypoints, Path("top/x/1.jpg"), 640, 480), some_hands(2))
    assert_same_hands(hands_of_image(keypoints, Path("top/y/1.jpg"), 640, 480), some_hands(0))
    assert_same_hands(hands_of_image(keypoints, "y/2.png", 640, 480), some_hands(4))
    assert hands_of_image(keypoints, "y/11.jpg", 640, 480) is None
    nameless = Keypoints({"": some_hands(0)}, ())
    assert_same_hands(hands_of_image(nameless, "any.jpg", 640, 480), some_hands(0))


def test_resized_image_scales_keypoints_and_a_crop_is_refused():
    keypoints = Keypoints({"a": some_hands(0)}, ())
    hands = hands_of_image(keypoints, "a.jpg", 1280, 960)
    np.testing.assert_allclose(hands.detections[0].keypoints_2d, 2 * some_hand(0).keypoints_2d)
    np.testing.assert_allclose(hands.detections[0].box, 2 * some_hand(0).box)
    np.testing.assert_array_equal(hands.detections[0].keypoints_3d, some_hand(0).keypoints_3d)
    assert hands.size == (1280, 960)
    with pytest.raises(KeypointError, match="a.jpg: .* 640 x 480 pixels, this one has 480 x 640"):
        hands_of_image(keypoints, "a.jpg", 480, 640)


def changed(path: list, value) -> dict:
    """`entry()` with one field replaced, or taken away if `value` is ...; `path` leads to it."""
    document = copy.deepcopy(entry())
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


HAND = ["hands", 0]
POINTS = [*HAND, "keypoints_2d"]
FAULTS = [
    (["hands"], ..., "hands is missing"),
    (["hands"], {}, "hands must be a list"),
    (HAND, 3, r"hands\[0\] must be an object, got 3"),
    (POINTS, ..., r"hands\[0\].keypoints_2d is missing"),
    (POINTS, plain_hand()[:20], r"hands\[0\].keypoints_2d must have 21 points, got 20"),
    (POINTS, "no", r"hands\[0\].keypoints_2d must be a list"),
    ([*POINTS, 3], [1, 2, 3], r"keypoints_2d\[3\] must be a list of 2 numbers"),
    ([*POINTS, 3], None, r"keypoints_2d\[3\] must be a list of 2 numbers, got None"),
    ([*POINTS, 3], [1, "2"], r"keypoints_2d\[3\] must be a number, got '2'"),
    ([*POINTS, 3], [1, True], r"keypoints_2d\[3\] must be a number, got True"),
    ([*POINTS, 3], [1, float("nan")], r"keypoints_2d\[3\] must be finite, got nan"),
    ([*POINTS, 3], [float("inf"), 1], r"keypoints_2d\[3\] must be finite, got inf"),
    ([*POINTS, 3], [1, 10**40], r"keypoints_2d\[3\] must be below 1e\+09"),
    ([*HAND, "side"], "both", r"hands\[0\].side must be left or right, got 'both'"),
    ([*HAND, "side"], ..., r"hands\[0\] names no side"),
    ([*HAND, "score"], 1.5, r"hands\[0\].score must lie in \[0, 1\], got 1.5"),
    ([*HAND, "confidence"], [1.0] * 20, r"hands\[0\].confidence must have 21 numbers, got 20"),
    ([*HAND, "confidence"], [1.0] * 20 + [-1], r"hands\[0\].confidence\[20\] must lie in"),
    ([*HAND, "keypoints_3d"], plain_hand(), r"keypoints_3d\[0\] must be a list of 3 numbers"),
    ([*HAND, "check"], 7, r"hands\[0\].check must be a text"),
    (["width"], ..., "width must be a number, got None"),
    (["width"], 0, "width must be a whole positive number"),
    (["height"], 2.5, "height must be a whole positive number"),
    (["image"], 5, "image must be a text"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS)
def test_fault_names_the_file_and_the_field(tmp_path, path, value, message):
    with pytest.raises(KeypointError, match=f"keypoints.json: .*{message}"):
        read_keypoints(write_json(tmp_path, changed(path, value)))


def test_fault_inside_a_collection_says_which_entry(tmp_path):
    with pytest.raises(KeypointError, match=r"images\['b.jpg'\].hands is missing"):
        read_keypoints(write_json(tmp_path, {"images": {"a.jpg": entry(), "b.jpg": {}}}))
    with pytest.raises(KeypointError, match=r"frames\[1\].hands\[0\].keypoints_2d is missing"):
        read_keypoints(write_json(tmp_path, {"frames": [entry(), {"hands": [{}]}]}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"hands": [}',
        b"1" * 5000,
        b'"text"',
        b"3",
        b"null",
        b"[1, 2]",
        b"[[]]",
    ],
)
def test_broken_json_is_a_clear_error(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(KeypointError, match="broken.json"):
        read_keypoints(path, side="left")


def test_missing_file_empty_folder_and_unknown_side_are_errors(tmp_path):
    with pytest.raises(KeypointError, match="no such file"):
        read_keypoints(tmp_path / "missing.json")
    with pytest.raises(KeypointError, match="holds no .json"):
        read_keypoints(tmp_path)
    with pytest.raises(ValueError, match="side must be 'left' or 'right', got 'both'"):
        read_keypoints(tmp_path, side="both")


def npz_arrays(count: int = 4) -> dict:
    rng = np.random.default_rng(0)
    return {
        "keypoints_px": rng.uniform(0, 99, (count, 21, 3)).astype(np.float32),
        "keypoints_world_m": rng.normal(size=(count, 21, 3)).astype(np.float32),
        "found": np.arange(count) != 1,
        "right": np.arange(count) % 2 == 0,
    }


def test_npz_of_a_video_has_a_hand_in_each_frame_where_one_was_found(tmp_path):
    arrays = npz_arrays()
    arrays["keypoints_px"][1] = np.nan  # not found, so never looked at
    np.savez(tmp_path / "video.npz", **arrays)
    frames = read_keypoints(tmp_path / "video.npz").frames
    assert [len(frame.detections) for frame in frames] == [1, 0, 1, 1]
    hand = frames[3].detections[0]
    assert hand.side == LEFT
    np.testing.assert_array_equal(hand.keypoints_2d, arrays["keypoints_px"][3, :, :2])
    np.testing.assert_array_equal(hand.keypoints_3d, arrays["keypoints_world_m"][3])


def test_npz_with_names_gathers_the_hands_of_each_image(tmp_path):
    arrays = npz_arrays(3) | {"name": np.array(["x/a.jpg", "x/b.jpg", "x/a.jpg"]), "score": np.float32([1, 0.5, 0.2])}
    del arrays["found"]
    np.savez(tmp_path / "set.npz", **arrays)
    keypoints = read_keypoints(tmp_path / "set.npz")
    hands = hands_of_image(keypoints, "top/x/a.jpg", 100, 100)
    assert hands is not None and [hand.side for hand in hands.detections] == [RIGHT, RIGHT]
    assert len(hands.checks) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints_px": None}, "keypoints_px must have shape"),
        ({"keypoints_px": np.zeros((4, 20, 2))}, r"keypoints_px must have shape .* got \(4, 20, 2\)"),
        ({"keypoints_px": np.full((4, 21, 2), np.nan)}, r"keypoints_px\[0\] must be finite"),
        ({"keypoints_px": np.full((4, 21, 2), "x")}, "keypoints_px must hold numbers"),
        ({"keypoints_world_m": np.zeros((3, 21, 3))}, "keypoints_world_m must have shape"),
        ({"right": None}, "right is missing"),
        ({"found": np.ones(5, bool)}, "found must have shape"),
        ({"score": np.full(4, 2.0)}, r"score\[0\] must lie in"),
        ({"name": np.array(["a"])}, "name must be 4 texts"),
        ({"right": np.array([None] * 4, object)}, "Object arrays cannot be loaded"),
    ],
)
def test_fault_in_npz_names_the_file_and_the_array(tmp_path, change, message):
    arrays = {name: array for name, array in (npz_arrays() | change).items() if array is not None}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(KeypointError, match=f"bad.npz: .*{message}"):
        read_keypoints(tmp_path / "bad.npz")


def test_npz_that_lies_about_its_size_or_is_cut_off_is_refused(tmp_path):
    path = tmp_path / "bad.npz"
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 21, 3), }"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("keypoints_px.npy", header.ljust(127) + b"\n")
    with pytest.raises(KeypointError, match="bad.npz: not a readable npz"):
        read_keypoints(path)
    np.savez(path, **npz_arrays())
    whole = path.read_bytes()
    for length in (0, 10, 500, len(whole) - 30):
        path.write_bytes(whole[:length])
        with pytest.raises(KeypointError, match="bad.npz: not a readable npz"):
            read_keypoints(path)


@needs_photos
def test_landmarks_of_the_photo_collection_are_read_as_they_are():
    keypoints = read_keypoints(PHOTOS / "landmarks")
    checks = [check for hands in keypoints.images.values() for check in hands.checks]
    assert len(keypoints.images) == 58
    assert (checks.count("good"), checks.count("minor"), checks.count("bad")) == (37, 24, 5)
    hands = hands_of_image(keypoints, PHOTOS / "two_left_hands.jpg", 720, 382)
    assert hands is not None and [hand.side for hand in hands.detections] == [LEFT, LEFT]


@needs_photos
def test_landmarks_of_a_video_are_read_as_they_are():
    frames = read_keypoints(PHOTOS / "video" / "asl_hand.25fps.landmarks.npz").frames
    assert len(frames) == 325 and sum(len(frame.detections) for frame in frames) > 300
