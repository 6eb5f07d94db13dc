"""Batches of built sets: the same for a seed, resumable, shared out among processes, mixed, true to their labels."""

import dataclasses
import json
import logging
import re
from itertools import islice

import cv2
import jax
import numpy as np
import pytest

pytest.importorskip("tensorflow")

from datasets import build, mix
from datasets.augment import Augmentation
from datasets.loading import CorruptRecordsError
from datasets.pipeline import Settings, evaluation_batches, open_records, to_device, training_batches
from tests import tiny_set

COUNT, BATCH, SIZE = 16, 4, 64
HANDS = Settings(size=SIZE, augmentation="bihand", per_hand=True)
WHOLE = Settings(size=128)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    options = {
        "array_record": {"slots": 2},
        "tfrecord": {"slots": 2, "file_format": "tfrecord"},
        "bare": {"slots": 2, "pixelwise": False},
        "damaged": {"slots": 2, "cut_off": (2, 7)},
    }
    return {name: tiny_set.build(root / name, **option) for name, option in options.items()}


@pytest.fixture(scope="module")
def records(folders):
    return {name: open_records(folder) for name, folder in folders.items()}


def batches(records, count, settings=HANDS, **options):
    options = {"batch_size": BATCH, "process": (0, 1), "threads": 2, **options}
    stream = training_batches(records if isinstance(records, list) else [records], settings, **options)
    found = list(islice(stream, count))
    stream.close()
    return found


def assert_same(one, other):
    for first, second in zip(one, other, strict=True):
        assert first.names == second.names
        for name, value in first.examples.items():
            np.testing.assert_array_equal(value, second.examples[name], err_msg=name)


def names_of(found):
    return [name for batch in found for name in batch.names]


def test_a_seed_gives_one_stream_however_many_threads_there_are_and_another_seed_another(records):
    first = batches(records["array_record"], 4, threads=1)
    assert_same(first, batches(records["array_record"], 4, threads=3))
    assert names_of(first) != names_of(batches(records["array_record"], 4, seed=1))


def test_each_epoch_is_another_permutation_of_the_set_with_other_changes(records):
    found = batches(records["array_record"], 8)
    names = names_of(found)
    assert sorted(names[:COUNT]) == sorted(names[COUNT:]) == sorted(set(names))
    assert names[:COUNT] != names[COUNT:]
    images = {}
    for batch in found:
        for name, image in zip(batch.names, batch.examples["image"], strict=True):
            assert not any((image == other).all() for other in images.setdefault(name, []))
            images[name].append(image)


def test_a_stream_that_stopped_goes_on_with_the_batch_that_was_next(records):
    sets = [records["array_record"], records["tfrecord"]]
    whole = batches(sets, 7, weights=(3, 1))
    names = ["first", "second"]
    saved = json.dumps(mix.to_dict(whole[3].position, names))
    position = mix.from_dict(json.loads(saved), names)
    assert_same(whole[4:], batches(sets, 3, weights=(3, 1), position=position))


def test_two_processes_see_different_records_and_together_all_and_may_become_one(records):
    shares = [batches(records["array_record"], 4, process=(rank, 2)) for rank in (0, 1)]
    for epoch in (slice(0, 2), slice(2, 4)):
        first, second = (set(names_of(share[epoch])) for share in shares)
        assert len(first) == len(second) == COUNT // 2 and not first & second
    assert shares[0][1].position == shares[1][1].position
    alone = batches(records["array_record"], 4, position=shares[0][1].position)
    # One process takes in turn what two took side by side.
    both = zip(*(names_of(share[2:]) for share in shares), strict=True)
    assert names_of(alone) == [name for pair in both for name in pair]


def test_files_of_both_formats_give_the_same_stream(records):
    assert_same(batches(records["array_record"], 2), batches(records["tfrecord"], 2))


@pytest.mark.parametrize("weights", [(1, 1), (5, 2), (1, 0.1), (0.62, 0.38)])
def test_at_any_time_each_set_has_had_its_share(weights):
    taken = np.zeros(2)
    shares = np.array(weights) / np.sum(weights)
    for number, (draw, position) in enumerate(islice(mix.draws(mix.start(2), (7, 30), weights), 300), 1):
        taken[draw.which] += 1
        assert np.abs(taken - shares * number).max() <= 1
        np.testing.assert_array_equal(np.array(position.epochs) * (7, 30) + position.indices, taken)


def test_labels_stay_with_their_picture(records):
    wild = Augmentation(fill=(0.4, 0.8), shift=0.1, rotation=3.0)
    for batch in batches(records["array_record"], 3, dataclasses.replace(HANDS, augmentation=wild)):
        for row in range(BATCH):
            example = {name: value[row] for name, value in batch.examples.items()}
            assert example["side"] == 1
            projected = example["keypoints_3d"] @ example["intrinsics"].T
            np.testing.assert_allclose(projected[:, :2] / projected[:, 2:], example["keypoints_2d"], atol=0.05)
            inside = ((example["keypoints_2d"] > 1) & (example["keypoints_2d"] < SIZE - 1)).all(-1)
            np.testing.assert_array_equal(
                example["keypoints_visible"][~inside & (example["keypoints_2d"] < 0).any(-1)], False
            )
            x, y = example["keypoints_2d"][inside].astype(int).T
            assert inside.sum() > 10 and (example["image"][y, x].mean(-1) > 120).mean() > 0.9


def test_masks_and_depths_are_warped_without_new_values(records):
    record = next(evaluation_batches(records["array_record"], WHOLE, batch_size=BATCH, process=(0, 1)))
    values = set(np.unique(record.examples["depth"]).tolist())
    wild = dataclasses.replace(WHOLE, augmentation=Augmentation(rotation=3.0, zoom=(0.7, 1.4)))
    for batch in batches(records["array_record"], 3, wild):
        assert set(np.unique(batch.examples["mask"])) <= {0, 1, 2}
        for name, depth in zip(batch.names, batch.examples["depth"], strict=True):
            if name in record.names:
                assert set(np.unique(depth).tolist()) <= values
    single = batches(records["array_record"], 1)[0].examples
    assert set(np.unique(single["mask"])) == {0, 1} and single["mask"].dtype == np.int8


def test_a_whole_picture_is_fitted_in_and_not_changed_by_the_preset_none(records):
    batch = next(evaluation_batches(records["array_record"], WHOLE, batch_size=BATCH, process=(0, 1)))
    labels = tiny_set.labels_of(1, 2, (96, 128), [1, 1])
    image, mask, depth = tiny_set.drawn(labels, (96, 128))
    # 128 x 96 in the middle of 128 x 128.
    shift = np.array([0, 16], np.float32)
    np.testing.assert_array_equal(batch.examples["image"][1, 16:112], image)
    np.testing.assert_array_equal(batch.examples["mask"][1, 16:112], mask)
    np.testing.assert_array_equal(batch.examples["depth"][1, 16:112], depth)
    assert not batch.examples["image"][1, :16].any()
    np.testing.assert_allclose(batch.examples["keypoints_2d"][1], labels["keypoints_2d"] + shift, atol=1e-4)
    for name in ("keypoints_3d", "global_orient", "transl", "side"):
        np.testing.assert_array_equal(batch.examples[name][1], labels[name], err_msg=name)
    np.testing.assert_allclose(batch.examples["box"][1], labels["box"] + np.tile(shift, 2), atol=1e-4)


def test_a_large_picture_is_averaged_when_it_shrinks_and_stays_with_its_labels(tmp_path):
    size = (960, 1280)
    records = open_records(tiny_set.build(tmp_path, count=1, slots=2, size=size))
    batch = next(evaluation_batches(records, WHOLE, batch_size=4, process=(0, 1)))
    labels = tiny_set.labels_of(0, 2, size, [0])
    image, _, _ = tiny_set.drawn(labels, size)
    expected = cv2.resize(image, (128, 96), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(batch.examples["image"][0, 16:112].astype(int), expected, atol=2)
    np.testing.assert_allclose(
        batch.examples["keypoints_2d"][0, 0] * 10 - [0, 160], labels["keypoints_2d"][0], atol=1e-2
    )


def test_what_a_set_has_not_is_zero_and_said_to_be(records):
    found = batches([records["bare"], records["array_record"]], 2, weights=(1, 1))
    examples = {name: np.concatenate([batch.examples[name] for batch in found]) for name in found[0].examples}
    assert set(examples["mask_valid"]) == {False, True}
    for name in ("mask", "depth"):
        np.testing.assert_array_equal(examples[name].any((1, 2)), examples[f"{name}_valid"])


def test_evaluation_shows_each_hand_once_in_the_order_of_the_files(records):
    found = list(evaluation_batches(records["array_record"], HANDS, batch_size=4, process=(0, 1)))
    expected = [f"picture/{index:03d}" for index in range(COUNT) for _ in range(1 if index % 3 == 0 else 2)]
    assert names_of(found) == expected + [""] * (-len(expected) % 4)
    valid = np.concatenate([batch.examples["image_valid"] for batch in found])
    np.testing.assert_array_equal(valid, [bool(name) for name in names_of(found)])
    for name in ("valid", "keypoints_2d_valid", "mano_valid", "image", "depth"):
        assert not np.concatenate([batch.examples[name] for batch in found])[~valid].any(), name


def test_processes_share_out_an_evaluation_in_equally_many_batches(records):
    shares = [list(evaluation_batches(records["array_record"], WHOLE, batch_size=4, process=(r, 5))) for r in range(5)]
    assert {len(share) for share in shares} == {1}
    assert sorted(name for share in shares for name in names_of(share) if name) == [
        f"picture/{i:03d}" for i in range(COUNT)
    ]


def test_damaged_records_are_named_counted_and_left_out(records, caplog):
    with caplog.at_level(logging.WARNING, logger="datasets.loading"):
        found = batches(records["damaged"], 8, dataclasses.replace(HANDS, max_corrupt=0.2))
    names = names_of(found)
    assert len(names) == 32 and not {"picture/002", "picture/007"} & set(names)
    for name in ("picture/002", "picture/007"):
        # Once, though they came up twice.
        assert sum(f"left out {name} (" in message for message in caplog.messages) == 1
    evaluated = list(
        evaluation_batches(
            records["damaged"], dataclasses.replace(WHOLE, max_corrupt=0.2), batch_size=4, process=(0, 1)
        )
    )
    assert [name for name in names_of(evaluated) if name] == [
        f"picture/{i:03d}" for i in range(COUNT) if i not in (2, 7)
    ]


def test_more_damage_than_allowed_stops_with_an_error_that_names_it(records):
    with pytest.raises(CorruptRecordsError, match=r"tiny/train: 1 of 16 .* share of 0\.01; the last is picture/00[27]"):
        batches(records["damaged"], 6)
    source = records["array_record"]
    garbage = dataclasses.replace(source, read=lambda index: b"\xff\x00garbage" if index == 5 else source.read(index))
    with pytest.raises(CorruptRecordsError, match="record 5"):
        batches(garbage, 4)


def test_batches_reach_the_devices_as_they_were(records):
    host = batches(records["array_record"], 3)
    sharding = jax.sharding.NamedSharding(jax.make_mesh((4,), ("batch",)), jax.sharding.PartitionSpec("batch"))
    for there in (None, sharding):
        device = list(to_device(host, there))
        assert all(isinstance(value, jax.Array) for value in device[0].examples.values())
        assert_same(host, device)
        assert [batch.position for batch in device] == [batch.position for batch in host]
    assert len(device[0].examples["image"].sharding.device_set) == 4


def test_a_part_of_a_split_can_be_read(folders):
    first, rest = open_records(folders["array_record"], "train[:5]"), open_records(folders["tfrecord"], "train[5:]")
    assert (first.count, rest.count) == (5, COUNT - 5)
    names = names_of(evaluation_batches(rest, WHOLE, batch_size=4, process=(0, 1)))
    assert [name for name in names if name] == [f"picture/{i:03d}" for i in range(5, COUNT)]
    assert open_records("tiny", data_dir=folders["tfrecord"].rsplit("/tiny/")[0]).count == COUNT


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: Settings(augmentation="unknown"), ValueError, "augmentation must be one of"),
        (lambda r: Settings(size=0), ValueError, "size must be positive"),
        (lambda r: Settings(max_corrupt=2), ValueError, "max_corrupt must be a share"),
        (lambda r: Augmentation(rotation=7.0), ValueError, "rotation must be a number"),
        (lambda r: Augmentation(fill=(0.0, 1.0)), ValueError, "must be positive"),
        (lambda r: Augmentation(blur=(1.0, 0.5)), ValueError, r"blur must be \(lowest, highest\)"),
        (lambda r: batches([], 1), ValueError, "at least one set"),
        (lambda r: batches(r, 1, weights=(1, 2)), ValueError, "weights must be one positive number"),
        (lambda r: batches(r, 1, weights=(0,)), ValueError, "weights must be one positive number"),
        (lambda r: batches(r, 1, batch_size=0), ValueError, "batch_size must be"),
        (lambda r: batches(r, 1, process=(2, 2)), ValueError, "process must be"),
        (lambda r: batches(r, 1, position=mix.Position((0,), (99,))), ValueError, "position must be one of"),
        (lambda r: batches(r, 1, Settings(slots=1)), ValueError, "slots must be at least 2"),
        (lambda r: evaluation_batches(r, WHOLE, batch_size=0), ValueError, "batch_size must be"),
        (lambda r: to_device([], ahead=0), ValueError, "ahead must be at least 1"),
        (lambda r: mix.from_dict({"a": {}}, ["b"]), ValueError, "position must be one of the sets"),
        (lambda r: open_records("nowhere_to_be_found"), FileNotFoundError, "run python -m datasets.build"),
    ],
)
def test_bad_input_gets_a_clear_error(records, call, error, message):
    with pytest.raises(error, match=message):
        call(records["array_record"])


def test_a_split_that_is_not_there_and_a_file_that_is_cut_off_are_said(folders, tmp_path):
    with pytest.raises(ValueError, match="split must be one of train"):
        open_records(folders["array_record"], "test")
    folder = tiny_set.build(tmp_path, count=3, file_format="tfrecord")
    file = next(path for path in tmp_path.rglob("*tfrecord*") if path.is_file())
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match="whole TFRecord file, but ends within record 2"):
        open_records(folder)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="build it again"):
        open_records(folder)


def test_stored_meshes_come_when_asked_for_turn_with_their_hands_and_are_marked_where_there_is_none(tmp_path, records):
    with_meshes = open_records(tiny_set.build(tmp_path, slots=2, pixelwise=False, vertices=True))
    settings = Settings(size=SIZE, augmentation=Augmentation(rotation=3.0), vertices=True, pictures=("image",))
    found = batches([with_meshes, records["bare"]], 3, settings, weights=(1, 1))
    known = np.concatenate([batch.examples["vertices_valid"] for batch in found])
    vertices = np.concatenate([batch.examples["vertices"] for batch in found])
    points = np.concatenate([batch.examples["keypoints_3d"] for batch in found])
    # The second slot has MANO parameters alone, the second set no meshes at all.
    assert known[:, 0].any() and not known[:, 0].all() and not known[:, 1].any()
    expected = np.resize(points[known][0], (778, 3))
    np.testing.assert_allclose(vertices[known][0], expected, atol=1e-6)
    assert not vertices[~known].any()
    assert "vertices" not in batches(with_meshes, 1, WHOLE)[0].examples


@pytest.fixture
def command(monkeypatch, tmp_path):
    """`python -m datasets.build` with a set "tiny" besides the real ones."""
    real = build.builder_class
    monkeypatch.setattr(build, "builder_class", lambda name: tiny_set.Tiny if name == "tiny" else real(name))

    def run(*arguments):
        return build.main(["build", f"--data_dir={tmp_path}", *arguments])

    return run


def test_a_trial_build_does_not_stand_in_the_way_of_the_whole_set(command, tmp_path, capsys):
    assert command("--name=tiny", "--max_examples=3") == 0
    assert open_records("tiny", data_dir=tmp_path / "trial").count == 3
    assert command("--name=tiny") == 0
    assert open_records("tiny", data_dir=tmp_path).count == COUNT
    assert "train: 16 examples" in capsys.readouterr().out
    assert command("--name=tiny") == 0
    assert "is built already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ("", 1, "--name must be given, one of coco_hands, "),
        ("--name=freehand", 1, "--name must be one of coco_hands, .*freihand, .*got 'freehand'"),
        ("--name=freihand", 1, "--manual_dir must be given(?s:.*)Download FreiHAND_pub_v2.zip"),
        ("--name=freihand --manual_dir=/nowhere", 1, "/nowhere is no folder(?s:.*)Download"),
        ("--name=ho3d", 1, "--config must be one of v2, v3"),
        ("--name=ho3d/v4", 1, "--config must be one of v2, v3 for ho3d, got 'v4'"),
        ("--name=ho3d/v3", 1, "--manual_dir must be given"),
        ("--name=freihand --config=v9", 1, "--config must not be given"),
        ("--name=freihand --manual_dir=HERE", 1, "training_xyz.json(?s:.*)Get them from https://lmb"),
        ("--name=freihand --max_examples=0", 2, "max_examples"),
        ("--nmae=freihand", 2, "nmae"),
        ("freihand", 2, "arguments must be flags"),
    ],
)
def test_what_is_missing_for_a_build_is_said_without_a_traceback(command, capsys, flags, code, message, tmp_path):
    (tmp_path / "training_K.json").write_text("[]")
    assert command(*flags.replace("HERE", str(tmp_path)).split()) == code
    printed = capsys.readouterr().err
    assert re.search(message, printed) and "Traceback" not in printed
