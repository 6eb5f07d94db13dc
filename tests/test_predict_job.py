"""A folder of photos and videos becomes a folder of results; what one file does wrong, the others survive."""

import json
import os
import shutil
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from handjax import detector
from handjax.detect import LEFT, RIGHT
from handjax.detector.default import detector_of
from handjax.inputs import Input
from handjax.keypoint_entries import ImageHands
from handjax.keypoint_files import Keypoints, write_keypoints
from handjax.predict import PredictSettings, predict_files, read_hands
from handjax.predict import files as result_files
from handjax.predict.plan import Item, plan, sweep
from handjax.predict.progress import Progress
from handjax.predict.tracks import follow
from tests.hand_scenes import HEIGHT, WIDTH, detection
from tests.seen_by_colour import Hand, Networks, ramp

PICTURE = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
ALL = {"json", "npz", "obj", "ply", "glb", "overlay"}


class Quiet:
    """A stream that keeps what is written."""

    def __init__(self, terminal: bool = False) -> None:
        self.text = ""
        self.terminal = terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return self.terminal


def run(source, out, detector=None, **settings):
    stream = Quiet()
    report = predict_files(source, PredictSettings(out=str(out), **settings), detector, Progress(9, stream))
    return report, stream.text


def hands_in(*detections) -> ImageHands:
    return ImageHands(list(detections), (WIDTH, HEIGHT), [None] * len(detections))


@pytest.fixture
def photos(tmp_path):
    """Three photos and their keypoints: a right hand, both hands with one marked good, none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.jpg", "none.png"):
        cv2.imwrite(str(folder / name), PICTURE)
    entries = {
        "a.png": hands_in(detection(RIGHT, 1)),
        "b.jpg": hands_in(detection(RIGHT, 1, (-0.06, 0.08, 0.5)), detection(LEFT, 2, (0.06, 0.08, 0.5))),
        "none.png": hands_in(),
    }
    entries["b.jpg"] = entries["b.jpg"]._replace(checks=["good", None])
    write_keypoints(tmp_path / "keypoints.json", Keypoints(entries, ()))
    return folder


@pytest.fixture
def keypoints(tmp_path):
    return {"keypoints": str(tmp_path / "keypoints.json")}


def test_every_photo_gets_its_files_and_the_folder_a_page(photos, keypoints, tmp_path):
    out = tmp_path / "out"
    report, text = run(photos, out, **keypoints)
    assert (report.inputs, report.hands, report.with_hands, report.without_hands) == (3, 3, 2, 1)
    assert report.problems == () and report.page == out / "index.html"
    names = {"a.npz", "a.json", "a_overlay.png", "a.obj", "a.ply", "a.glb"}
    names |= {name.replace("a", "b", 1) for name in names}
    names |= {"none.npz", "none.json", "none_overlay.png", "index.html"}
    assert {path.name for path in out.iterdir()} == names
    assert "no hand found" in text and "2 hands" in text
    hands = read_hands(out / "b.npz")
    assert hands.side.tolist() == [RIGHT, LEFT]
    assert len(read_hands(out / "none.npz").side) == 0
    page = (out / "index.html").read_text("utf-8")
    assert page.count("<article") == 3 and page.count('data-state="none"') == 1 and "<h2>b.jpg</h2>" in page


def test_the_summary_says_units_camera_errors_and_checks(photos, keypoints, tmp_path):
    run(photos, tmp_path / "out", **keypoints)
    stored = json.loads((tmp_path / "out" / "b.json").read_text())
    assert stored["source"] == "b.jpg" and (stored["width"], stored["height"]) == (WIDTH, HEIGHT)
    assert "metres" in stored["units"] and "x right, y down, z forward" in stored["frame"]
    assert stored["camera"]["source"] == "assumed" and stored["camera"]["fx"] == pytest.approx(0.6 * 200)
    right, left = stored["hands"]
    assert (right["side"], left["side"]) == ("right", "left")
    assert right["check"] == "good" and "check" not in left
    hands = read_hands(tmp_path / "out" / "b.npz")
    assert right["max_error_px"] == pytest.approx(hands.error_px[0].max(), abs=1e-3)
    assert right["transl_m"] == pytest.approx(hands.transl[0].tolist(), abs=1e-5)
    assert {"mean_error_px", "mean_error_percent_of_box", "converged", "ambiguous"} <= set(right)
    assert set(stored["files"]) == ALL - {"json"} and stored["versions"]["jax"]


def test_meshes_of_all_formats_are_the_same_hands(photos, keypoints, tmp_path):
    trimesh = pytest.importorskip("trimesh", reason="needs trimesh to read meshes back")
    out = tmp_path / "out"
    run(photos, out, **keypoints)
    hands = read_hands(out / "b.npz")
    vertices = hands.vertices.reshape(-1, 3)
    ply = trimesh.load(out / "b.ply", process=False)
    np.testing.assert_array_equal(ply.vertices.astype(np.float32), vertices)
    obj = trimesh.load(out / "b.obj", process=False, split_object=False, group_material=False)
    assert obj.is_empty is False
    glb = trimesh.load(out / "b.glb", process=False)
    assert {name for name in glb.graph.nodes_geometry} == {"hand_0_right", "hand_1_left"}


def test_finished_photos_are_skipped_until_something_changes(photos, keypoints, tmp_path):
    out = tmp_path / "out"
    run(photos, out, **keypoints)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}

    report, _ = run(photos, out, **keypoints)
    assert report.skipped == 3 and report.hands == 0
    after = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"index.html"}

    (out / "a.glb").unlink()
    (out / "b.json").write_text('{"source": "b.jpg", "hal')
    assert run(photos, out, **keypoints)[0].skipped == 1
    assert (out / "a.glb").is_file() and json.loads((out / "b.json").read_text())["source"] == "b.jpg"

    later = time.time() + 10
    os.utime(photos / "a.png", (later, later))
    assert run(photos, out, **keypoints)[0].skipped == 2
    os.utime(photos / "a.png", (1e9, 1e9))
    assert run(photos, out, focal=200.0, **keypoints)[0].skipped == 0
    assert run(photos, out, focal=200.0, overwrite=True, **keypoints)[0].skipped == 0
    os.utime(keypoints["keypoints"], (later, later))
    assert run(photos, out, focal=200.0, **keypoints)[0].skipped == 0


def test_fewer_formats_are_a_part_of_a_finished_result_and_more_are_not(photos, keypoints, tmp_path):
    out = tmp_path / "out"
    run(photos, out, formats=("glb",), **keypoints)
    assert {path.suffix for path in out.iterdir()} == {".npz", ".json", ".glb"}
    assert run(photos, out, formats=(), **keypoints)[0].skipped == 3
    assert run(photos, out, formats=("glb", "obj"), **keypoints)[0].skipped == 0


def test_a_page_without_overlays_shows_the_photos(photos, keypoints, tmp_path):
    report, _ = run(photos, tmp_path / "out", formats=("page",), **keypoints)
    assert report.page is not None and report.page.read_text("utf-8").count("<article") == 3


def test_the_page_keeps_what_earlier_runs_left_in_the_folder(photos, keypoints, tmp_path):
    out = tmp_path / "out"
    run(photos / "a.png", out, **keypoints)
    (out / "notes.json").write_text("[1, 2]")
    report, _ = run(photos / "b.jpg", out, **keypoints)
    page = report.page.read_text("utf-8")
    assert page.count("<article") == 2 and page.index("b.jpg") < page.index("a.png")


def test_half_written_files_of_a_killed_run_are_swept_and_its_photo_done_again(photos, keypoints, tmp_path):
    out = tmp_path / "out"
    run(photos, out, **keypoints)
    (out / "a.json").unlink()
    old, fresh = out / ".handjax-0123456789abcdef.tmp", out / ".handjax-fedcba9876543210.tmp"
    for leftover in (old, fresh):
        leftover.write_bytes(b"half")
    os.utime(old, (time.time() - 60,) * 2)
    report, _ = run(photos, out, **keypoints)
    assert report.skipped == 2 and (out / "a.json").is_file()
    assert not old.exists()
    assert fresh.exists(), "another run may be writing it"
    sweep(tmp_path / "nowhere")


def test_a_full_disk_is_a_problem_of_the_photo_and_the_next_run_ends_it(photos, keypoints, tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_glb = result_files.write_glb

    def full(path, *arguments, **more):
        if Path(path).name == "a.glb":
            raise OSError(28, "No space left on device", str(path))
        write_glb(path, *arguments, **more)

    monkeypatch.setattr(result_files, "write_glb", full)
    report, text = run(photos, out, **keypoints)
    assert len(report.problems) == 1 and "No space left" in report.problems[0] and "a.glb" in report.problems[0]
    assert "No space left" in text and not (out / "a.json").exists() and (out / "b.json").exists()
    monkeypatch.setattr(result_files, "write_glb", write_glb)
    report, _ = run(photos, out, **keypoints)
    assert report.skipped == 2 and report.problems == () and (out / "a.json").is_file()


def test_older_meshes_go_where_no_hand_is_found_any_more(photos, keypoints, tmp_path):
    out = tmp_path / "out"
    run(photos, out, **keypoints)
    report, _ = run(photos, out, detector=None, **keypoints | {"overwrite": True})
    entries = Keypoints({name: hands_in() for name in ("a.png", "b.jpg", "none.png")}, ())
    write_keypoints(keypoints["keypoints"], entries)
    report, _ = run(photos, out, overwrite=True, **keypoints)
    assert report.hands == 0 and report.without_hands == 3
    assert not any(path.suffix in (".obj", ".ply", ".glb") for path in out.iterdir())


def test_broken_photos_are_named_and_the_others_done(photos, keypoints, tmp_path):
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "text.png").write_text("hello")
    (photos / "cut.jpg").write_bytes((photos / "b.jpg").read_bytes()[:200])
    (photos / "unknown.png").write_bytes((photos / "a.png").read_bytes())
    report, text = run(photos, tmp_path / "out", **keypoints)
    assert report.with_hands == 2 and len(report.problems) == 4
    for name in ("empty.jpg", "text.png", "cut.jpg", "unknown.png"):
        assert sum(name in problem for problem in report.problems) == 1, name
        assert not list((tmp_path / "out").glob(f"{Path(name).stem}.*"))
    assert "no entry for this image" in text
    assert report.page.read_text("utf-8").count("<article") == 3


def test_a_detector_is_asked_for_each_photo_and_may_fail_for_one(photos, tmp_path):
    def detect(image):
        assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.uint8
        if image[0, 0, 0] == 9:
            raise RuntimeError("out of luck")
        return [detection(RIGHT, 1), detection(LEFT, 1)._replace(score=0.5)]

    cv2.imwrite(str(photos / "b.png"), np.full((HEIGHT, WIDTH, 3), 9, np.uint8))
    (photos / "none.png").unlink()
    report, _ = run(photos, tmp_path / "out", detector=detect)
    assert report.problems == (f"{photos / 'b.png'}: RuntimeError: out of luck",)
    # The second detection lies elsewhere in the picture, so it is another hand and not the first one again.
    assert report.hands == 4
    assert {path.name for path in (tmp_path / "out").glob("*.npz")} == {"a.npz", "b.npz"}


def test_a_hand_found_twice_is_kept_once(photos, tmp_path):
    twice = [detection(RIGHT, 1), detection(RIGHT, 1)._replace(score=0.4, side=LEFT)]
    report, _ = run(photos / "a.png", tmp_path / "out", detector=lambda image: list(twice))
    assert report.hands == 1 and read_hands(tmp_path / "out" / "a.npz").side.tolist() == [RIGHT]


def test_three_hands_of_which_two_touch_are_drawn(photos, tmp_path):
    three = [
        detection(RIGHT, n, place) for n, place in enumerate([(-0.1, 0, 0.5), (0.05, 0.05, 0.5), (0.1, 0.05, 0.5)])
    ]
    report, _ = run(photos / "a.png", tmp_path / "out", detector=lambda image: list(three))
    assert report.problems == () and report.hands == 3


def test_results_of_two_files_of_one_stem_get_two_names():
    inputs = [Input(Path(name), "image") for name in ("a.jpg", "a.png", "A.webp", "b.jpg")]
    items, notes = plan(inputs)
    assert [item.name for item in items] == ["a", "a.png", "A.webp", "b"]
    assert len(notes) == 2 and "a.png" in notes[0]
    assert items[0] == Item(Path("a.jpg"), "image", "a")
    twice = plan([Input(Path("x/a.jpg"), "image"), Input(Path("y/a.jpg"), "image"), Input(Path("z/a.jpg"), "image")])[0]
    assert len({item.name for item in twice}) == 3


def test_hands_that_the_default_model_finds_are_fitted_in_depth_and_keep_all_scores(tmp_path, monkeypatch):
    known = [detection(LEFT, 3, (-0.1, 0.08, 0.5)), detection(RIGHT, 4, (0.1, 0.08, 0.5))]
    hands = [
        Hand(None, points=one.keypoints_2d.astype(float), side=one.side, space=one.keypoints_3d, score=0.9)
        for one in known
    ]
    networks = Networks(*hands)
    find, read = networks.find, networks.read
    own = partial(detector_of, find, read)
    monkeypatch.setattr(detector, "default_detector", lambda scales, threshold: own(scales=scales, threshold=threshold))
    cv2.imwrite(str(tmp_path / "a.png"), ramp(WIDTH, HEIGHT)[..., ::-1])
    report, _ = run(tmp_path / "a.png", tmp_path / "out", formats=(), min_score=0.3, small_hands=True)
    assert report.hands == 2 and not report.problems
    found = read_hands(tmp_path / "out" / "a.npz")
    assert found.side.tolist() == [LEFT, RIGHT] and len(networks.shown) > 1
    np.testing.assert_allclose(found.score, np.sqrt(0.9 * 0.64), rtol=1e-4)
    np.testing.assert_allclose(found.confidence, 0.64, rtol=1e-4)
    for joints, one in zip(found.joints, known, strict=True):
        true = np.asarray(one.keypoints_3d)
        apart = (joints - joints[9]) / np.linalg.norm(joints[0] - joints[9])
        expected = (true - true[9]) / np.linalg.norm(true[0] - true[9])
        assert np.linalg.norm(apart - expected, axis=-1).mean() < 0.08
    summary = json.loads((tmp_path / "out" / "a.json").read_text())
    assert summary["made_with"]["hands_from"] == "handjax" and summary["made_with"]["min_score"] == 0.3
    for row in summary["hands"]:
        assert row["score"] == pytest.approx(np.sqrt(0.9 * 0.64), abs=1e-3)
        assert row["confidence"] == [0.64] * 21 and row["mean_error_px"] < 0.5


def test_what_cannot_start_is_said_before_anything_is_written(photos, keypoints, tmp_path):
    out = tmp_path / "out"
    cases = [
        ({"source": tmp_path / "nowhere"}, FileNotFoundError, "no such file or folder"),
        ({"detector": "mediapipe"}, ValueError, "needs --detector_model="),
        ({"detector": "handjax", "detector_model": "a.task"}, ValueError, "is of --detector=mediapipe"),
        (keypoints | {"detector": "handjax"}, ValueError, "must not both be given"),
        (keypoints | {"small_hands": True}, ValueError, "are of --detector=handjax"),
        ({"keypoints": str(tmp_path / "gone.json")}, ValueError, "gone.json: no such file"),
        (keypoints | {"focal": -1.0}, ValueError, "--focal must be a positive number"),
        (keypoints | {"focal": 1.0, "intrinsics": "1,1,1,1"}, ValueError, "must not both be given"),
        (keypoints | {"model": str(photos / "a.png")}, ValueError, "a.png"),
        (keypoints | {"model": str(tmp_path / "gone.pkl")}, OSError, "gone.pkl"),
    ]
    for settings, kind, message in cases:
        settings = dict(settings)
        source = settings.pop("source", photos)
        with pytest.raises(kind, match=message):
            predict_files(source, PredictSettings(out=str(out), **settings), progress=Progress(0, Quiet()))
        assert not out.exists()
    with pytest.raises(ValueError, match="another folder"):
        run(photos, photos, **keypoints)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no image and no video"):
        run(tmp_path / "empty", out, **keypoints)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out": ""}, "--out=DIR must be given"),
        ({"formats": ("glb", "fbx")}, "--formats must be of .* got fbx"),
        ({"batch": 0}, "--batch must be at least 1"),
        ({"threads": -1}, "--threads must be at least 0"),
        ({"side": "both"}, "--side must be left or right"),
    ],
)
def test_settings_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        PredictSettings(**{"out": "out"} | change)


def test_an_unnamed_entry_serves_one_photo_and_not_a_folder(photos, tmp_path):
    write_keypoints(tmp_path / "one.json", Keypoints({"": hands_in(detection(RIGHT, 1))}, ()))
    assert run(photos / "a.png", tmp_path / "out", keypoints=str(tmp_path / "one.json"))[0].hands == 1
    with pytest.raises(ValueError, match="is for a single image or video, but there are 3"):
        run(photos, tmp_path / "out", keypoints=str(tmp_path / "one.json"))


def test_progress_is_one_line_on_a_terminal_and_plain_lines_elsewhere():
    for terminal in (True, False):
        stream = Quiet(terminal)
        progress = Progress(2, stream)
        progress.step("a.jpg: 1 hand")
        progress.say("b.jpg: the file is empty")
        progress.step("b\udcff.jpg: failed")
        progress.close()
        assert ("\r" in stream.text) == terminal
        assert "b.jpg: the file is empty\n" in stream.text and "2/2" in stream.text
        stream.text.encode("utf-8")


# Videos.

FRAMES = 12


def film(path: Path, code: str = "MJPG") -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, (WIDTH, HEIGHT))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV cannot write {path.suffix}")
    for number in range(FRAMES):
        writer.write(np.full((HEIGHT, WIDTH, 3), 20 * number, np.uint8))
    writer.release()


def moving(frame: int, side: int = RIGHT):
    return detection(side, 1, (-0.03 + 0.005 * frame, 0.08, 0.5), noise_px=0.2)


def test_a_video_becomes_stacked_arrays_an_animated_glb_and_a_film(tmp_path):
    film(tmp_path / "v.avi")
    # Gone in two frames, once taken for the other side; a flash of a second hand.
    frames = [hands_in(moving(n, LEFT if n == 5 else RIGHT)) if n not in (3, 4) else hands_in() for n in range(FRAMES)]
    frames[8] = hands_in(*frames[8].detections, detection(LEFT, 3, (0.0, -0.1, 0.9)))
    write_keypoints(tmp_path / "v.json", Keypoints({}, frames))
    out = tmp_path / "out"
    report, text = run(tmp_path / "v.avi", out, keypoints=str(tmp_path / "v.json"))
    assert report.problems == () and report.hands == 1 and "1 hand in 12 frames" in text
    assert {path.name for path in out.iterdir()} == {
        *(f"v{end}" for end in (".npz", ".json", ".glb", "_overlay.png", "_overlay.mp4")),
        "index.html",
    }
    with np.load(out / "v.npz", allow_pickle=False) as arrays:
        assert arrays["found"][:, 0].tolist() == [n not in (3, 4) for n in range(FRAMES)]
        assert arrays["vertices"].shape == (FRAMES, 1, 778, 3) and arrays["betas"].shape == (1, 10)
        assert np.isnan(arrays["vertices"][3]).all() and np.isfinite(arrays["vertices"][5]).all()
        assert arrays["side"].tolist() == [RIGHT]
        np.testing.assert_allclose(arrays["frame_times"], np.arange(FRAMES) / 10, atol=1e-3)
        moved = arrays["transl"][[0, 11], 0, 0]
        assert moved[1] - moved[0] == pytest.approx(0.055, abs=0.02)
    stored = json.loads((out / "v.json").read_text())
    assert stored["kind"] == "video" and stored["frames"] == FRAMES and stored["hands"][0]["frames"] == FRAMES - 2
    assert stored["brief_detections_left_out"] == 1
    capture = cv2.VideoCapture(str(out / "v_overlay.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    capture.release()
    assert "Play in 3D" in report.page.read_text("utf-8")
    with pytest.raises(ValueError, match="video"):
        read_hands(out / "v.npz")
    assert run(tmp_path / "v.avi", out, keypoints=str(tmp_path / "v.json"))[0].skipped == 1


def test_a_damaged_frame_is_named_and_the_others_done(tmp_path):
    film(tmp_path / "v.avi")
    data = bytearray((tmp_path / "v.avi").read_bytes())
    start = data.find(b"00dc", data.find(b"movi"))
    for _ in range(6):
        start = data.find(b"00dc", start + 4)
    data[start + 8 : start + 300] = bytes(292)
    (tmp_path / "v.avi").write_bytes(data)
    report, _ = run(tmp_path / "v.avi", tmp_path / "out", detector=lambda image: [moving(round(image[0, 0, 0] / 20))])
    assert len(report.problems) == 1 and "frame 6 is damaged" in report.problems[0]
    with np.load(tmp_path / "out" / "v.npz") as arrays:
        assert arrays["frame_numbers"].tolist() == [n for n in range(FRAMES) if n != 6]
    assert "frame 6" in json.loads((tmp_path / "out" / "v.json").read_text())["damaged_frames"][0]


def test_a_broken_video_and_one_without_keypoints_are_named(tmp_path, photos, keypoints):
    film(photos / "v.avi")
    (photos / "w.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(50))
    report, _ = run(photos, tmp_path / "out", **keypoints)
    assert report.with_hands == 2 and len(report.problems) == 2
    assert any("v.avi: no entry for this video" in problem for problem in report.problems)
    assert any("w.mp4" in problem for problem in report.problems)


def test_keypoint_folders_hold_the_files_of_videos_too(tmp_path, photos, keypoints):
    film(photos / "v.avi")
    folder = tmp_path / "all"
    folder.mkdir()
    shutil.copy(keypoints["keypoints"], folder / "photos.json")
    points = np.stack([moving(n).keypoints_2d for n in range(FRAMES)])
    np.savez(folder / "v.landmarks.npz", keypoints_px=points, right=np.ones(FRAMES, bool))
    report, _ = run(photos, tmp_path / "out", keypoints=str(folder))
    assert report.problems == () and report.hands == 4
    assert run(photos / "v.avi", tmp_path / "alone", keypoints=str(folder))[0].hands == 1


def test_hands_that_cross_keep_their_tracks():
    def frame(n):
        left, right = (-0.1 + 0.02 * n, 0.05, 0.5), (0.1 - 0.02 * n, 0.0, 0.5)
        pair = [detection(LEFT, 1, left), detection(RIGHT, 2, right)]
        return pair if n % 2 else pair[::-1]

    tracks, brief = follow([frame(n) for n in range(11)])
    assert brief == 0 and [len(track.frames) for track in tracks] == [11, 11]
    for track in tracks:
        x = [hand.keypoints_2d[0, 0] for hand in track.detections]
        assert (np.diff(x) > 0).all() or (np.diff(x) < 0).all()
        assert len({hand.side for hand in track.detections}) == 1


def test_a_long_absence_ends_a_track_and_a_short_video_keeps_its_only_frame():
    hand = detection(RIGHT, 1)
    tracks, _ = follow([[hand]] * 4 + [[]] * 20 + [[hand]] * 4)
    assert [track.frames[0] for track in tracks] == [0, 24]
    assert len(follow([[hand]])[0]) == 1
    assert follow([]) == ([], 0)
