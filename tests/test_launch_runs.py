"""Runs of a launch: a log line by line, a checkpoint to go on from exactly, and a good end when told to end."""

import dataclasses
import io
import json
import os
import signal
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax.models.objective import initialised
from handjax.train import on_all_devices
from launch.config import Run
from launch.training import Task, data_of, run
from launch.validation import evaluation
from tests import train_toys as toys

TASK = Task(
    system="toy",
    init=lambda key: initialised(toys.Toy(), "toy", key, jnp.zeros((2, 4))),
    objective=toys.plain,
    weights=toys.ToyWeights(),
    optimiser=toys.optimiser(0.05, ema=0.9),
    draw=toys.draw,
    source=lambda: {"scale": jnp.ones(())},
    score=toys.score,
    prior=lambda batch: {"y": batch["y"].mean(0)},
    constant=lambda mean, batch: {"y": jnp.broadcast_to(mean["y"], batch["y"].shape)},
    metric="error",
)
SETTINGS = Run(
    batch_size=64, steps=6, log_every=1, save_every=2, evaluate_every=3, evaluate_batches=2, tensorboard=False
)


class Hooked(io.StringIO):
    """A terminal on which something happens once a line that begins so is written."""

    def __init__(self, beginning, happens):
        super().__init__()
        self.beginning, self.happens = beginning, happens

    def write(self, text):
        if text.startswith(self.beginning):
            self.happens()
        return super().write(text)


class Killed(Exception):
    pass


def kill():
    raise Killed


def rows(folder, group="train"):
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {row["step"]: row for row in found if row["group"] == group}


def steps(folder):
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit())


def to(folder, **changes):
    return dataclasses.replace(SETTINGS, out=str(folder), **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run: its folder, result, and what it said."""
    folder, stream = tmp_path_factory.mktemp("run") / "whole", io.StringIO()
    result = run(to(folder), lambda _: TASK, stream=stream)
    return folder, result, stream.getvalue()


def test_a_run_logs_losses_by_name_with_speed_and_time_left(whole):
    folder, result, said = whole
    log = rows(folder)
    assert sorted(log) == [1, 2, 3, 4, 5, 6]
    named = {"loss", "squares", "edges", "gradient_norm", "learning_rate", "examples_per_second", "seconds_left"}
    assert named <= log[3].keys()
    assert "[3/6] loss" in said and "/s" in said and "left" in said
    assert sorted(rows(folder, "evaluation")) == [3, 6]
    assert json.loads((folder / "result.json").read_text()) == result


def test_the_final_evaluation_stands_beside_the_best_constant_answer(whole):
    _, result, said = whole
    # The mean of the labels is near 0; a standard normal vector of two is 1.25 long on average.
    assert 1.1 < result["constant_error"] < 1.4
    np.testing.assert_allclose(result["gain"], 1 - result["error"] / result["constant_error"])
    assert "error: " in said and "best constant answer" in said


def test_a_run_that_was_cut_off_goes_on_exactly(whole, tmp_path):
    folder = tmp_path / "cut"
    with pytest.raises(Killed):
        run(to(folder), lambda _: TASK, stream=Hooked("[5/6]", kill))
    with (folder / "log.jsonl").open("a") as log:
        log.write('{"step": 6, "lo')
    stream = io.StringIO()
    result = run(to(folder), lambda _: TASK, stream=stream)
    assert "going on from step 4" in stream.getvalue()
    lines = [line for line in (folder / "log.jsonl").read_text().splitlines() if line != '{"step": 6, "lo']
    expected = rows(whole[0])
    again = [row for row in map(json.loads, lines) if row["group"] == "train"]
    assert [row["step"] for row in again] == [1, 2, 3, 4, 5, 5, 6]
    assert [row["loss"] for row in again] == [expected[row["step"]]["loss"] for row in again]
    assert result == whole[1]


def test_a_finished_run_is_only_evaluated_again(whole):
    stream = io.StringIO()
    assert run(to(whole[0]), lambda _: TASK, stream=stream) == whole[1]
    assert "going on from step 6" in stream.getvalue() and "[6/6] loss" not in stream.getvalue()


def test_sigterm_saves_and_exits_with_0(tmp_path):
    folder, before = tmp_path / "told", signal.getsignal(signal.SIGTERM)
    stream = Hooked("[3/6] loss", lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        run(to(folder, evaluate_every=0), lambda _: TASK, stream=stream)
    assert ended.value.code == 0 and "the same command goes on from there" in stream.getvalue()
    # It came during the third step's line, and was heard after the fourth.
    assert steps(folder) == [2, 4] and signal.getsignal(signal.SIGTERM) is before


def test_a_checkpoint_of_other_settings_says_which_field_differs(whole):
    with pytest.raises(SystemExit, match="learning_rate is 0.001 there, 0.5 here"):
        run(to(whole[0], learning_rate=0.5), lambda _: TASK, stream=io.StringIO())


def test_a_loss_that_is_not_finite_ends_the_run_with_the_step_and_the_term(tmp_path):
    def spoilt(variables, batch, key, *, train):
        outcome = toys.plain(variables, batch, key, train=train)
        edges = outcome.terms["edges"]
        return outcome._replace(terms={**outcome.terms, "edges": edges._replace(total=edges.total * jnp.nan)})

    with pytest.raises(SystemExit, match="NotFinite: step 1: edges not finite"):
        run(to(tmp_path, evaluate_every=0), lambda _: TASK._replace(objective=spoilt), stream=io.StringIO())
    assert steps(tmp_path) == [0]


@pytest.mark.parametrize("shown", [True, False])
def test_pictures_are_compiled_once_and_made_only_where_they_are_shown(tmp_path, shown):
    traced, made, config = [], [], to(tmp_path)

    def objective(variables, batch, key, *, train):
        traced.append(len(batch["y"]))
        return toys.plain(variables, batch, key, train=train)

    def pictures(outputs, batch):
        assert outputs["y"].shape == batch["y"].shape == (16, 2)
        return {"input": np.zeros((1, 2, 2, 3))}

    task = TASK._replace(objective=objective, pictures=pictures)
    report: Any = SimpleNamespace(shows_pictures=shown, pictures=lambda step, names: made.append((step, *names)))
    evaluate = evaluation(config, task, data_of(config, task), jax.random.key(0), report)
    state = on_all_devices(lambda state, batch, key: state)(toys.toy_state(), np.zeros(4), jax.random.key(0))
    found, before = evaluate(state), len(traced)
    assert evaluate(state) == found and len(traced) == before == (2 if shown else 1)
    assert made == [(0, "input")] * 2 * shown


def test_a_batch_that_does_not_fit_the_devices_is_refused_before_anything_is_built(tmp_path):
    def never(config):
        raise AssertionError("built")

    with pytest.raises(SystemExit, match="--batch_size must be a multiple of the 4 devices, got 6"):
        run(to(tmp_path, batch_size=6), never)
