"""The default model's sets: photographs keep their labels when they are fitted, backgrounds are cut where listed."""

import json

import cv2
import numpy as np
import pytest

from datasets import pipeline
from launch import backgrounds, real_sets
from launch.draw_sets import KINDS
from launch.real_hands import Picture, RealHand
from tests.image_files import encoded


@pytest.fixture
def photograph(tmp_path):
    """1024 x 400 px with a red square whose centre is at (700, 300)."""
    image = np.full((400, 1024, 3), 60, np.uint8)
    image[292:308, 692:708] = (200, 30, 30)
    path = tmp_path / "set" / "pictures" / "one.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(encoded(".png", image))
    return path


def hand(path, set_name, right=True):
    return RealHand(path, np.full((21, 2), (700.0, 300.0), np.float32), right, set_name)


def center_of_red(image):
    rows, columns = np.nonzero((image[..., 0] > 150) & (image[..., 1] < 100))
    return columns.mean() + 0.5, rows.mean() + 0.5


def test_a_large_photograph_is_shrunk_with_its_keypoints(photograph):
    image, (points,) = real_sets.fitted(Picture(photograph, [hand(photograph, "ti1k")], True))
    assert image.shape == (200, 512, 3)
    np.testing.assert_allclose(points, np.full((21, 2), (350.0, 150.0)), atol=1e-4)
    np.testing.assert_allclose(center_of_red(image), (350, 150), atol=0.5)


def test_a_photograph_that_a_hand_fills_is_continued_on_all_sides(photograph):
    image, (points,) = real_sets.fitted(Picture(photograph, [hand(photograph, "sign_digits")], True))
    assert image.shape[1] == real_sets.LONGEST
    np.testing.assert_allclose(center_of_red(image), points[0], atol=0.5)
    np.testing.assert_allclose(points[0], np.array([700 + 512, 300 + 512]) * 512 / 2048, atol=0.5)


def test_a_built_set_gives_sides_and_keypoints_and_claims_nothing_else(photograph, tmp_path, monkeypatch):
    hands = [hand(photograph, "ti1k"), hand(photograph, "ti1k", right=False)]
    monkeypatch.setattr(real_sets.real_hands, "read", lambda folder, part: hands)
    folders = real_sets.build("unused", str(tmp_path / "data"))
    assert [folder.parent.name for folder in folders] == ["hands"]
    records = pipeline.open_records("landmarked/hands", "train", data_dir=tmp_path / "data")
    (batch,) = pipeline.evaluation_batches(records, pipeline.Settings(size=256, pictures=("image",)), batch_size=1)
    labels = batch.examples
    assert labels["side"][0].tolist() == [1, 0] and labels["side_valid"].all()
    assert labels["keypoints_2d_valid"].all()
    for name in ("keypoints_3d_valid", "mano_valid", "intrinsics_valid", "keypoints_visible_valid"):
        assert not labels[name].any(), name


def test_backgrounds_are_the_listed_squares(photograph, tmp_path, monkeypatch):
    listed = tmp_path / "list.json"
    listed.write_text(
        json.dumps({"squares": [["set/pictures/one.png", 690, 290, 20], ["set/pictures/one.png", 0, 0, 300]]})
    )
    monkeypatch.setattr(backgrounds, "LIST", listed)
    assert backgrounds.cut(tmp_path, tmp_path / "out") == 2
    first, second = (cv2.imread(str(tmp_path / "out" / f"{number:04d}.png")) for number in range(2))
    assert first.shape == second.shape == (256, 256, 3)
    assert first[128, 128].tolist() == [30, 30, 200]
    assert (second == 60).all()


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such picture"):
        backgrounds.cut(tmp_path, tmp_path / "out")


def test_the_list_of_backgrounds_holds_squares_within_reason():
    squares = json.loads(backgrounds.LIST.read_text(encoding="utf-8"))["squares"]
    assert len(squares) > 200
    for name, left, top, side in squares:
        assert not name.startswith(("/", "..")) and left >= 0 and top >= 0 and side >= 96


def test_drawn_parts_are_of_right_hands_or_whole_scenes():
    assert KINDS["crops"][0].sides == "right"
    assert KINDS["scenes"][0].scene == "frame"
