"""FreiHAND, HO-3D, InterHand2.6M, DexYCB and COCO-WholeBody: from files in their own layout to the common example.

Expected values are worked out by hand from the numbers that the fixtures write.
"""

import json
import os
import pickle

import numpy as np
import pytest

from handjax.mano.types import MANO_KEYPOINT_IDS
from tests import mano_files, reference
from tests.dataset_fixtures import coco_hands, dexycb, freihand, ho3d, interhand

tfds = pytest.importorskip("tensorflow_datasets")

from datasets import hand_models, manual, schema  # noqa: E402
from datasets.coco_hands.coco_hands_dataset_builder import Builder as CocoHands  # noqa: E402
from datasets.dexycb import splits as dexycb_splits  # noqa: E402
from datasets.dexycb.dexycb_dataset_builder import Builder as DexYcb  # noqa: E402
from datasets.freihand.freihand_dataset_builder import Builder as FreiHand  # noqa: E402
from datasets.ho3d import meta  # noqa: E402
from datasets.ho3d.ho3d_dataset_builder import Builder as Ho3d  # noqa: E402
from datasets.interhand.interhand_dataset_builder import Builder as InterHand  # noqa: E402

LEFT, RIGHT = 0, 1
SETS = {
    "freihand": (FreiHand, None, freihand.write),
    "ho3d": (Ho3d, "v2", ho3d.write),
    "interhand": (InterHand, None, interhand.write),
    "dexycb": (DexYcb, "s0", dexycb.write),
    "coco_hands": (CocoHands, None, coco_hands.write),
}


def build(kind, manual_dir, data_dir, config=None):
    """-> the prepared builder."""
    builder = kind(data_dir=data_dir, config=config, file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def examples(builder) -> dict[str, list[dict]]:
    return {split: list(builder.as_data_source(split)) for split in builder.info.splits}


@pytest.fixture(scope="module")
def models() -> dict[int, dict]:
    """Fields of both MANO files. The left one has the right one's shapedirs, as the released file does."""
    right = mano_files.mano_arrays(seed=3)
    left = mano_files.mano_arrays(seed=3, side="left")
    left["shapedirs"] = right["shapedirs"]
    left["hands_mean"] = right["hands_mean"] * np.tile([1, -1, -1], 15)
    return {LEFT: left, RIGHT: right}


@pytest.fixture(scope="module")
def mano_folder(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    mano_files.write_pickle(folder / "MANO_RIGHT.pkl", mano_files.licensed_fields(models[RIGHT]))
    mano_files.write_pickle(folder / "MANO_LEFT.pkl", mano_files.licensed_fields(models[LEFT]))
    return folder


def with_models(root, mano_folder):
    root.mkdir(parents=True, exist_ok=True)
    (root / "mano").symlink_to(mano_folder)
    return root


def posed(fields: dict, betas, global_orient, hand_pose, transl, *, mirrored_shapes: bool = False) -> dict:
    """Float64: one hand of a MANO file, fingers from the flat hand."""
    shapedirs = fields["shapedirs"][:, :, :10]
    if mirrored_shapes:
        shapedirs = shapedirs * np.array([-1, 1, 1])[:, None]
    parents = np.array([-1, *fields["kintree_table"][0][1:]])
    raw = {**fields, "shapedirs": shapedirs, "lbs_weights": fields["weights"], "parents": parents}
    return reference.posed(raw, betas, global_orient, hand_pose, transl)


def posed_example(fields: dict, example: dict, slot: int = 0, **options) -> dict:
    names = ("betas", "global_orient", "hand_pose", "transl")
    return posed(fields, *(example[name][slot].astype(np.float64) for name in names), **options)


@pytest.fixture(scope="module")
def freihand_set(mano_folder, tmp_path_factory):
    root = with_models(tmp_path_factory.mktemp("freihand"), mano_folder)
    freihand.write(root)
    return examples(build(FreiHand, root, tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def ho3d_set(models, mano_folder, tmp_path_factory):
    root = with_models(tmp_path_factory.mktemp("ho3d"), mano_folder)
    rest = models[RIGHT]["J_regressor"] @ (
        models[RIGHT]["v_template"] + models[RIGHT]["shapedirs"][:, :, :10] @ ho3d.betas(1)
    )
    ho3d.write(root, "v3", rest_roots=(ho3d.REST_ROOT, rest[0]), evaluation_lists=True)
    return examples(build(Ho3d, root, tmp_path_factory.mktemp("data"), "v3"))


@pytest.fixture(scope="module")
def interhand_set(mano_folder, tmp_path_factory):
    root = with_models(tmp_path_factory.mktemp("interhand"), mano_folder)
    interhand.write(root)
    return examples(build(InterHand, root, tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def dexycb_set(mano_folder, tmp_path_factory):
    root = with_models(tmp_path_factory.mktemp("dexycb"), mano_folder)
    dexycb.write(root)
    return examples(build(DexYcb, root, tmp_path_factory.mktemp("data"), "s0"))


@pytest.fixture(scope="module")
def coco_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("coco")
    coco_hands.write(root)
    return examples(build(CocoHands, root, tmp_path_factory.mktemp("data")))


# FreiHAND


def test_freihand_keypoints_and_camera_are_the_files_in_continuous_pixels(freihand_set):
    example = freihand_set["train"][0]
    assert example["name"] == b"gs/00000000"
    assert example["valid"].tolist() == [True] and example["side"].tolist() == [RIGHT] and example["side_valid"].all()
    np.testing.assert_allclose(
        example["keypoints_3d"][0, [0, 6]], [[0.02, 0.03, 0.6], [0.046, -0.02, 0.602]], atol=1e-6
    )
    # 480 * 0.02 / 0.6 + 112, 480 * 0.03 / 0.6 + 112, and half a pixel.
    np.testing.assert_allclose(example["keypoints_2d"][0, 0], [128.5, 136.5], atol=1e-4)
    np.testing.assert_allclose(example["intrinsics"], [[480, 0, 112.5], [0, 480, 112.5], [0, 0, 1]])
    np.testing.assert_allclose(example["vertices"][0], freihand.verts(0), atol=1e-6)
    assert example["vertices_valid"].all()


def test_freihand_gives_the_four_versions_of_a_sample_one_label_and_one_mask(freihand_set):
    train = freihand_set["train"]
    versions = ["gs", "hom", "sample", "auto"]
    assert [example["name"].decode() for example in train] == [f"{v}/0000000{i}" for i in (0, 1) for v in versions]
    # Version 1 of sample 1 is picture 1 + 2 * 1, of shade 60: red 120, green 90, blue 60.
    np.testing.assert_allclose(train[5]["image"][0, 0], [120, 90, 60], atol=3)
    np.testing.assert_array_equal(train[5]["keypoints_3d"], train[4]["keypoints_3d"])
    for example, pixels in zip(train, [2048] * 4 + [1024] * 4, strict=True):
        assert example["mask_valid"] and example["mask"].sum() == pixels and example["mask"].max() == 1
        assert example["mask"][32, 130, 0] == 1 and example["mask"][31, 130, 0] == 0


def test_freihand_mano_puts_joint_nine_where_root_pixel_and_scale_say(freihand_set, models):
    example = freihand_set["train"][0]
    assert example["mano_valid"].all()
    np.testing.assert_allclose(
        example["hand_pose"][0, :3] - models[RIGHT]["hands_mean"][:3], [0.25, 0.5, -0.75], atol=1e-6
    )
    np.testing.assert_allclose(example["global_orient"][0], [0.1, -0.2, 0.3], atol=1e-6)
    joint = posed_example(models[RIGHT], example)["joints"][MANO_KEYPOINT_IDS[9]]
    # ((120 - 112) / 700, (100 - 112) / 700, 480 / 700)
    np.testing.assert_allclose(joint, [0.011429, -0.017143, 0.685714], atol=2e-6)


def test_freihand_evaluation_has_the_labels_of_its_own_archive_and_no_mask(freihand_set):
    (example,) = freihand_set["evaluation"]
    assert example["name"] == b"00000000" and not example["mask_valid"] and example["mask"].shape == (224, 224, 1)
    np.testing.assert_allclose(example["keypoints_3d"][0, 0], [0.12, 0.03, 0.6], atol=1e-6)
    np.testing.assert_allclose(example["vertices"][0], freihand.verts(10), atol=1e-6)


def test_freihand_without_evaluation_labels_or_models_flags_what_it_lacks(tmp_path, caplog):
    freihand.write(tmp_path / "manual" / "FreiHAND_pub_v2", evaluation_labels=False)
    builder = build(FreiHand, tmp_path / "manual", tmp_path / "data")
    found = examples(builder)
    (example,) = found["evaluation"]
    assert example["valid"].all() and example["intrinsics_valid"]
    for flag in ("keypoints_3d_valid", "keypoints_2d_valid", "mano_valid", "vertices_valid"):
        assert not example[flag].any()
    assert not any(one["mano_valid"].any() for one in found["train"]) and found["train"][0]["vertices_valid"].all()
    assert "mano/MANO_RIGHT" in builder.info.metadata["mano_files"]
    assert sum("mano/MANO_RIGHT" in record.getMessage() for record in caplog.records) == 1
    again = tfds.builder_from_directory(builder.data_dir)
    assert again.info.metadata["versions"].startswith("name is version/sample")


# HO-3D


def test_ho3d_joints_turn_from_opengl_and_are_permuted(ho3d_set):
    example = ho3d_set["train"][0]
    # Wrist, thumb tip, first joint of the little finger.
    expected = [[0.02, -0.03, 0.5], [0.06, -0.12, 0.484], [-0.008, -0.06, 0.536]]
    np.testing.assert_allclose(example["keypoints_3d"][0, [0, 4, 17]], expected, atol=1e-6)
    np.testing.assert_allclose(example["keypoints_2d"][0, 0], [336.68 + 0.5, 203.98 + 0.5], atol=1e-3)
    np.testing.assert_allclose(example["intrinsics"], [[617, 0, 312.5], [0, 617, 241.5], [0, 0, 1]])
    assert not example["mask_valid"]
    u, v = example["keypoints_2d"][0].T
    np.testing.assert_allclose(example["box"][0], [u.min(), v.min(), u.max(), v.max()], rtol=1e-6)


def test_ho3d_depth_has_its_low_byte_in_red(ho3d_set):
    depth = ho3d_set["train"][0]["depth"]
    # 100 + 256 * 15 = 3940 steps; 65535 steps.
    np.testing.assert_allclose(depth[10, [20, 21], 0], [0.492447, 8.191], atol=1e-3)
    assert ho3d_set["train"][0]["depth_valid"] and np.count_nonzero(depth) == 2


def test_ho3d_parameters_turn_about_the_posed_root(ho3d_set, models):
    first, second = ho3d_set["train"]
    assert first["mano_valid"].all()
    # handPose starts with zeros: half a turn about x is left. The rest root is (0.01, 0.01, -0.05).
    np.testing.assert_allclose(np.abs(first["global_orient"][0]), [np.pi, 0, 0], atol=1e-6)
    np.testing.assert_allclose(first["transl"][0], [0.01, -0.04, 0.55], atol=1e-6)
    np.testing.assert_allclose(first["hand_pose"][0], ho3d.angles(0)[3:], atol=1e-6)
    pose = ho3d.angles(1)
    raw = posed(models[RIGHT], ho3d.betas(1), pose[:3], pose[3:], np.zeros(3))
    shift = ho3d.joints()[0] - raw["joints"][0]
    expected = (raw["vertices"] + shift) * [1, -1, -1]
    np.testing.assert_allclose(posed_example(models[RIGHT], second)["vertices"], expected, atol=2e-6)
    np.testing.assert_allclose(second["vertices"][0], expected, atol=2e-6)
    assert second["vertices_valid"].all()


def test_ho3d_uses_listed_frames_in_the_order_of_the_list(ho3d_set):
    assert [one["name"] for one in ho3d_set["train"]] == [b"ABF10/0000", b"ABF10/0001"]
    assert [one["name"] for one in ho3d_set["evaluation"]] == [b"SM1/0001", b"SM1/0000"]


def test_ho3d_evaluation_takes_the_published_labels_line_by_line(ho3d_set):
    first, second = ho3d_set["evaluation"]
    np.testing.assert_allclose(
        second["keypoints_3d"][0, [0, 4]], [[0.021, -0.03, 0.5], [0.061, -0.12, 0.484]], atol=1e-6
    )
    np.testing.assert_allclose(second["vertices"][0], ho3d.mesh(1) * [1, -1, -1], atol=1e-6)
    assert first["keypoints_3d_valid"].all() and first["vertices_valid"].all() and not first["mano_valid"].any()


def test_ho3d_evaluation_alone_has_the_root_and_a_box(tmp_path):
    ho3d.write(tmp_path / "manual", "v2")
    found = examples(build(Ho3d, tmp_path / "manual", tmp_path / "data", "v2"))
    example = found["evaluation"][0]
    assert example["keypoints_3d_valid"][0].tolist() == [True] + [False] * 20
    np.testing.assert_allclose(example["keypoints_3d"][0, 0], [0.02, -0.03, 0.5], atol=1e-6)
    assert not example["keypoints_3d"][0, 1:].any() and not example["mano_valid"].any()
    np.testing.assert_allclose(example["box"][0], [300.5, 150.5, 380.5, 220.5])
    train = found["train"][0]
    assert train["mano_valid"].all() and not train["vertices_valid"].any() and not train["vertices"].any()


def test_ho3d_refuses_lists_of_another_length(tmp_path):
    ho3d.write(tmp_path / "manual", "v2")
    ho3d.write_lists(tmp_path / "manual" / "HO3D_v2", count=3)
    with pytest.raises(ValueError, match=r"evaluation_xyz.json must have an item for each of 2 frames.*got 3"):
        build(Ho3d, tmp_path / "manual", tmp_path / "data", "v2")


class Command:
    def __reduce__(self):
        return os.system, ("touch executed",)


def test_ho3d_meta_files_execute_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="nothing was run"):
        meta.read(pickle.dumps({"camMat": Command()}, protocol=2))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_ho3d_meta_files_of_every_python_are_read(protocol):
    known = {
        "camMat": ho3d.CAM_MAT,
        "handBoundingBox": [np.float32(value) for value in (1, 2, 3, 4.5)],
        "handPose": None,
    }
    if protocol == 0:
        arrays = {"camMat": ho3d.CAM_MAT, "handJoints3D": ho3d.joints().astype(np.float32)}
        found = meta.read(mano_files.python2_pickle(arrays, 0))
        np.testing.assert_allclose(found["handJoints3D"], ho3d.joints(), atol=1e-7)
    else:
        found = meta.read(pickle.dumps(known | {"objName": np.str_("a"), "camIDList": ["0"]}, protocol))
        assert found["handBoundingBox"].tolist() == [1, 2, 3, 4.5] and "handPose" not in found
    np.testing.assert_array_equal(found["camMat"], ho3d.CAM_MAT)


def test_ho3d_meta_files_with_other_shapes_are_refused_by_key():
    with pytest.raises(ValueError, match=r"handPose must have shape \(48,\), got \(45,\)"):
        meta.read(pickle.dumps({"handPose": np.zeros(45)}, 2))
    with pytest.raises(ValueError, match="handJoints3D must have 21 joints or the root, got 20"):
        meta.read(pickle.dumps({"handJoints3D": np.zeros((20, 3))}, 2))


# InterHand2.6M


def test_interhand_joints_come_from_the_world_into_both_slots(interhand_set):
    right, straight, turned, left = interhand_set["val"]
    assert right["valid"].tolist() == [False, True] and left["valid"].tolist() == [True, False]
    assert straight["valid"].all() and straight["side"].tolist() == [LEFT, RIGHT]
    # (150, -30, 1000) - (100, -50, 0) mm; 1270 * 0.05 + 187 and 1270 * 0.02 + 244.
    np.testing.assert_allclose(right["keypoints_3d"][1, 0], [0.05, 0.02, 1.0], atol=1e-6)
    np.testing.assert_allclose(right["keypoints_2d"][1, 0], [250.5 + 0.5, 269.4 + 0.5], atol=1e-3)
    # Turned by a quarter: x' = -y, y' = x. The left wrist is at (50, -40, 1100) mm.
    np.testing.assert_allclose(turned["keypoints_3d"][:, 0], [[-0.01, -0.05, 1.1], [-0.02, 0.05, 1.0]], atol=1e-6)
    np.testing.assert_allclose(turned["keypoints_2d"][1, 0], [161.6 + 0.5, 307.5 + 0.5], atol=1e-3)
    # The right hand's thumb tip and second index joint, from the straight camera.
    np.testing.assert_allclose(
        straight["keypoints_3d"][1, [4, 6]], [[0.09, -0.07, 0.984], [0.076, -0.03, 1.002]], atol=1e-6
    )
    np.testing.assert_allclose(straight["intrinsics"], [[1270, 0, 187.5], [0, 1270, 244.5], [0, 0, 1]])


def test_interhand_flags_placeholders_joints_out_of_view_and_unsure_sides(interhand_set):
    _, straight, turned, left = interhand_set["val"]
    for example in (straight, turned):
        assert np.flatnonzero(~example["keypoints_3d_valid"][1]).tolist() == [12]
        assert not example["keypoints_3d"][1, 12].any() and not example["keypoints_2d"][1, 12].any()
    assert np.flatnonzero(~turned["keypoints_2d_valid"][0]).tolist() == [17]
    assert turned["keypoints_3d_valid"][0].all() and straight["keypoints_2d_valid"][0].all()
    assert straight["side_valid"].all() and not left["side_valid"].any()


def test_interhand_parameters_move_with_the_camera_and_add_the_mean(interhand_set, models):
    right, straight, turned, left = interhand_set["val"]
    assert [one["mano_valid"].tolist() for one in (right, straight, turned, left)] == [
        *([False, True], [True, True], [True, True], [False, False])
    ]
    assert straight["vertices_valid"].all() and not left["vertices_valid"].any()
    # Nothing turns for the straight camera: the translation moves by -(0.1, -0.05, 0) m.
    fitted = interhand.fit("right", 20)
    np.testing.assert_allclose(straight["transl"][1] - fitted["trans"], [-0.1, 0.05, 0], atol=1e-6)
    relative = straight["hand_pose"][1] - models[RIGHT]["hands_mean"]
    np.testing.assert_allclose(relative, fitted["pose"][3:], atol=1e-6)
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    for slot, side in ((LEFT, "left"), (RIGHT, "right")):
        # The left fits belong to mirrored shapes, which the released left file lacks.
        fields, fitted, fixed = models[slot], interhand.fit(side, 20), {"mirrored_shapes": slot == LEFT}
        fingers = np.array(fitted["pose"][3:]) + fields["hands_mean"]
        world = posed(fields, fitted["shape"], fitted["pose"][:3], fingers, fitted["trans"], **fixed)
        expected = (world["vertices"] - [0.1, -0.05, 0]) @ turn.T
        np.testing.assert_allclose(posed_example(fields, turned, slot, **fixed)["vertices"], expected, atol=3e-6)


# DexYCB


def test_dexycb_frames_are_shifted_scaled_and_sided(dexycb_set):
    example = dexycb_set["val"][0]
    assert example["name"] == b"20200709-subject-01/20200709_141004/836212060125/color_000000"
    assert example["side"].tolist() == [LEFT] and example["valid"].all()
    np.testing.assert_allclose(example["keypoints_3d"][0, [0, 4]], [[0.1, -0.05, 0.8], [0.14, -0.14, 0.784]], atol=1e-6)
    # 615 * 0.1 / 0.8 + 312 and 614 * -0.05 / 0.8 + 238
    np.testing.assert_allclose(example["keypoints_2d"][0, 0], [388.875 + 0.5, 199.625 + 0.5], atol=1e-3)
    np.testing.assert_allclose(example["intrinsics"], [[615, 0, 312.5], [0, 614, 238.5], [0, 0, 1]])
    np.testing.assert_allclose(example["depth"][3, 5], [1.234], atol=1e-6)
    assert example["mask"].sum() == 6 and example["mask"][10, 20] == 1 and example["mask"].max() == 1


def test_dexycb_components_become_angles_about_the_mean_and_left_betas_stay(dexycb_set, models):
    example = dexycb_set["val"][0]
    assert example["mano_valid"].all()
    np.testing.assert_allclose(example["global_orient"][0], [0.3, -0.2, 0.1], atol=1e-6)
    np.testing.assert_allclose(example["transl"][0], [0.12, -0.04, 0.75], atol=1e-6)
    np.testing.assert_allclose(example["betas"][0], dexycb.BETAS, atol=1e-6)
    expected = dexycb.pose()[3:48] @ models[LEFT]["hands_components"] + models[LEFT]["hands_mean"]
    np.testing.assert_allclose(example["hand_pose"][0], expected, atol=1e-5)


def test_dexycb_leaves_the_slot_empty_where_the_hand_is_out_of_view(dexycb_set):
    example = dexycb_set["val"][1]
    assert example["name"].endswith(b"color_000001") and example["mask_valid"] and not example["mask"].any()
    for name in schema.HAND:
        assert not example[name].any(), name


def test_dexycb_s0_holds_out_each_fifth_sequence_in_the_official_order(dexycb_set):
    # Subjects 1 and 3 have five sequences of the fixture, the other eight one; eight cameras see each.
    assert {split: len(found) for split, found in dexycb_set.items()} == {"train": 8 * 16, "val": 8 * 2, "test": 8}
    assert {one["name"].split(b"/")[0] for one in dexycb_set["test"]} == {b"20200820-subject-03"}
    serials = [one["name"].split(b"/")[2].decode() for one in dexycb_set["val"]]
    assert serials == [serial for serial in dexycb.SERIALS for _ in range(2)]


def test_dexycb_setups_hold_out_subjects_cameras_or_objects():
    part = {split: dexycb_splits.part_of("s1", split) for split in ("train", "val", "test")}
    assert [part[split].subjects for split in part] == [(0, 1, 2, 3, 4, 5, 9), (6,), (7, 8)]
    part = {split: dexycb_splits.part_of("s2", split) for split in ("train", "val", "test")}
    assert [part[split].cameras for split in part] == [(0, 1, 2, 3, 4, 5), (6,), (7,)]
    held = {split: [i for i in range(100) if dexycb_splits.in_split("s3", split, i)] for split in ("val", "test")}
    assert held["val"] == [15, 16, 17, 18, 19, 95, 96, 97, 98, 99]
    assert held["test"] == [*range(35, 40), *range(55, 60), *range(75, 80)]
    assert sum(dexycb_splits.in_split("s3", "train", i) for i in range(100)) == 75
    assert dexycb_splits.SUBJECTS == tuple(dexycb.SUBJECTS) and dexycb_splits.SERIALS == tuple(dexycb.SERIALS)


# COCO-WholeBody


def test_coco_hands_stand_largest_first_with_their_persons_side(coco_set):
    (example,) = coco_set["train"]
    assert example["name"] == b"000000000009.jpg" and not example["intrinsics_valid"]
    assert np.flatnonzero(example["valid"]).tolist() == [0, 1, 2]
    assert example["side"][:3].tolist() == [RIGHT, RIGHT, LEFT] and example["side_valid"][:3].all()
    np.testing.assert_allclose(example["box"][:3], [[10, 20, 40, 35.5], [30, 4, 39, 13], [5, 6, 12, 14]])
    np.testing.assert_allclose(example["keypoints_2d"][0, [0, 5]], [[13.0, 30.5], [18.0, 28.0]])
    assert np.flatnonzero(~example["keypoints_2d_valid"][0]).tolist() == [4]
    assert not example["keypoints_3d_valid"].any() and not example["mano_valid"].any()


def test_coco_hands_reads_grey_pictures_as_colour(coco_set):
    (example,) = coco_set["val"]
    assert example["image"].shape == (40, 56, 3) and abs(int(example["image"][0, 0, 2]) - 139) < 3


# All


def test_pixels_are_the_projected_points_in_every_set(freihand_set, ho3d_set, interhand_set, dexycb_set):
    checked = 0
    for found in (freihand_set, ho3d_set, interhand_set, dexycb_set):
        for example in (one for split in found.values() for one in split):
            both = example["keypoints_2d_valid"] & example["keypoints_3d_valid"]
            points = example["keypoints_3d"][both].astype(np.float64) @ example["intrinsics"].T
            np.testing.assert_allclose(points[:, :2] / points[:, 2:], example["keypoints_2d"][both], atol=0.01)
            checked += both.sum()
    assert checked > 100 * 21


MISSING = [
    ("freihand", "training_mano.json", "lmb.informatik.uni-freiburg.de"),
    ("freihand", "evaluation/rgb", "lmb.informatik.uni-freiburg.de"),
    ("ho3d", "HO3D_v2/evaluation.txt", "github.com/shreyashampali/ho3d"),
    ("interhand", "InterHand2.6M_5fps/annotations/val/InterHand2.6M_val_camera.json", "mks0601.github.io"),
    ("dexycb", "20200820-subject-03", "dex-ycb.github.io"),
    ("dexycb", "calibration/intrinsics/841412060263_640x480.yml", "dex-ycb.github.io"),
    ("coco_hands", "annotations/coco_wholebody_val_v1.0.json", "COCO-WholeBody"),
]


@pytest.mark.parametrize("name, lost, homepage", MISSING, ids=[case[1] for case in MISSING])
def test_what_is_missing_is_named_with_its_folder_and_source(name, lost, homepage, tmp_path):
    kind, config, write = SETS[name]
    write(tmp_path / "manual")
    (tmp_path / "manual" / lost).rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError) as error:
        build(kind, tmp_path / "manual", tmp_path / "data", config)
    assert f"{tmp_path / 'manual' / lost}  (" in str(error.value) and homepage in str(error.value)


@pytest.mark.parametrize("name", SETS)
def test_an_empty_folder_says_what_to_download(name, tmp_path):
    kind, config, _ = SETS[name]
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "readme.txt").write_text("nothing yet")
    with pytest.raises(FileNotFoundError, match=r"That folder holds: readme.txt"):
        build(kind, tmp_path / "manual", tmp_path / "data", config)
    assert "ownload" in kind.MANUAL_DOWNLOAD_INSTRUCTIONS


def test_one_unreadable_picture_is_named_and_left_out_and_two_of_four_stop_the_build(tmp_path, caplog):
    interhand.write(tmp_path / "manual")
    pictures = sorted((tmp_path / "manual").rglob("*.jpg"))
    pictures[0].write_bytes(pictures[0].read_bytes()[:-40])
    found = examples(build(InterHand, tmp_path / "manual", tmp_path / "data"))
    assert len(found["val"]) == 3
    assert any("image10.jpg must be a whole JPEG" in record.getMessage() for record in caplog.records)
    pictures[1].unlink()
    with pytest.raises(ValueError, match=r"2 of the first 4 records could not be read(.|\n)*image20.jpg"):
        build(InterHand, tmp_path / "manual", tmp_path / "other")


def test_a_depth_picture_that_is_cut_off_is_no_depth_of_zeros(tmp_path, caplog):
    ho3d.write(tmp_path / "manual")
    path = tmp_path / "manual" / "HO3D_v2" / "train" / "ABF10" / "depth" / "0001.png"
    path.write_bytes(path.read_bytes()[:-30])
    found = examples(build(Ho3d, tmp_path / "manual", tmp_path / "data", "v2"))
    assert [one["name"] for one in found["train"]] == [b"ABF10/0000"]
    assert any("0001.png must be a whole" in record.getMessage() for record in caplog.records)


def test_a_left_model_whose_shapes_are_mirrored_already_is_not_mirrored_again(models, mano_folder, tmp_path):
    (tmp_path / "mano").mkdir()
    right_shapes = models[LEFT]["shapedirs"][:, :, :10]
    mirrored = right_shapes * np.array([-1, 1, 1])[:, None]
    mano_files.write_npz(tmp_path / "mano" / "MANO_LEFT.npz", {**models[LEFT], "shapedirs": mirrored})
    ours = hand_models.load(tmp_path, [LEFT, RIGHT], mirror_left_shapes=True)
    assert list(ours) == [LEFT]
    np.testing.assert_allclose(ours[LEFT].shapedirs, mirrored, atol=1e-7)
    with_models(tmp_path / "other", mano_folder)
    released = {flag: hand_models.load(tmp_path / "other", [LEFT], mirror_left_shapes=flag) for flag in (False, True)}
    np.testing.assert_allclose(released[True][LEFT].shapedirs, mirrored, atol=1e-7)
    np.testing.assert_allclose(released[False][LEFT].shapedirs, right_shapes, atol=1e-7)


def test_ordered_keys_keep_the_order_and_fill_the_range():
    keys = [manual.ordered_key(index, 1000) for index in range(1000)]
    assert keys == sorted(set(keys)) and keys[0] == 0 and 0.998 * 2**128 < keys[-1] < 2**128


def test_readable_stops_early_where_most_is_damaged():
    def read(number: int) -> int:
        if number % 2:
            raise ValueError("odd")
        return number

    seen = []
    with pytest.raises(ValueError, match="11 of the first 22 records"):
        for record, _ in manual.readable(range(10_000), read, name=str, homepage="there"):
            seen.append(record)
    assert len(seen) == 11
    scarce = manual.readable(range(1000), lambda i: 1 // (i % 500), name=str, homepage="there")
    with pytest.raises(ZeroDivisionError):
        list(scarce)


def test_freihand_lists_of_different_length_are_refused(tmp_path):
    freihand.write(tmp_path / "manual")
    path = tmp_path / "manual" / "training_xyz.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:1]))
    with pytest.raises(ValueError, match=r"training_xyz.json must be as long as the other lists, got only 1"):
        build(FreiHand, tmp_path / "manual", tmp_path / "data")
