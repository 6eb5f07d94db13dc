"""The command says in a line what is wrong with it, tells by its exit status how it went, and fits what it is given."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from handjax import mano, weights
from handjax.__main__ import COMMANDS, main
from handjax.compilation_cache import use_compilation_cache
from handjax.detect import LEFT, RIGHT
from handjax.keypoint_entries import ImageHands
from handjax.keypoint_files import Keypoints, write_keypoints
from handjax.predict import read_hands
from handjax.predict.hands import mean_error_px
from tests import mano_files
from tests.hand_scenes import HEIGHT, WIDTH, detection

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    """The tests leave the user's cache and jax's settings alone."""
    monkeypatch.setenv("HANDJAX_CACHE", "off")


@pytest.fixture
def photo(tmp_path):
    """A photo and its keypoints."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((HEIGHT, WIDTH, 3), 120, np.uint8))
    hands = ImageHands([detection(RIGHT, 1), detection(LEFT, 2)], (WIDTH, HEIGHT), [None, None])
    write_keypoints(tmp_path / "k.json", Keypoints({"a.png": hands}, ()))
    return tmp_path / "a.png"


def test_predict_writes_the_results_and_says_where(photo, tmp_path, capsys):
    flags = [f"--keypoints={tmp_path / 'k.json'}", f"--out={tmp_path / 'out'}", "--focal=130", "--formats=glb,page"]
    assert main(["predict", str(photo), *flags]) == 0
    said = capsys.readouterr()
    assert "1 file; 2 hands in 1 of them" in said.out and f"Open {tmp_path / 'out' / 'index.html'}" in said.out
    assert "a.png: 2 hands" in said.err and "Traceback" not in said.err
    assert read_hands(tmp_path / "out" / "a.npz").camera.tolist() == [130, 130, WIDTH / 2, HEIGHT / 2]
    assert main(["predict", str(photo), *flags]) == 0
    assert "1 finished before" in capsys.readouterr().out


def test_a_file_that_fails_shows_in_the_exit_status(photo, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    photo.rename(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "b.png").write_bytes(b"")
    flags = [f"--keypoints={tmp_path / 'k.json'}", f"--out={tmp_path / 'out'}", "--formats="]
    assert main(["predict", str(tmp_path / "photos"), *flags]) == 1
    said = capsys.readouterr()
    assert "b.png: the file is empty" in said.err and "1 problem" in said.out
    assert (tmp_path / "out" / "a.json").is_file()


def test_fit_needs_keypoints_alone(tmp_path, capsys):
    hands = ImageHands([detection(RIGHT, 1)], (WIDTH, HEIGHT), [None])
    write_keypoints(tmp_path / "k.json", Keypoints({"x/a.png": hands, "b": hands}, ()))
    assert main(["fit", str(tmp_path / "k.json"), f"--out={tmp_path / 'out'}"]) == 0
    names = {f"{name}{suffix}" for name in "ab" for suffix in (".npz", ".json", ".glb")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert main(["fit", str(tmp_path / "k.json"), f"--out={tmp_path / 'out'}"]) == 0
    assert "2 finished before" in capsys.readouterr().out
    flags = [f"--out={tmp_path / 'all'}", "--formats=overlay,page"]
    assert main(["fit", str(tmp_path / "k.json"), *flags]) == 0
    assert cv2.imread(str(tmp_path / "all" / "a_overlay.png")).shape == (HEIGHT, WIDTH, 3)


def test_fit_takes_the_size_from_the_intrinsics_where_no_size_is_stored(tmp_path, capsys):
    points = detection(RIGHT, 1).keypoints_2d.tolist()
    (tmp_path / "k.json").write_text(json.dumps([points]))
    flags = ["--side=right", f"--out={tmp_path / 'out'}"]
    assert main(["fit", str(tmp_path / "k.json"), *flags]) == 2
    assert "give --intrinsics=fx,fy,cx,cy" in capsys.readouterr().err
    assert main(["fit", str(tmp_path / "k.json"), "--intrinsics=120,120,80,60", *flags]) == 0
    hands = read_hands(tmp_path / "out" / "k.npz")
    assert hands.camera.tolist() == [120, 120, 80, 60] and mean_error_px(hands)[0] < 1.0


def test_predict_uses_a_model_of_the_users_own(photo, tmp_path):
    path = tmp_path / "model.npz"
    mano.save(mano.default("left").replace(v_template=mano.default("left").v_template * 1.0), path)
    flags = [f"--keypoints={tmp_path / 'k.json'}", f"--out={tmp_path / 'out'}", f"--model={path}", "--formats="]
    assert main(["predict", str(photo), *flags]) == 0
    assert json.loads((tmp_path / "out" / "a.json").read_text())["made_with"]["model"] == str(path)


def test_info_tells_the_sizes_and_the_side(tmp_path, capsys):
    assert main(["info"]) == 0
    free = capsys.readouterr().out
    assert "the free hand" in free and "778" in free and "right" in free
    mano.save(mano.default("left"), tmp_path / "mine.npz")
    assert main(["info", str(tmp_path / "mine.npz")]) == 0
    said = capsys.readouterr().out
    assert "left" in said and str(mano.default().fingertip_ids[0]) in said and "mm" in said


def test_convert_writes_a_model_that_poses_the_same_hand(tmp_path, capsys):
    source = tmp_path / "MANO_RIGHT.pkl"
    mano_files.write_pickle(source, mano_files.licensed_fields(mano_files.mano_arrays()))
    assert main(["convert", str(source), str(tmp_path / "out.npz")]) == 0
    assert "out.npz" in capsys.readouterr().out
    jax.tree.map(np.testing.assert_array_equal, mano.load(tmp_path / "out.npz"), mano.load(source))
    assert main(["convert", str(source), str(tmp_path / "left.npz"), "--mirror"]) == 0
    assert mano.load(tmp_path / "left.npz").side == "left"


def test_convert_turns_a_result_into_other_conventions(photo, tmp_path):
    flags = [f"--keypoints={tmp_path / 'k.json'}", f"--out={tmp_path / 'out'}", "--formats="]
    assert main(["predict", str(photo), *flags]) == 0
    source, target = tmp_path / "out" / "a.npz", tmp_path / "other.npz"
    assert main(["convert", str(source), str(target), "--joints=rhd", "--frame=opengl", "--unit=mm"]) == 0
    before = read_hands(source)
    with np.load(target) as after:
        np.testing.assert_allclose(after["vertices"], before.vertices * [1000, -1000, -1000], rtol=1e-4, atol=0.01)
        np.testing.assert_allclose(after["joints"][:, 4], before.joints[:, 1] * [1000, -1000, -1000], atol=0.01)
        np.testing.assert_array_equal(after["keypoints_2d"][:, 4], before.keypoints_2d[:, 1])
        for hand, side in enumerate(("right", "left")):
            fields = [after["betas"], after["global_orient"], after["hand_pose"], after["transl"] / 1000]
            posed = mano.forward(mano.default(side), mano.HandParams(*(field[hand] for field in fields)))
            np.testing.assert_allclose(1000 * posed.vertices, after["vertices"][hand], atol=0.1)
    assert main(["convert", str(source), str(target), "--joints=unknown"]) == 2
    assert main(["convert", str(photo), str(target), "--unit=mm"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prdict"], "unknown command 'prdict': expected one of predict, fit, demo, hand, info, convert"),
        (["predict"], "IMAGE_OR_FOLDER_OR_VIDEO must be one path, got none"),
        (["predict", "a", "b", "--out=x"], "must be one path, got 2: a b"),
        (["predict", "a.jpg"], "--out=DIR must be given"),
        (["predict", "a.jpg", "--out=x", "--keypoint=k"], "'keypoint'. Did you mean: keypoints"),
        (["predict", "a.jpg", "--out=x", "--focal=far"], "--focal=far"),
        (["predict", "a.jpg", "--out=x", "--batch=0"], "--batch must be at least 1, got 0"),
        (["predict", "a.jpg", "--out=x", "--formats=glb,fbx"], "got fbx"),
        (["predict", "a.jpg", "--out=x", "--detector=best"], "--detector must be handjax or mediapipe, got 'best'"),
        (["predict", "a.jpg", "--out=x", "--min_score=2"], "--min_score must lie in [0, 1], got 2"),
        (["predict", "nowhere.jpg", "--out=x"], "nowhere.jpg: no such file or folder"),
        (["fit", "nowhere.json", "--out=x"], "nowhere.json: no such file"),
        (["fit", "k.json", "--detector=mediapipe"], "'detector'"),
        (["demo", "here"], "demo takes no paths"),
        (["demo", "--noise=-1", "--out=x"], "noise_px must be at least 0"),
        (["info", "a", "b"], "MODEL must be one path or none"),
        (["info", "nowhere.pkl"], "nowhere.pkl: No such file"),
        (["info", "--side=both"], "side must be one of"),
        (["convert", "a.pkl"], "convert needs FILE and OUT.npz"),
        (["convert", "a.pkl", "b.pkl"], "must be called NAME.npz"),
    ],
)
def test_a_command_that_cannot_start_says_why_in_a_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert message in said.err and "Traceback" not in said.err
    assert said.err.count("\n") <= 2 and not list(tmp_path.iterdir())


def test_without_the_weights_the_other_ways_are_named(photo, tmp_path, monkeypatch, capsys):
    def missing():
        raise FileNotFoundError("the weights hand_finder.npz are not in this installation of handjax")

    monkeypatch.setattr(weights, "hand_finder", missing)
    assert main(["predict", str(photo), f"--out={tmp_path / 'out'}"]) == 2
    said = capsys.readouterr().err
    for way in (
        "the weights hand_finder.npz are not in this installation",
        "--keypoints=",
        "--detector=mediapipe --detector_model=",
        'pip install "handjax[mediapipe]"',
        "detector=",
    ):
        assert way in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_flag_with_its_meaning(name, capsys):
    assert main([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert COMMANDS[name].summary in said and "Exit status" in said and "--cache" in said


def test_the_overview_lists_the_commands(capsys):
    assert main(["--help"]) == 0
    assert all(f"handjax {name}" in capsys.readouterr().out for name in list(COMMANDS)[:1])
    assert main([]) == 2
    assert main(["--version"]) == 0


def test_compiled_functions_are_kept_where_the_user_says(tmp_path, monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    try:
        assert use_compilation_cache("off") is None
        assert use_compilation_cache() is None
        assert use_compilation_cache(str(tmp_path / "here")) == tmp_path / "here"
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "here")
        (tmp_path / "file").write_text("")
        assert use_compilation_cache(str(tmp_path / "file" / "sub")) is None
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.delenv("HANDJAX_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
        assert use_compilation_cache() == tmp_path / "home" / "handjax" / "jax"
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_python_m_handjax_runs_as_the_command_does():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "handjax", "--version"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0 and done.stdout.startswith("handjax ")


def test_help_does_not_import_jax():
    code = "import sys, handjax.__main__ as m; m.main(['--help']); sys.exit('jax' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment).returncode == 0


def test_nothing_but_the_command_imports_absl():
    for path in (ROOT / "handjax").rglob("*.py"):
        modules = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add((node.module or "").split(".")[0])
        assert "absl" not in modules or path.name == "__main__.py", path


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "photos").is_dir(), reason="needs the project's photos")
def test_all_photos_are_fitted_within_the_error_asked_for(tmp_path):
    flags = [f"--keypoints={SHARED / 'photos' / 'landmarks'}", f"--out={tmp_path}", "--formats="]
    assert main(["predict", str(SHARED / "photos"), *flags]) == 0
    rows = [row for path in tmp_path.glob("*.json") for row in json.loads(path.read_text())["hands"]]
    good = [row["mean_error_percent_of_box"] for row in rows if row.get("check") == "good"]
    assert len(good) >= 30 and np.median(good) <= 2.5
