"""Launches on a set on disk: two steps and an evaluation, the place in it kept, and clear words where one cannot."""

import io
import shutil

import jax.numpy as jnp
import pytest

from datasets.records import open_records
from launch import train_seednet, train_siknet
from launch.training import run
from tests import tiny_set
from tests.test_launch_runs import TASK, rows, steps, to

COUNT, BATCH = 13, 8


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A set "tiny" of hands with keypoints and MANO parameters, and no masks."""
    folder = tmp_path_factory.mktemp("sets")
    tiny_set.build(folder, count=COUNT, pixelwise=False)
    return str(folder)


def settings(launch, data_dir, folder, **changes):
    preset = {**launch.PRESETS["tiny"], "preset": "tiny", "tensorboard": False}
    sets = {"dataset": "tiny", "data_dir": data_dir, "evaluation_split": "train", "out": str(folder)}
    return launch.Config(**{**preset, **sets, "batch_size": BATCH, "steps": 2, "log_every": 1, **changes})


@pytest.mark.slow
def test_a_launch_trains_on_a_set_and_is_measured_on_all_of_it(data_dir, tmp_path):
    config = settings(train_siknet, data_dir, tmp_path)
    stream = io.StringIO()
    result = run(config, train_siknet.task, stream=stream)
    assert sorted(rows(tmp_path)) == [1, 2] and steps(tmp_path) == [2]
    assert rows(tmp_path)[2]["joint"] > 0 and rows(tmp_path)[2]["quaternion_cosine"] > 0
    assert 5 < result["rotation_error_deg"] < 180 and 5 < result["constant_rotation_error_deg"] < 180
    assert "best constant answer" in stream.getvalue()


def by_keypoints(key, examples):
    """What the toy learns of a set: where the middle finger's base is, of the wrist."""
    points = examples["keypoints_3d"].reshape(-1, 63)
    return {
        "x": points[:, :4],
        "y": points[:, 27:29],
        "valid": examples["keypoints_3d_valid"][:, 0].astype(jnp.float32),
    }


def test_a_run_on_a_set_goes_on_at_its_place_in_it(data_dir, tmp_path):
    task = TASK._replace(prepare=by_keypoints, labels=("keypoints_3d",), pipeline={"per_hand": True, "pictures": ()})
    config = to(tmp_path, dataset="tiny", data_dir=data_dir, evaluation_split="train", batch_size=BATCH, steps=4)
    expected = run(config, lambda _: task, stream=io.StringIO())
    losses = {step: row["loss"] for step, row in rows(tmp_path).items()}
    assert sorted(losses) == [1, 2, 3, 4] and len(set(losses.values())) == 4
    assert steps(tmp_path) == [2, 4]
    shutil.rmtree(tmp_path / "checkpoints" / "4")
    (tmp_path / "log.jsonl").unlink()
    assert run(config, lambda _: task, stream=io.StringIO()) == expected
    assert {step: row["loss"] for step, row in rows(tmp_path).items()} == {step: losses[step] for step in (3, 4)}


def test_a_set_without_a_label_that_a_loss_needs_is_refused_before_anything_is_drawn(data_dir, tmp_path):
    def task(config):
        def never(key):
            raise AssertionError("drawn")

        return train_seednet.task(config)._replace(init=never)

    with pytest.raises(SystemExit, match="--dataset=tiny must have mask, which a loss needs, but has none"):
        run(settings(train_seednet, data_dir, tmp_path), task)
    assert not list(tmp_path.iterdir())


def test_a_set_or_a_split_that_is_not_there_is_named(data_dir, tmp_path):
    with pytest.raises(SystemExit, match="--dataset=freihand: freihand is not built below .*python -m datasets.build"):
        run(settings(train_siknet, data_dir, tmp_path, dataset="freihand"), train_siknet.task)
    with pytest.raises(SystemExit, match="split must be one of train of tiny, got 'test'"):
        run(settings(train_siknet, data_dir, tmp_path, evaluation_split="test"), train_siknet.task)
    assert open_records("tiny", data_dir=data_dir).count == COUNT
