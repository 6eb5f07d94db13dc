"""Sets of keypoints and masks, and drawn hands: files in the published layout -> builder -> examples.

Expected numbers are worked by hand from the layouts, not computed by the code under test.
"""

import dataclasses
import pickle
from collections import namedtuple

import cv2
import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds
from etils import epath

from datasets import labels, schema
from datasets.deephandmesh import deephandmesh_dataset_builder, studio_files
from datasets.deephandmesh.sequences import split_of
from datasets.dexter_object import annotations as dexter_annotations
from datasets.dexter_object import dexter_object_dataset_builder
from datasets.egohands import egohands_dataset_builder
from datasets.egohands.metadata import box_of_polygon
from datasets.rhd import dominant_side, rhd_dataset_builder
from datasets.rhd.annotations import arrays, read_annotations
from datasets.stb import cameras, palm_of_wrist, stb_dataset_builder, wrist_of_palm
from datasets.synthetic import Settings, batch
from datasets.synthetic_hands import synthetic_hands_dataset_builder
from handjax import camera
from handjax.mano import mirror_points
from tests.dataset_fixtures import deephandmesh, dexter_object, egohands, rhd, stb


def built(module, manual_dir, data_dir, config=None):
    """The builder, and {split: {name: example}} of what it stores."""
    builder = module.Builder(data_dir=data_dir, config=config)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    splits = {
        split: {example["name"].decode(): example for example in tfds.as_numpy(builder.as_dataset(split))}
        for split in builder.info.splits
    }
    return builder, splits


def made(module, write, tmp_path_factory, config=None):
    root = tmp_path_factory.mktemp("set")
    write(root / "manual")
    return built(module, root / "manual", root / "data", config)


def close(value, expected, within=1e-5):
    np.testing.assert_allclose(value, expected, rtol=0, atol=within)


def reprojection_px(example) -> float:
    """The largest distance of K X and uv over keypoints that have both."""
    known = example["keypoints_2d_valid"] & example["keypoints_3d_valid"]
    assert known.any()
    points, pixels = example["keypoints_3d"][known], example["keypoints_2d"][known]
    rays = points @ example["intrinsics"].T
    return np.abs(rays[:, :2] / rays[:, 2:] - pixels).max()


def missing_file_message(module, root, config=None) -> str:
    with pytest.raises(FileNotFoundError) as error:
        built(module, root / "manual", root / "data", config)
    return str(error.value)


@pytest.fixture(scope="module")
def rhd_set(tmp_path_factory):
    return made(rhd_dataset_builder, rhd.write, tmp_path_factory)[1]


@pytest.fixture(scope="module")
def stb_set(tmp_path_factory):
    return made(stb_dataset_builder, stb.write, tmp_path_factory)


@pytest.fixture(scope="module")
def bumblebee(tmp_path_factory):
    root = tmp_path_factory.mktemp("stb")
    stb.write(root / "manual")
    configs = ("bb_left_palm", "bb_right_wrist_ring2")
    return {config: built(stb_dataset_builder, root / "manual", root / "data", config) for config in configs}


@pytest.fixture(scope="module")
def dexter_set(tmp_path_factory):
    return made(dexter_object_dataset_builder, dexter_object.write, tmp_path_factory, "dexter_object")[1]


@pytest.fixture(scope="module")
def egohands_set(tmp_path_factory):
    def write(root):
        egohands.write(root)
        (root / "egohands" / "splits.json").write_text('{"test": ["CHESS_OFFICE_S_B"]}')

    return made(egohands_dataset_builder, write, tmp_path_factory)[1]


@pytest.fixture(scope="module")
def studio_set(tmp_path_factory):
    return made(deephandmesh_dataset_builder, deephandmesh.write, tmp_path_factory)[1]


class TestRhd:
    def test_the_splits_are_the_folders(self, rhd_set):
        assert rhd_set["train"].keys() == {"training/00000", "training/00001", "training/00002"}
        assert rhd_set["test"].keys() == {"evaluation/00000"}

    def test_the_index_fingertip_of_the_left_hand_is_where_it_is_by_hand(self, rhd_set):
        example = rhd_set["train"]["training/00000"]
        # x = 0.02 - 0.05 - 0.1, y = 0.01 - 0.12, z = 0.5 + 0.01 + 0.008; u = 160 - 280 * 0.13 / 0.518.
        close(example["keypoints_3d"][0, 8], [-0.13, -0.11, 0.518])
        close(example["keypoints_2d"][0, 8], [89.729730, 100.540541], 1e-4)
        # The base of the little finger, and the wrist.
        close(example["keypoints_3d"][0, 17], [-0.07, -0.02, 0.542])
        close(example["keypoints_3d"][0, 0], [-0.09, 0.04, 0.5])
        close(example["intrinsics"], [[280, 0, 160], [0, 280, 160], [0, 0, 1]])
        assert reprojection_px(example) < 0.05

    def test_visibility_goes_with_the_joint(self, rhd_set):
        example = rhd_set["train"]["training/00000"]
        # Number 8 of the file is the base of the index finger, 5 of ours.
        assert np.flatnonzero(~example["keypoints_visible"][0]).tolist() == [5]
        assert example["keypoints_visible_valid"][0].all()

    def test_a_hand_that_is_not_in_the_picture_has_no_labels(self, rhd_set):
        example = rhd_set["train"]["training/00000"]
        assert example["valid"].tolist() == [True, False]
        assert not example["keypoints_3d"][1].any() and not example["keypoints_3d_valid"][1].any()
        assert not rhd_set["train"]["training/00002"]["valid"].any()

    def test_left_is_slot_0_and_right_is_slot_1(self, rhd_set):
        both = rhd_set["train"]["training/00001"]
        assert both["valid"].all() and both["side"].tolist() == [0, 1] and both["side_valid"].all()
        close(both["keypoints_3d"][1, 8], [0.09, -0.11, 0.568])

    def test_a_hand_of_which_only_mask_is_seen_is_there(self, rhd_set):
        example = rhd_set["test"]["evaluation/00000"]
        assert example["valid"].tolist() == [True, True]
        assert not example["keypoints_visible"][0].any() and example["keypoints_visible"][1].all()

    def test_part_ids_become_slots(self, rhd_set):
        mask = rhd_set["train"]["training/00000"]["mask"]
        assert mask.shape == (320, 320, 1) and mask[65, 105] == 1 and mask[75, 105] == 1 and mask[10, 10] == 0
        mask = rhd_set["train"]["training/00001"]["mask"]
        assert mask[65, 105] == 1 and mask[65, 205] == 2

    def test_depth_is_red_times_256_plus_green_of_65535_to_5_metres(self, rhd_set):
        depth = rhd_set["train"]["training/00000"]["depth"]
        assert depth.dtype == np.float32 and depth.shape == (320, 320, 1)
        close(depth[10, 20], 0.39826, 1e-5)
        close(depth[10, 21], 5.0, 1e-6)
        assert np.count_nonzero(depth) == 2

    def test_pictures_are_rgb(self, rhd_set):
        assert rhd_set["train"]["training/00000"]["image"][0, 0].tolist() == [1, 2, 3]

    def test_the_dominant_hand_has_more_pixels_and_ties_go_right(self, rhd_set):
        train = rhd_set["train"]
        assert dominant_side(train["training/00000"]["mask"]) == schema.LEFT
        assert dominant_side(train["training/00001"]["mask"]) == schema.RIGHT
        assert dominant_side(train["training/00002"]["mask"]) == schema.RIGHT
        assert dominant_side(rhd_set["test"]["evaluation/00000"]["mask"]) == schema.RIGHT

    @pytest.mark.parametrize("protocol", [0, 2, 3, 5])
    def test_annotations_of_every_pickle_protocol_are_read(self, protocol):
        record = rhd.record([0], [])
        stored = read_annotations(pickle.dumps({7: record}, protocol), "file")
        assert stored.keys() == {7}
        for key, value in arrays(stored[7]).items():
            np.testing.assert_array_equal(value, record[key])

    def test_a_pickle_that_calls_something_is_refused(self):
        class Harmful:
            def __reduce__(self):
                return eval, ("1 + 1",)

        with pytest.raises(ValueError, match=r"anno\.pickle.*refused.*builtins\.eval|anno\.pickle.*eval"):
            read_annotations(pickle.dumps({0: Harmful()}), "anno.pickle")
        with pytest.raises(ValueError, match="anno.pickle"):
            read_annotations(pickle.dumps({0: rhd.record([], [])})[:-20], "anno.pickle")

    def test_a_damaged_record_is_left_out_and_more_than_a_few_stop_the_build(self, tmp_path):
        rhd.write(tmp_path / "manual")
        training = tmp_path / "manual/RHD_published_v2/training"
        mask = training / "mask/00001.png"
        mask.write_bytes(mask.read_bytes()[:-30])
        splits = built(rhd_dataset_builder, tmp_path / "manual", tmp_path / "data")[1]
        assert splits["train"].keys() == {"training/00000", "training/00002"}
        (training / "color/00000.png").unlink()
        with pytest.raises(ValueError, match=r"(?s)2 of the first 3 records.*training/00000.*training/00001.*mask"):
            built(rhd_dataset_builder, tmp_path / "manual", tmp_path / "more")

    def test_a_missing_pickle_is_named_with_where_to_get_it(self, tmp_path):
        rhd.write(tmp_path / "manual")
        (tmp_path / "manual/RHD_published_v2/evaluation/anno_evaluation.pickle").unlink()
        message = missing_file_message(rhd_dataset_builder, tmp_path)
        assert "anno_evaluation.pickle" in message and "lmb.informatik.uni-freiburg.de" in message


class TestStb:
    def test_the_first_background_is_for_tests(self, stb_set):
        splits = stb_set[1]
        assert {name.split("/")[0] for name in splits["test"]} == {"B1Counting", "B1Random"}
        assert "B1Counting/SK_color_1" in splits["test"] and len(splits["test"]) == 3

    def test_a_frame_without_its_picture_is_left_out(self, stb_set):
        train = stb_set[1]["train"]
        assert len(train) == 11 and "B2Counting/SK_color_1" not in train and "B2Counting/SK_color_2" in train

    def test_labels_go_from_the_depth_camera_to_the_colour_camera(self, stb_set):
        example = stb_set[1]["test"]["B1Counting/SK_color_0"]
        # (0, 0, 600) mm of the depth camera; pixels count from the centre of the first one in the source.
        close(example["palm_3d"], [[0.0312330, 0.0035648, 0.6008914]], 1e-6)
        close(example["palm_2d"], [[346.88, 240.53]], 0.01)
        close(example["intrinsics"][:2, 2], [315.28337, 236.92484], 1e-4)
        assert reprojection_px(example) < 0.05

    def test_the_wrist_lies_beyond_the_palm_by_the_rule_of_the_config(self, stb_set):
        example = stb_set[1]["test"]["B1Counting/SK_color_0"]
        # (10, -10, 675) + 2.2 ((0, 0, 600) - (10, -10, 675)) = (-12, 12, 510), then to the colour camera.
        close(example["keypoints_3d"][0, 0], [0.0181937, 0.0151239, 0.5109763], 1e-5)
        assert example["keypoints_3d_valid"].all() and example["side"].tolist() == [0]
        assert not example["keypoints_visible_valid"].any()

    def test_the_rule_stands_in_the_metadata(self, stb_set, bumblebee):
        assert stb_set[0].info.metadata["keypoint_0"] == "wrist_mid2.2"
        stored = tfds.builder_from_directory(bumblebee["bb_left_palm"][0].data_path)
        assert stored.info.metadata["keypoint_0"] == "palm"

    def test_depth_is_seen_from_the_colour_camera(self, stb_set):
        example = stb_set[1]["test"]["B1Counting/SK_color_0"]
        # Pixel (336, 239) of the depth camera, 600 mm, falls on (346.36, 240.81).
        close(example["depth"][240, 346], 0.60089, 1e-4)
        assert example["depth"].shape == (480, 640, 1) and example["depth_valid"]
        # 7 x 7 pixels become 9 x 9: the colour camera's focal length is 1.28 times as long. None is left empty.
        rows, columns = np.nonzero(example["depth"][..., 0])
        extent = np.array([np.ptp(rows) + 1, np.ptp(columns) + 1])
        assert (extent >= 8).all() and (extent <= 10).all() and rows.size >= 0.95 * extent.prod()

    def test_of_two_surfaces_the_colour_camera_sees_the_nearer(self):
        depth = np.full((480, 640), 0.9)
        depth[:, :300] = 0.45
        seen = cameras.depth_in_color(depth)
        # At the edge the cameras, 24 mm apart, see different things: no far surface shines through the near one.
        near = seen < 0.5
        assert np.ptp(near[100:400].sum(1)) <= 2 and (near | (seen > 0.8)).all()
        last = near[240].nonzero()[0].max()
        assert near[240, : last + 1].all()
        # The edge, x = 0.45 (300 - 336.91) / 475.63 = -34.9 mm, is at -34.9 + 24.0 + 0.01197 * 451 = -5.5 mm of the
        # colour camera: 315.3 - 607.9 * 5.5 / 451 = 307.9.
        assert abs(last - 307) <= 1

    def test_the_left_bumblebee_is_the_frame_of_its_labels(self, bumblebee):
        example = bumblebee["bb_left_palm"][1]["test"]["B1Counting/BB_left_0"]
        close(example["keypoints_3d"][0, 8], [0.05, -0.04, 0.7])
        close(example["keypoints_2d"][0, 8], [377.744194, 203.796365], 1e-3)
        close(example["keypoints_3d"][0, 1], [0.09, -0.01, 0.665])  # thumb
        close(example["keypoints_3d"][0, 17], [-0.07, -0.01, 0.685])  # little finger
        assert "depth" not in example and not example["depth_valid"]

    def test_without_a_rule_the_wrist_is_not_labelled_and_the_palm_is_kept(self, bumblebee):
        example = bumblebee["bb_left_palm"][1]["test"]["B1Counting/BB_left_0"]
        assert not example["keypoints_3d_valid"][0, 0] and not example["keypoints_2d_valid"][0, 0]
        assert not example["keypoints_3d"][0, 0].any() and example["keypoints_3d_valid"][0, 1:].all()
        close(example["palm_3d"], [[0, 0, 0.5]])

    def test_the_right_bumblebee_stands_a_baseline_to_the_right(self, bumblebee):
        example = bumblebee["bb_right_wrist_ring2"][1]["test"]["B1Counting/BB_right_0"]
        close(example["palm_2d"], [[121.41, 250.81296]], 0.01)
        close(example["keypoints_2d"][0, 8], [236.630937, 203.796365], 1e-3)
        # 2 (0, 0, 500) - (-30, -10, 680) = (30, 10, 320), less 120.054.
        close(example["keypoints_3d"][0, 0], [-0.090054, 0.01, 0.32])
        assert reprojection_px(example) < 0.05

    def test_mirrored_samples_reproject_only_with_the_mirrored_camera(self, stb_set):
        example = stb_set[1]["test"]["B1Counting/SK_color_0"]
        width = example["image"].shape[1]
        own = camera.camera_from_matrix(example["intrinsics"])
        points = mirror_points(example["keypoints_3d"][0])
        pixels = camera.mirror_pixels(example["keypoints_2d"][0], width)
        close(camera.project(camera.mirror_camera(own, width), points), pixels, 0.05)
        # Two times the distance of the principal point from the middle: what the published code is off by (10.43 px,
        # with pixels from the centre of the first one and points from its corner).
        off = np.asarray(camera.project(own, points) - pixels)
        close(off, np.tile([2 * (315.28337 - 320.0), 0.0], (21, 1)), 0.05)

    def test_the_palm_comes_back_from_a_made_wrist(self, stb_set, bumblebee):
        for splits, rule in ((stb_set[1], "wrist_mid2.2"), (bumblebee["bb_right_wrist_ring2"][1], "wrist_ring2")):
            for example in splits["test"].values():
                close(palm_of_wrist(example["keypoints_3d"], rule), example["palm_3d"], 1e-6)

    def test_an_unknown_rule_is_refused(self):
        with pytest.raises(ValueError, match="palm, wrist_mid2.2, wrist_ring2"):
            wrist_of_palm(np.zeros((21, 3)), "middle")
        with pytest.raises(ValueError, match="must make a wrist"):
            palm_of_wrist(np.zeros((21, 3)), "palm")

    def test_missing_labels_are_named(self, tmp_path):
        stb.write(tmp_path / "manual")
        (tmp_path / "manual/STB/labels/B4Random_SK.mat").unlink()
        message = missing_file_message(stb_dataset_builder, tmp_path)
        assert "B4Random_SK.mat" in message and "github.com/zhjwustc" in message

    def test_labels_of_another_shape_are_named(self, tmp_path):
        path = epath.Path(tmp_path / "B1Counting_SK.mat")
        path.write_bytes(b"MATLAB 7.3 MAT-file")
        with pytest.raises(ValueError, match="B1Counting_SK.mat"):
            stb_dataset_builder.read_points(path)


class TestDexter:
    def test_pictures_without_a_fingertip_are_left_out(self, dexter_set):
        assert len(dexter_set["test"]) == 12
        assert {"Grasp1/Color_0001.bmp", "Rotate/Color_0002.bmp"} < dexter_set["test"].keys()
        # In the order of the sequences and frames.
        assert list(dexter_set["test"])[:3] == [
            "Grasp1/Color_0001.bmp",
            "Grasp1/Color_0002.bmp",
            "Grasp2/Color_0001.bmp",
        ]

    def test_the_thumb_tip_is_where_it_is_by_hand(self, dexter_set):
        example = dexter_set["test"]["Grasp1/Color_0001.bmp"]
        # (31, 20, 400) mm in the depth camera, then the published matrix.
        close(example["keypoints_3d"][0, 4], [0.0565522, 0.0148863, 0.3948257], 1e-6)
        close(example["keypoints_2d"][0, 4], [409.642, 272.147], 0.01)
        close(example["intrinsics"], [[587.45209, 0, 325.5], [0, 600.67456, 249.5], [0, 0, 1]], 1e-3)
        assert reprojection_px(example) < 0.05

    def test_only_the_tips_are_labelled(self, dexter_set):
        example = dexter_set["test"]["Grasp1/Color_0001.bmp"]
        assert np.flatnonzero(example["keypoints_3d_valid"][0]).tolist() == [4, 8, 12, 16, 20]
        assert np.flatnonzero(example["keypoints_2d_valid"][0]).tolist() == [4, 8, 12, 16, 20]
        # The order is kept: x falls from the thumb to the little finger.
        assert (np.diff(example["keypoints_3d"][0, [4, 8, 12, 16, 20], 0]) < 0).all()

    def test_a_tip_without_depth_is_not_valid(self, dexter_set):
        example = dexter_set["test"]["Grasp1/Color_0002.bmp"]
        assert np.flatnonzero(example["keypoints_3d_valid"][0]).tolist() == [8, 12, 16, 20]
        assert not example["keypoints_3d"][0, 4].any()

    def test_bitmaps_are_rgb(self, dexter_set):
        example = dexter_set["test"]["Grasp1/Color_0001.bmp"]
        assert example["image"].shape == (24, 32, 3) and example["image"][0, 0].tolist() == [250, 0, 0]

    @pytest.mark.parametrize("signs", [(1, 1), (-1, -1), (-1, 1), (1, -1)])
    def test_the_signs_of_the_axes_follow_from_both_files(self, signs):
        points = np.random.default_rng(0).normal((0, 0, 400), (60, 40, 30), (20, 5, 3))
        pixels = dexter_object.pixels(points.reshape(-1, 3)).reshape(20, 5, 2)
        # A tenth of the labels are wrong, as in the set.
        pixels[::10] = [[300, 10]] * 5
        assert dexter_annotations.axis_signs(pixels, points * (*signs, 1), "sequence").tolist() == list(signs)

    def test_files_that_do_not_belong_together_are_refused(self):
        random = np.random.default_rng(0)
        points, pixels = random.normal((0, 0, 400), 30, (20, 5, 3)), random.uniform(1, 200, (20, 5, 2))
        with pytest.raises(ValueError, match="Pinch"):
            dexter_annotations.axis_signs(pixels, points, "Pinch")
        with pytest.raises(ValueError, match="8 fingertips"):
            dexter_annotations.axis_signs(pixels, np.full_like(points, 32001), "Pinch")

    @pytest.mark.parametrize("line", ["1, 2, 3; 4, 5, 6", "1, 2; 1, 2; 1, 2; 1, 2; 1, 2", "a, 2, 3; ; ; ; "])
    def test_a_damaged_line_is_named(self, tmp_path, line):
        path = epath.Path(tmp_path / "Grasp13D.txt")
        path.write_text(f"1,2,3;1,2,3;1,2,3;1,2,3;1,2,3;\n{line}\n")
        with pytest.raises(ValueError, match=r"Grasp13D\.txt, line 2"):
            dexter_annotations.read_tips(path, 3)

    def test_egodexter_has_its_own_marks_for_what_is_missing(self, tmp_path_factory):
        builder, splits = made(
            dexter_object_dataset_builder, dexter_object.write_egodexter, tmp_path_factory, "egodexter"
        )
        test = splits["test"]
        assert builder.info.metadata["axis_signs"]["Desk"] == [1, 1]
        assert len(test) == 8 and "Desk/image_00002_color.png" not in test
        example = test["Desk/image_00003_color.png"]
        assert np.flatnonzero(example["keypoints_3d_valid"][0]).tolist() == [4, 8, 12, 16]
        # (33, 20, 400): x = 33 + 20 * 0.00090442 - 400 * 0.0074 + 20.2365.
        close(example["keypoints_3d"][0, 4, 0], 0.05029459, 1e-6)


class TestEgoHands:
    def test_listed_videos_are_in_their_split_and_the_others_in_rest(self, egohands_set):
        assert egohands_set.keys() == {"test", "rest"} and len(egohands_set["rest"]) == 3
        assert egohands_set["test"].keys() == {f"CHESS_OFFICE_S_B/frame_{n}" for n in ("0012", "0345", "2345")}

    def test_a_box_spans_the_pixels_that_matlab_counts(self, egohands_set):
        example = egohands_set["rest"]["CARDS_COURTYARD_B_T/frame_0011"]
        # x from 10.2 to 50.7 are pixels 10 to 51 counted from 1: 42 wide, from the edge at 9.
        close(example["box"][0], [9, 19, 51, 81])
        assert example["valid"].tolist() == [True, False, False, False]
        assert not example["keypoints_2d_valid"].any() and not example["keypoints_3d_valid"].any()

    def test_a_box_is_cut_at_the_border(self, egohands_set):
        example = egohands_set["rest"]["CARDS_COURTYARD_B_T/frame_0345"]
        close(example["box"][2], [1199, 599, 1280, 720])
        close(box_of_polygon(np.array([(-4.0, 0.2), (3.4, 5.5)]), 1280, 720), [0, 0, 3, 6])

    def test_slots_are_own_left_own_right_then_the_other_persons(self, egohands_set):
        example = egohands_set["rest"]["CARDS_COURTYARD_B_T/frame_0345"]
        assert example["valid"].tolist() == [False, True, True, True]
        assert example["side"][1:].tolist() == [1, 0, 1] and example["side_valid"].tolist() == [False, True, True, True]

    def test_the_mask_is_the_polygon_and_own_hands_are_in_front(self, egohands_set):
        mask = egohands_set["rest"]["CARDS_COURTYARD_B_T/frame_0345"]["mask"][..., 0]
        # 101 to 110 counted from 1 are rows 200 to 209 and columns 100 to 109; the nearer one is 5 further.
        assert np.argwhere(mask == 4).min(0).tolist() == [200, 100]
        nearer = np.argwhere(mask == 2)
        assert nearer.min(0).tolist() == [205, 105] and nearer.max(0).tolist() == [214, 114]
        assert np.count_nonzero(mask == 2) == 100 and np.count_nonzero(mask == 4) == 75
        assert mask[719, 1279] == 3

    def test_a_frame_without_hands_is_a_frame_without_hands(self, egohands_set):
        example = egohands_set["rest"]["CARDS_COURTYARD_B_T/frame_2345"]
        assert not example["valid"].any() and not example["mask"].any() and example["mask_valid"]

    def test_a_list_of_videos_that_are_not_there_is_refused(self, tmp_path):
        path = epath.Path(tmp_path / "splits.json")
        path.write_text('{"train": ["CARDS_COURTYARDS_B_T"]}')
        with pytest.raises(ValueError, match="CARDS_COURTYARDS_B_T"):
            egohands_dataset_builder.read_splits(path, {"CARDS_COURTYARD_B_T": []})
        path.write_text('{"train": ["CARDS_COURTYARD_B_T"], "test": ["CARDS_COURTYARD_B_T"]}')
        with pytest.raises(ValueError, match="each once, got CARDS_COURTYARD_B_T"):
            egohands_dataset_builder.read_splits(path, {"CARDS_COURTYARD_B_T": []})

    def test_without_a_list_there_is_one_split(self, tmp_path):
        path = epath.Path(tmp_path / "splits.json")
        assert egohands_dataset_builder.read_splits(path, {"CARDS_COURTYARD_B_T": []}) == {
            "labelled": ["CARDS_COURTYARD_B_T"]
        }

    def test_a_missing_video_is_named(self, tmp_path):
        egohands.write(tmp_path / "manual")
        samples = tmp_path / "manual/egohands/_LABELLED_SAMPLES"
        (samples / "CHESS_OFFICE_S_B").rename(samples / "elsewhere")
        message = missing_file_message(egohands_dataset_builder, tmp_path)
        assert "CHESS_OFFICE_S_B" in message and "vision.soic.indiana.edu" in message


RIGHT_VIEW = "subject_4/0003_RT_pinch/cam400012/image0004"


class TestDeepHandMesh:
    def test_splits_are_the_hands_of_the_sequences_and_ranges_of_motion_stand_apart(self, studio_set):
        counts = {split: len(examples) for split, examples in studio_set.items()}
        assert counts == {"right": 2, "right_rom": 2, "left": 2}
        # One for each frame with keypoints and each colour camera.
        assert studio_set["right"].keys() == {RIGHT_VIEW, RIGHT_VIEW.replace("400012", "400049")}

    def test_the_index_fingertip_is_where_it_is_by_hand(self, studio_set):
        example = studio_set["right"][RIGHT_VIEW]
        # (125, -30, 1005) mm in the studio; the camera's x is 100 - y, its y is x - 50.
        close(example["keypoints_3d"][1, 8], [0.13, 0.075, 1.005])
        close(example["keypoints_2d"][1, 8], [175.889303, 169.638060], 1e-3)
        close(example["keypoints_3d"][1, 0], [0.03, 0.04, 0.99])
        assert example["valid"].tolist() == [False, True] and example["side"][1] == 1
        assert reprojection_px(example) < 0.05

    def test_intrinsics_are_scaled_to_the_picture(self, studio_set):
        example = studio_set["right"][RIGHT_VIEW]
        assert example["image"].shape == (256, 167, 3)
        close(example["intrinsics"], [[635, 0, 93.75], [0, 635, 122.25], [0, 0, 1]], 1e-4)

    def test_the_pose_of_the_camera_is_kept_in_metres(self, studio_set):
        example = studio_set["right"][RIGHT_VIEW]
        close(example["camera_rotation"], [[0, -1, 0], [1, 0, 0], [0, 0, 1]])
        close(example["camera_translation"], [0.1, -0.05, 0])

    def test_a_joint_that_is_not_listed_is_not_valid(self, studio_set):
        example = studio_set["right"][RIGHT_VIEW]
        assert np.flatnonzero(~example["keypoints_3d_valid"][1]).tolist() == [6]
        assert not example["keypoints_3d"][1, 6].any() and not example["keypoints_2d_valid"][1, 6]

    def test_a_left_hand_is_in_slot_0(self, studio_set):
        example = studio_set["left"]["subject_4/0007_LT_fist/cam400049/image0007"]
        assert example["valid"].tolist() == [True, False] and example["side"][0] == 0 and example["side_valid"][0]
        # (-175, -20, 1045) mm in the studio.
        close(example["keypoints_3d"][0, 8], [0.12, -0.225, 1.045])

    def test_depth_is_in_metres_at_the_size_of_the_picture(self, studio_set):
        example = studio_set["right"][RIGHT_VIEW]
        assert example["depth"].shape == (256, 167, 1) and example["depth_valid"]
        # Row 2, column 1 of 6 x 4 covers rows 86 to 127 and columns 42 to 83; beneath it lies 1 km, which is none.
        close(example["depth"][100, 60], 1.234)
        assert example["depth"][140, 60] == 0 and example["depth"][60, 60] == 0
        other = studio_set["right"][RIGHT_VIEW.replace("400012", "400049")]
        assert not other["depth_valid"] and not other["depth"].any()

    def test_names_of_the_first_subject_are_numbers(self):
        assert split_of("subject_1", "01_fist") == "left" and split_of("subject_2", "0001_DH_clasp") == "both"
        assert split_of("subject_4", "0002_LT_ROM") == "left_rom" and split_of("subject_4", "calibration") is None

    def test_a_depth_map_that_calls_something_is_refused(self, tmp_path):
        path = epath.Path(tmp_path / "depthmap400012.pkl")
        path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
        with pytest.raises(ValueError, match=r"depthmap400012\.pkl"):
            studio_files.read_depth(path)

    @pytest.mark.parametrize("line", ["42 1 2 3 4 5", "7 1 2", "7 a 2 3 4 5", "-1 1 2 3 4 5", "1.5 1 2 3 4 5"])
    def test_a_damaged_line_of_keypoints_is_named(self, tmp_path, line):
        path = epath.Path(tmp_path / "keypoints0004.pts")
        path.write_text(f"0 1 2 3 4 5\n{line}\n")
        with pytest.raises(ValueError, match=r"keypoints0004\.pts, line 2"):
            studio_files.read_points(path)

    def test_damaged_cameras_are_named(self, tmp_path):
        path, text = epath.Path(tmp_path / "KRT_512"), deephandmesh.cameras_text()
        for damaged, named in ((text[:-20], "KRT_512"), (text.replace("1 0 0 -50", "1 0 -50", 1), "camera 400012")):
            path.write_text(damaged)
            with pytest.raises(ValueError, match=named):
                studio_files.read_cameras(path)

    def test_pictures_without_keypoints_are_asked_for(self, tmp_path):
        deephandmesh.write(tmp_path / "manual")
        data = tmp_path / "manual/DeepHandMesh/data"
        (data / "annotations/keypoints/subject_4").rename(data / "annotations/keypoints/subject_3")
        assert "keypoints<frame>.pts" in missing_file_message(deephandmesh_dataset_builder, tmp_path)
        (data / "annotations/KRT_512").unlink()
        assert "KRT_512" in missing_file_message(deephandmesh_dataset_builder, tmp_path)


class TestLabels:
    def test_the_first_pixel_centre_moves_with_the_principal_point(self):
        moved = labels.intrinsics_from_opencv(labels.pinhole(500, 510, 319.5, 239.5))
        close(moved, [[500, 0, 320], [0, 510, 240], [0, 0, 1]])
        close(labels.pixels_from_opencv([[0, 0], [10, 20]]), [[0.5, 0.5], [10.5, 20.5]])

    def test_points_behind_the_camera_have_no_pixel(self):
        pixels = labels.project(labels.pinhole(100, 100, 50, 50), [[0.1, 0.2, 1.0], [0.1, 0.2, -1.0], [0, 0, 0]])
        close(pixels[0], [60, 70])
        assert np.isnan(pixels[1:]).all()

    def test_channels_keep_the_order_and_the_bits_of_the_file(self):
        stored = np.full((2, 3, 3), (1, 2, 60000), np.uint16)
        values = labels.read_channels(cv2.imencode(".png", stored)[1].tobytes(), "file")
        assert values.dtype == np.uint16 and values[0, 0].tolist() == [60000, 2, 1]
        grey = labels.read_channels(cv2.imencode(".png", stored[..., 2])[1].tobytes(), "file")
        assert grey.shape == (2, 3, 1) and grey[0, 0, 0] == 60000

    @pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
    def test_what_is_no_picture_is_named(self, data):
        for read in (labels.read_rgb, labels.read_channels):
            with pytest.raises(ValueError, match="color/00003.png"):
                read(data, "color/00003.png")

    def test_a_picture_that_is_cut_off_or_damaged_is_not_taken(self):
        whole = cv2.imencode(".png", np.arange(3000, dtype=np.uint8).reshape(50, 60))[1].tobytes()
        damaged = whole[:60] + bytes([whole[60] ^ 1]) + whole[61:]
        for data in (whole[: len(whole) // 2], damaged):
            with pytest.raises(ValueError, match="mask/00003.png must be a whole picture"):
                labels.read_channels(data, "mask/00003.png")


def test_every_set_reprojects_within_a_twentieth_of_a_pixel(rhd_set, stb_set, bumblebee, dexter_set, studio_set):
    sets = [rhd_set, stb_set[1], dexter_set, studio_set, *(splits for _, splits in bumblebee.values())]
    examples = [example for splits in sets for split in splits.values() for example in split.values()]
    assert len(examples) > 30
    assert max(reprojection_px(example) for example in examples if example["valid"].any()) < 0.05


def drawn_flat(key, count, settings, source=None):
    """In place of the drawing, which takes a minute to compile: flat pictures that differ from key to key."""
    height, width = settings.size
    found = {name: np.stack([value] * count) for name, value in schema.blank(settings.slots).items()}
    shades = np.asarray(jax.random.randint(key, (count, 1, 1, 1), 0, 256), np.uint8)
    found["image"] = np.broadcast_to(shades, (count, height, width, 3))
    found["mask"] = np.full((count, height, width), 2, np.int8)
    found["depth"] = np.full((count, height, width), 0.375, np.float32)
    found["side"][:] = 1
    return found


class TestSyntheticHands:
    CONFIG = synthetic_hands_dataset_builder.SyntheticConfig(
        name="tiny", settings=Settings(size=(24, 32), scene="two"), train=21, test=5, seed=3
    )

    def test_as_many_pictures_as_the_config_says_in_order_and_without_repeats(self, tmp_path, monkeypatch):
        monkeypatch.setattr(synthetic_hands_dataset_builder, "batch", drawn_flat)
        builder, splits = built(synthetic_hands_dataset_builder, None, tmp_path, self.CONFIG)
        assert list(splits["train"]) == [f"train/{number:08d}" for number in range(21)] and len(splits["test"]) == 5
        shades = [example["image"][0, 0, 0] for split in splits.values() for example in split.values()]
        assert len(set(shades)) > 20
        again = built(synthetic_hands_dataset_builder, None, tmp_path / "again", self.CONFIG)[1]
        assert shades == [example["image"][0, 0, 0] for split in again.values() for example in split.values()]
        example = splits["train"]["train/00000020"]
        assert (
            example["mask"].shape == (24, 32, 1) and (example["mask"] == 2).all() and (example["depth"] == 0.375).all()
        )
        assert example["side"].tolist() == [1, 1]
        assert "size=(24, 32)" in builder.info.metadata["settings"] and builder.info.metadata["seed"] == 3

    def test_maps_are_left_out_where_they_are_not_wanted(self, tmp_path, monkeypatch):
        monkeypatch.setattr(synthetic_hands_dataset_builder, "batch", drawn_flat)
        config = dataclasses.replace(self.CONFIG, name="bare", train=3, test=0, maps=False)
        example = built(synthetic_hands_dataset_builder, None, tmp_path, config)[1]["train"]["train/00000002"]
        assert not {"mask", "depth"} & example.keys()
        assert not example["mask_valid"] and not example["depth_valid"]
        assert example["image"].shape == (24, 32, 3)

    def test_photographs_are_given_to_what_is_drawn(self, tmp_path, monkeypatch):
        cv2.imwrite(str(tmp_path / "wall.png"), np.full((8, 8, 3), 90, np.uint8))
        given = []

        def drawn(key, count, settings, source):
            given.append(source)
            return drawn_flat(key, count, settings)

        usual = namedtuple("Assets", "photos")(None)
        monkeypatch.setattr(synthetic_hands_dataset_builder, "batch", drawn)
        monkeypatch.setattr(synthetic_hands_dataset_builder, "assets", lambda: usual)
        config = dataclasses.replace(self.CONFIG, name="walls", train=3, test=0, photos=str(tmp_path))
        built(synthetic_hands_dataset_builder, None, tmp_path / "data", config)
        assert given[0].photos.shape == (1, 256, 256, 3) and (given[0].photos == 90).all()

    @pytest.mark.slow
    def test_drawn_pictures_are_stored_as_they_were_drawn(self, tmp_path):
        plain = Settings(size=(32, 32), backgrounds=None, occluders=None, degrade=None)
        config = dataclasses.replace(self.CONFIG, settings=plain, train=3, test=0)
        example = built(synthetic_hands_dataset_builder, None, tmp_path, config)[1]["train"]["train/00000002"]
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(3), 0), 0)
        drawn = jax.device_get(batch(key, synthetic_hands_dataset_builder.AT_ONCE, config.settings))
        for name, values in drawn.items():
            stored = example[name][..., 0] if name in ("mask", "depth") else example[name]
            np.testing.assert_array_equal(stored, values[2])
        assert reprojection_px(example) < 0.05
