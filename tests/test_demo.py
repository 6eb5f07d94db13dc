"""The demo needs nothing but the package, finds its own hands again, and says how near."""

import cv2
import numpy as np
import pytest

from handjax import mano
from handjax.__main__ import main
from handjax.camera import project
from handjax.demo import HEIGHT, SCENES, WIDTH, demo_camera, draw, run_demo, scene_params
from handjax.detect import SIDE_NAMES
from handjax.predict import read_hands


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("HANDJAX_CACHE", "off")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    return out, run_demo(out)


def test_three_hands_of_both_sides_are_drawn_in_the_picture():
    assert len(SCENES) == 3 and {scene.side for scene in SCENES} == {"left", "right"}
    for scene in SCENES:
        model = mano.default(scene.side)
        posed = mano.forward(model, scene_params(model, scene))
        picture = draw(scene, model, posed.vertices)
        assert picture.shape == (HEIGHT, WIDTH, 3) and picture.dtype == np.uint8
        pixels = np.asarray(project(demo_camera(), posed.vertices))
        assert (pixels > 10).all() and (pixels < [WIDTH - 10, HEIGHT - 10]).all()
        tone = np.asarray(picture[tuple(np.asarray(pixels.mean(0), int)[::-1])], float)
        assert (np.diff(tone) < 0).all(), "skin is redder than green, greener than blue"


def test_every_joint_of_the_scenes_stays_within_its_limits():
    for scene in SCENES:
        model = mano.default(scene.side)
        pose = np.asarray(scene_params(model, scene).hand_pose).reshape(-1, 3)
        angles = np.einsum("jad,jd->ja", np.asarray(model.joint_axes), pose)
        low, high = np.moveaxis(np.asarray(model.joint_limits), -1, 0)
        assert (angles > low - 0.03).all() and (angles < high + 0.03).all(), scene.name


def test_the_hands_are_found_again_from_noisy_keypoints(demo):
    out, report = demo
    assert report.job.hands == 3 and report.job.problems == ()
    for scene, error in zip(SCENES, report.errors, strict=True):
        hands = read_hands(out / f"{scene.name}.npz")
        assert SIDE_NAMES[hands.side[0]] == scene.side
        # Two pixels of noise at 560 px and 0.35 m are 1.3 mm across; depth is guessed from the bones.
        assert error.joints_mm < 15 and error.keypoints_px < 4


def test_the_demo_leaves_pictures_keypoints_results_and_a_page(demo):
    out, report = demo
    assert report.job.page == out / "index.html"
    assert {path.name for path in (out / "input").iterdir()} == {
        "keypoints.json",
        *(f"{scene.name}.png" for scene in SCENES),
    }
    for scene in SCENES:
        drawn = cv2.imread(str(out / "input" / f"{scene.name}.png"))
        overlay = cv2.imread(str(out / f"{scene.name}_overlay.png"))
        assert drawn.shape == overlay.shape and (drawn != overlay).any(-1).mean() > 0.05
        assert (out / f"{scene.name}.glb").stat().st_size > 10_000


def test_the_command_says_where_to_look_and_how_near_it_came(demo, capsys, tmp_path):
    assert main(["demo", f"--out={tmp_path / 'demo'}", "--noise=0"]) == 0
    said = capsys.readouterr().out
    assert "index.html" in said and said.count("mm off") == 3
