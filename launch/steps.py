"""The steps of a run, from where it is: a log, evaluations and checkpoints on the way."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from handjax.checkpoint import CheckpointFolder
from handjax.train import Every, Tasks, TrainState, on_all_devices, replicated, run_steps, train_step
from launch.config import Run
from launch.examples import Data
from launch.report import Report
from launch.stop import Stop
from launch.task import Task
from launch.validation import Evaluate


class At(NamedTuple):
    """Where a run is: all that the steps after depend on."""

    state: TrainState
    key: Array
    position: dict[str, np.ndarray]

    def saved(self) -> dict[str, Any]:
        return replicated({"state": self.state, "key": jax.random.key_data(self.key), "position": self.position})


def restored(checkpoints: CheckpointFolder, fresh: At) -> At | None:
    """Where the newest checkpoint is; None without one. Raises ValueError for one of another run."""
    found = checkpoints.restore(fresh.saved())
    if found is None:
        return None
    key = jax.random.wrap_key_data(found.tree["key"])
    return At(found.tree["state"], key, jax.device_get(found.tree["position"]))


def steps(
    config: Run, task: Task, data: Data, at: At, checkpoints: CheckpointFolder, evaluate: Evaluate, report: Report
) -> TrainState:
    """The state after the last step; `checkpoints` is closed. Raises SystemExit with 0 after SIGTERM, the state saved,
    and NotFinite."""
    step = train_step(
        *(task.objective, task.weights, task.optimiser),
        frozen=task.frozen,
        accumulate=config.accumulate,
        make_batch=data.make_batch,
    )
    batches = data.training(at.position)

    def save(state: TrainState, metrics: Mapping[str, float]) -> None:
        value = metrics.get(task.metric)
        metric = None if value is None else task.to_lower(value)
        checkpoints.save(int(state.step), At(state, at.key, batches.position).saved(), metric=metric)

    def judge(state: TrainState) -> tuple[dict[str, float], float]:
        metrics = evaluate(state)
        report.log(int(state.step), metrics, "evaluation")
        return metrics, task.to_lower(metrics[task.metric])

    stop = Stop()
    try:
        state = run_steps(
            on_all_devices(step, gives_state_away=True),
            at.state,
            batches,
            at.key,
            task.optimiser,
            Tasks(report.log, judge, save, stop),
            until=config.steps,
            every=Every(config.log_every, config.evaluate_every, config.save_every),
        )
    finally:
        stop.restore()
        checkpoints.close()
    if stop.asked:
        report.say(f"stopped at step {int(state.step)}; the same command goes on from there")
        raise SystemExit(0)
    return state
