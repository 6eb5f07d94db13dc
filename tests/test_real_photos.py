"""Hands of real photographs: the marks, what is read of them, and how detections are judged by them."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import hand_free, photo_sheet, real_hand_photos, real_photos
from benchmarks.photo_hands import MARKS, HandFree, MarkedHand, MarkedPhoto, read_marked
from benchmarks.photo_scores import hand_box, joint_scores, judge, precision, score
from handjax.detect import LEFT, RIGHT
from handjax.keypoint_entries import make_detection
from launch import real_hands

SHARED = Path(__file__).resolve().parents[2] / "shared"
PHOTOS, REAL_HANDS = SHARED / "photos", SHARED / "real_hands"
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs ../shared/photos")
needs_real_hands = pytest.mark.skipif(not REAL_HANDS.is_dir(), reason="needs ../shared/real_hands")

SQUARE = np.array([[0, 0], [1, 1]] + [[0.5, 0.1 + 0.04 * k] for k in range(19)], np.float32)
"""21 points in a square of side 1, which the first two span."""

TAKEN_PX = 112
"""Side of the box of a detection whose keypoints span 100 px: 6 more on every side."""


def hand(left, top, side=RIGHT, score=0.9, moved=None):
    """A detection whose keypoints span 100 px from (left, top); moved: {keypoint: px to the right}."""
    points = 100 * SQUARE + np.array([left, top], np.float32)
    for joint, distance in (moved or {}).items():
        points[joint, 0] += distance
    return make_detection(points, None, side, score, None)


def marked(left, top, side=RIGHT, check="good", hard=None):
    """The mark of `hand(left, top)`, with its keypoints as landmarks."""
    box = np.array([left - 6, top - 6, left + 106, top + 106], np.float32)
    return MarkedHand(box, side, hard, 100 * SQUARE + np.array([left, top], np.float32), check)


def photo(*hands, set_name=None, path=Path("a.png")):
    return MarkedPhoto("a.png", path, (640, 480), set_name, list(hands))


def test_the_box_of_a_detection_is_that_of_its_keypoints_grown_by_six_hundredths_and_cut_at_the_border():
    np.testing.assert_allclose(hand_box(hand(100, 200), (640, 480)), [94, 194, 206, 306])
    np.testing.assert_allclose(hand_box(hand(2, 378), (640, 480)), [0, 372, 108, 480])


def test_keypoints_that_the_detector_did_not_see_do_not_widen_its_box():
    detection = hand(100, 200, moved={20: 300})
    confidence = np.ones(21, np.float32)
    confidence[20] = 0
    np.testing.assert_allclose(hand_box(detection._replace(confidence=confidence), (640, 480)), [94, 194, 206, 306])


@pytest.mark.parametrize(("shift", "found"), [(0, 1.0), (37, 1.0), (38, 0.0)])
def test_a_hand_is_found_where_the_boxes_overlap_by_half(shift, found):
    # Two squares of 112 px shifted by 37: 75 / 149 = 0.503; by 38: 74 / 150 = 0.493.
    scores = score([judge(photo(marked(100, 100)), [hand(100 + shift, 100)])])
    assert scores.recall == found
    assert scores.near == 1.0


def test_a_hand_is_near_up_to_half_of_the_side_of_the_marked_box():
    for shift, near in ((TAKEN_PX / 2, 1.0), (TAKEN_PX / 2 + 1, 0.0)):
        assert score([judge(photo(marked(100, 100)), [hand(100 + shift, 100)])]).near == near


def test_a_second_detection_of_a_hand_is_extra_and_the_one_of_better_score_counts():
    wrong = hand(103, 100, side=LEFT, score=0.6)
    judged = judge(photo(marked(100, 100), marked(300, 100)), [wrong, hand(100, 100, score=0.8)])
    assert [detection.score for detection in judged.detections] == [0.8, 0.6]
    assert judged.by_overlap.true.tolist() == [0, -1]
    scores = score([judged])
    assert (scores.hands, scores.recall, scores.side) == (2, 0.5, 1.0)
    assert precision([judged])[0] == 0.5


def test_sides_count_among_hands_that_are_found_and_whose_side_is_known():
    hands = [marked(20, 20), marked(220, 20, side=LEFT), marked(420, 20, side=None), marked(20, 300)]
    judged = judge(photo(*hands), [hand(20, 20), hand(220, 20), hand(420, 20, side=LEFT)])
    assert score([judged]).side == 0.5


def test_pck_is_over_the_longer_side_of_the_landmarks_box_and_missed_hands_are_wrong_only_over_all():
    found = hand(20, 20, moved={2: 9, 3: 15, 4: 25})
    judged = judge(photo(marked(20, 20), marked(300, 20)), [found])
    scores = score([judged])
    assert scores.landmarks == 2
    np.testing.assert_allclose(scores.pck_found, [19 / 21, 20 / 21])
    np.testing.assert_allclose(scores.pck_all, [19 / 42, 20 / 42])
    assert scores.median == 0.0


def test_only_landmarks_that_passed_the_check_are_compared_with():
    moved = dict.fromkeys(range(2, 21), 30)
    hands = [marked(20, 20), marked(220, 20, check="minor"), marked(420, 20, check="bad")]
    judged = judge(photo(*hands), [hand(20, 20), hand(220, 20, moved=moved), hand(420, 20, moved=moved)])
    assert score([judged]).landmarks == 1
    np.testing.assert_array_equal(score([judged]).pck_found, [1.0, 1.0])
    both = score([judged], checks=("good", "minor"))
    assert both.landmarks == 2
    np.testing.assert_allclose(both.pck_found, [23 / 42, 23 / 42])


def test_each_kind_of_joint_has_its_own_pck():
    judged = judge(photo(marked(20, 20)), [hand(20, 20, moved={4: 15, 8: 15, 12: 25, 9: 30})])
    rows = joint_scores([judged])
    np.testing.assert_allclose(rows["tips"], [2 / 5, 4 / 5])
    np.testing.assert_allclose(rows["knuckles"], [3 / 4, 3 / 4])
    np.testing.assert_array_equal([rows[name] for name in ("wrist", "thumb", "middles")], np.ones((3, 2)))


def test_what_cannot_be_divided_is_nan_and_a_photograph_without_detections_has_recall_zero():
    scores = score([judge(photo(marked(100, 100)), [])])
    assert (scores.recall, scores.near) == (0.0, 0.0)
    assert np.isnan([scores.side, scores.median, *scores.pck_found]).all()
    np.testing.assert_array_equal(scores.pck_all, [0.0, 0.0])
    nothing = score([judge(photo(), [hand(100, 100)])])
    assert nothing.hands == 0 and np.isnan([nothing.recall, nothing.near, *nothing.pck_all]).all()
    assert precision([judge(photo(), [hand(100, 100)])])[0] == 0.0


def test_sources_trained_on_and_hard_hands_are_reported_apart():
    judged = [
        judge(photo(marked(100, 100), set_name="ti1k"), [hand(100, 100)]),
        judge(photo(marked(100, 100), marked(300, 100, hard="glove")), [hand(100, 100)]),
    ]
    rows = real_photos.photo_rows(judged, ["ti1k"])
    named = ("all hands", "plain hands", "hard hands", "source trained on", "source never trained on", "ti1k")
    counts = {name: (rows[name].hands, rows[name].recall) for name in named}
    assert counts == {
        "all hands": (3, 2 / 3),
        "plain hands": (2, 1.0),
        "hard hands": (1, 0.0),
        "source trained on": (1, 1.0),
        "source never trained on": (2, 0.5),
        "ti1k": (1, 1.0),
    }


def test_faults_weigh_missed_hands_more_than_wrong_sides_and_name_them():
    missed = photo_sheet.fault(judge(photo(marked(100, 100, hard="glove")), []))
    assert missed == (1.0, ["hand 0 (glove) missed"])
    side = photo_sheet.fault(judge(photo(marked(100, 100)), [hand(100, 100, side=LEFT), hand(400, 100)]))
    assert side == (1.0, ["hand 0 is right, not left", "1 found that are no marked hand"])
    off = photo_sheet.fault(judge(photo(marked(100, 100)), [hand(100, 100, moved=dict.fromkeys(range(2, 9), 25))]))
    assert off.weight == pytest.approx(7 / 21) and "33% of keypoints off" in off.words[0]
    assert photo_sheet.fault(judge(photo(marked(100, 100)), [hand(100, 100)])) == (0.0, [])


def test_the_share_of_quiet_pictures_counts_pictures_and_not_detections():
    blank = np.zeros((8, 8, 3), np.uint8)
    searched = [hand_free.Empty("a", "arm", blank, found) for found in ([], [], [hand(0, 0)] * 3, [])]
    assert hand_free.quiet_share(searched) == 0.75
    assert np.isnan(hand_free.quiet_share([]))


def test_a_detector_sees_exactly_the_rectangle(tmp_path):
    picture = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
    seen = []
    hand_free.search_crops(lambda image: seen.append(image) or [], [HandFree(tmp_path / "a.png", (3, 4, 13, 9), "arm")])
    np.testing.assert_array_equal(seen[0], picture[4:9, 3:13])


@pytest.mark.slow
def test_rendered_scenes_show_no_hand_and_differ():
    scenes = hand_free.scenes(2, (96, 128))
    assert all(scene.shape == (96, 128, 3) and scene.dtype == np.uint8 for scene in scenes)
    assert (scenes[0] != scenes[1]).any()


def entry(landmarks=0, **changes):
    return {"box": [94, 94, 206, 206], "side": "right", "hard": None, "landmarks": landmarks, "check": "good"} | changes


def marks_file(folder, hands, name="a.png", free=((300, 10, 400, 60),)):
    """A folder with one grey photograph of 640 x 480, the landmarks of `hand(100, 100)`, and marks."""
    cv2.imwrite(str(folder / name), np.full((480, 640, 3), 90, np.uint8))
    (folder / "landmarks").mkdir()
    points = hand(100, 100).keypoints_2d.tolist()
    stored = {"width": 640, "height": 480, "hands": [{"side": "right", "keypoints_2d": points, "check": "minor"}]}
    (folder / "landmarks" / "a.json").write_text(json.dumps(stored))
    sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    photos = {name: {"size": [640, 480], "set": None, "sha256": sha256, "same_as": ["ti1k/b.jpg"], "hands": hands}}
    free = [{"photo": name, "box": list(box), "shows": "wall"} for box in free]
    (folder / "marks.json").write_text(json.dumps({"photos": photos, "hand_free": free}))
    return folder / "marks.json"


def test_marks_are_read_with_landmarks_and_the_marks_own_check_counts(tmp_path):
    marks = marks_file(tmp_path, [entry(), entry(None, side=None, hard="glove", check=None)])
    (read,), (free,) = read_marked(tmp_path, marks)
    assert (read.name, read.size, read.set_name) == ("a.png", (640, 480), None)
    first, second = read.hands
    assert (first.side, first.check, first.hard) == (RIGHT, "good", None)
    np.testing.assert_allclose(first.keypoints_2d, hand(100, 100).keypoints_2d)
    assert second.side is None and second.keypoints_2d is None and second.hard == "glove"
    assert free == HandFree(tmp_path / "a.png", (300, 10, 400, 60), "wall")


def test_another_or_a_missing_photograph_or_landmark_is_an_error_that_names_the_file(tmp_path):
    marks = marks_file(tmp_path, [entry(3)])
    with pytest.raises(ValueError, match="a.png must have landmarks of hand 3, got those of 1 hands"):
        read_marked(tmp_path, marks)
    (tmp_path / "a.png").write_bytes(b"other")
    with pytest.raises(ValueError, match="a.png is not the photograph that was marked"):
        read_marked(tmp_path, marks)
    (tmp_path / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="a.png"):
        read_marked(tmp_path, marks)


def make_fixed(score=0.3, **other):
    """A detector for the command: one right hand at (100, 100) in the photograph, one in each hand-free rectangle."""
    assert other in ({}, {"weights": "a/b.npz"})
    return lambda image: [hand(100, 100)] if image.shape[0] == 480 else [hand(0, 0, score=score)]


def test_the_command_writes_figures_and_the_failures_with_their_pictures(tmp_path, capsys):
    marks = marks_file(tmp_path, [entry(), entry(None, box=[400, 100, 500, 200], check=None, side="left")])
    base = [f"--photos={tmp_path}", f"--marks={marks}", "--scenes=0", f"--detector={__name__}:make_fixed"]
    real_photos.main([*base, f"--out={tmp_path / 'all'}"])
    assert "nothing found" in capsys.readouterr().out
    scores = json.loads((tmp_path / "all" / "scores.json").read_text())
    rows = scores["photos"]["all hands"]
    assert (rows["hands"], rows["recall"], rows["side"], rows["pck_found"]) == (2, 0.5, 1.0, [1.0, 1.0])
    assert rows["median"] == 0.0 and scores["photos"]["hard hands"]["recall"] is None
    assert scores["quiet"] == {"hand-free crops": 0.0, "wall": 0.0} and scores["precision"] == 1.0
    page = (tmp_path / "all" / "index.html").read_text()
    assert page.index("hand 1 missed") < page.index("1 found in a picture without hands (wall)")
    pictures = sorted(path.name for path in (tmp_path / "all").glob("*.jpg"))
    assert pictures == ["000.jpg", "001.jpg"] and all(f'src="{name}"' in page for name in pictures)
    assert max(cv2.imread(str(tmp_path / "all" / "000.jpg")).shape) == photo_sheet.LONGER_SIDE

    real_photos.main([*base, "--min_score=0.5", f"--out={tmp_path / 'sure'}"])
    assert json.loads((tmp_path / "sure" / "scores.json").read_text())["quiet"]["wall"] == 1.0
    more = ["--min_score=0.5", "--set=score=0.7", "--set=weights=a/b.npz", f"--out={tmp_path / 'set'}"]
    real_photos.main([*base, *more])
    assert json.loads((tmp_path / "set" / "scores.json").read_text())["quiet"]["wall"] == 0.0


def test_the_command_refuses_what_names_no_function_or_setting(tmp_path, capsys):
    marks = marks_file(tmp_path, [entry()])
    for extra, words in (("--detector=benchmarks", "package.module:function"), ("--set=scales", "NAME=VALUE")):
        with pytest.raises(SystemExit):
            real_photos.main([f"--photos={tmp_path}", f"--marks={marks}", f"--out={tmp_path}", extra])
        assert words in capsys.readouterr().err


STORED = json.loads(MARKS.read_text(encoding="utf-8"))


def test_marked_boxes_lie_in_their_photographs_and_names_of_sides_and_sets_are_known():
    for name, stored in STORED["photos"].items():
        width, height = stored["size"]
        assert stored["set"] is None or stored["set"] in real_hands.SETS, name
        assert stored["hands"], name
        for each in stored["hands"]:
            left, top, right, bottom = each["box"]
            assert 0 <= left < right <= width and 0 <= top < bottom <= height, (name, each)
            assert each["side"] in ("left", "right", None)
            assert (each["landmarks"] is None) == (each["check"] is None)
            assert each["check"] in ("good", "minor", "bad", None)


def test_hand_free_rectangles_touch_no_marked_hand_and_are_many_and_varied():
    for free in STORED["hand_free"]:
        stored = STORED["photos"][free["photo"]]
        left, top, right, bottom = free["box"]
        assert 0 <= left < right <= stored["size"][0] and 0 <= top < bottom <= stored["size"][1], free
        assert max(right - left, bottom - top) >= 96, free
        for each in stored["hands"]:
            x0, y0, x1, y1 = each["box"]
            assert right <= x0 or x1 <= left or bottom <= y0 or y1 <= top, (free, each)
    kinds = [free["shows"] for free in STORED["hand_free"]]
    assert len(kinds) >= 100
    assert all(kinds.count(kind) >= 10 for kind in ("face", "arm", "object", "clothes"))


@needs_photos
def test_marks_are_of_the_photographs_there_and_landmarks_that_fit_lie_in_their_boxes():
    photos, _ = read_marked(PHOTOS)
    assert {one.name for one in photos} == {path.name for path in PHOTOS.iterdir() if path.suffix in (".jpg", ".png")}
    for one in photos:
        for number, each in enumerate(one.hands):
            if each.check == "good":
                low, high = each.keypoints_2d.min(0), each.keypoints_2d.max(0)
                inside = (low >= each.box[:2] - 1).all() and (high <= each.box[2:] + 1).all()
                assert inside, (one.name, number)
                found = judge(one, [make_detection(each.keypoints_2d, None, LEFT, 1.0, None)])
                assert found.by_overlap.correct.all(), (one.name, number)


def test_no_stored_landmarks_belong_to_two_marked_hands():
    for name, stored in STORED["photos"].items():
        used = [each["landmarks"] for each in stored["hands"] if each["landmarks"] is not None]
        assert len(used) == len(set(used)), name


def landmark_file(folder, set_name, rows):
    """rows: (name, right, disagreement) of pictures that are written too, of 40 x 30 px."""
    (folder / "landmarks").mkdir(parents=True, exist_ok=True)
    for name, *_ in rows:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.full((30, 40, 3), 120, np.uint8))
    keypoints = np.concatenate([20 * SQUARE + 5, np.zeros((21, 1), np.float32)], axis=1)
    names, right, disagreement = zip(*rows, strict=True)
    np.savez(
        folder / "landmarks" / f"{set_name}.npz",
        name=np.array(names),
        keypoints_px=np.repeat(keypoints[None], len(rows), 0),
        right=np.array(right),
        disagreement_flip=np.array(disagreement, np.float32),
    )


def test_real_hands_are_those_whose_landmarks_agree_and_that_are_not_measured_on(tmp_path):
    measured = marks_file(tmp_path, [entry()])  # its `same_as` names ti1k/b.jpg
    flawed, right = sorted(real_hands.FLAWED)[-1]
    rows = [("ti1k/a.jpg", True, 0.049), ("ti1k/b.jpg", True, 0.01), ("ti1k/c.jpg", False, 0.05)]
    rows += [("ti1k/d.jpg", False, np.nan), ("ti1k/e.jpg", False, 0.0), (flawed, right, 0.0)]
    landmark_file(tmp_path, "ti1k", rows)
    hands = real_hands.read(tmp_path, ("ti1k",), measured_on=measured)
    assert [(one.path.name, one.right, one.set_name) for one in hands] == [
        ("a.jpg", True, "ti1k"),
        ("e.jpg", False, "ti1k"),
    ]
    assert hands[0].keypoints_px.shape == (21, 2) and hands[0].keypoints_px.dtype == np.float32
    assert len(real_hands.read(tmp_path, ("ti1k",), measured_on=None)) == 3


def test_a_picture_is_complete_where_all_its_hands_are_listed(tmp_path):
    rows = [("rf100_hand_gestures/a_1.jpg", True, 0.01), ("rf100_hand_gestures/a_1.jpg", False, 0.01)]
    landmark_file(tmp_path, "rf100_hand_gestures", [*rows, ("rf100_hand_gestures/a_2.jpg", True, 0.0)])
    landmark_file(tmp_path, "custom_gesture", [("custom_gesture/c.jpg", True, 0.0)])
    hands = real_hands.read(tmp_path, ("rf100_hand_gestures", "custom_gesture"))
    complete = {one.path.name: (len(one.hands), one.complete) for one in real_hands.pictures(hands)}
    assert complete == {"a_1.jpg": (2, True), "a_2.jpg": (1, False), "c.jpg": (1, False)}


def test_an_unknown_set_or_part_and_a_missing_picture_are_errors_that_name_them(tmp_path):
    with pytest.raises(ValueError, match="sets must be of .*got 'hands'"):
        real_hands.read(tmp_path, ("hands",))
    with pytest.raises(ValueError, match="part must be one of .*got 'test'"):
        real_hands.read(tmp_path, part="test")
    landmark_file(tmp_path, "ti1k", [("ti1k/a.jpg", True, 0.0)])
    (tmp_path / "ti1k" / "a.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="a.jpg: has landmarks, but there is no such picture"):
        real_hands.read(tmp_path, ("ti1k",))


def test_real_hands_become_marked_photographs_with_boxes_around_their_landmarks(tmp_path):
    rows = [(f"ti1k/TI1K_IMAGE_{number:04d}.jpg", False, 0.0) for number in (1, 700, 701, 702, 703)]
    landmark_file(tmp_path, "ti1k", rows)
    photos = real_hand_photos.read_set(tmp_path, "ti1k", most=3)
    assert [one.name[-8:] for one in photos] == ["0700.jpg", "0702.jpg", "0703.jpg"]
    assert photos[0].size == (40, 30) and photos[0].set_name == "ti1k"
    (each,) = photos[0].hands
    assert (each.side, each.check) == (LEFT, "good")
    np.testing.assert_allclose(each.box, [3.8, 3.8, 26.2, 26.2], rtol=1e-5)


@needs_real_hands
def test_the_held_out_part_and_the_photographs_measured_on_share_no_picture_with_training():
    training = real_hands.read(REAL_HANDS, part="training")
    held_out = real_hands.read(REAL_HANDS, part="held_out")
    assert len(training) + len(held_out) == len(real_hands.read(REAL_HANDS))
    names = {one.path for one in training}
    assert not names & {one.path for one in held_out}
    assert {one.set_name for one in training} == {one.set_name for one in held_out} == set(real_hands.TRAINING)
    measured = real_hands.pictures_measured_on(MARKS)
    assert measured and all((REAL_HANDS / name).is_file() for name in measured)
    assert not names & {REAL_HANDS / name for name in measured}


@needs_real_hands
@needs_photos
def test_photographs_with_the_same_pixels_as_a_real_hand_name_it_as_the_same():
    originals = json.loads((PHOTOS / "labels.json").read_text())
    originals = {stored["sha256_original"]: name for name, stored in originals.items()}
    for path in REAL_HANDS.rglob("*"):
        if path.suffix.lower() in (".jpg", ".png"):
            name = originals.get(hashlib.sha256(path.read_bytes()).hexdigest())
            if name is not None:
                assert path.relative_to(REAL_HANDS).as_posix() in STORED["photos"][name]["same_as"], name
