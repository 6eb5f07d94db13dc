"""One run of any system: the state, from where it was; the steps; evaluations beside the best constant answer."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
from absl import app, logging

from handjax.checkpoint import CheckpointFolder
from handjax.train import NotFinite, replicated, start
from launch.config import Run, about, check, define_flags, read_flags
from launch.examples import Data, from_sets, synthetic
from launch.report import Report
from launch.steps import At, restored, steps
from launch.task import Task
from launch.validation import compared, constant_answer, evaluation

__all__ = ["Task", "data_of", "launch", "run", "start_distributed"]


def launch(config: type[Run], presets: Mapping[str, Mapping[str, Any]], make_task: Callable[[Any], Task]) -> None:
    """What a launch file does when it is run: flags, then `run`."""
    define_flags(config, presets)

    def main(arguments: list[str]) -> None:
        if len(arguments) > 1:
            raise SystemExit(f"flags are written --name=value, got {' '.join(arguments[1:])}")
        # Checkpoints tell every file that they touch.
        logging.set_verbosity(logging.ERROR)
        run(read_flags(config, presets), make_task)

    app.run(main)


def run(config: Run, make_task: Callable[[Any], Task], *, stream: Any = None) -> dict[str, float]:
    """The whole run of a launch; -> the final evaluation. make_task(config) is called after the flags are checked.

    Raises SystemExit with a sentence for settings that cannot work, 0 after SIGTERM, and a loss that is not finite.
    """
    try:
        start_distributed(config)
        check(config, jax.device_count())
        task = make_task(config)
        data = data_of(config, task)
        return _run(config, task, data, stream)
    except (ValueError, NotFinite) as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error


def start_distributed(config: Run) -> None:
    """Joins the other processes, before anything else of JAX. Nothing unless --distributed."""
    if not config.distributed:
        return
    # Of CPU devices alone; the others bring theirs.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if config.coordinator:
        jax.distributed.initialize(config.coordinator, config.processes, config.process)
    else:
        # Slurm, Open MPI, Kubernetes and TPU pods say by themselves who is who.
        jax.distributed.initialize()


def data_of(config: Run, task: Task) -> Data:
    """Synthetic examples drawn on each device, or those of sets. Raises ValueError for a set without a label."""
    if config.dataset:
        return from_sets(config, task.pipeline, task.labels, task.prepare or (lambda key, examples: examples))
    count = config.batch_size // jax.device_count()
    return synthetic(task.source(), lambda key, source: task.draw(key, source, count))


def _run(config: Run, task: Task, data: Data, stream: Any) -> dict[str, float]:
    first = jax.process_index() == 0
    folder = Path(config.out or f"runs/{task.system}-{config.preset}")
    train_key, eval_key, prior_key, init_key = jax.random.split(jax.random.key(config.seed), 4)
    variables = task.init(init_key)
    if task.trained is not None:
        variables = task.trained(variables)
    fresh = At(replicated(start(variables, task.optimiser, frozen=task.frozen)), train_key, data.start)
    settings = {"system": task.system, **about(config)}
    heard: list[str] = []
    checkpoints = CheckpointFolder(folder / "checkpoints", settings, keep=config.keep, say=heard.append)
    found = restored(checkpoints, fresh)
    at = found or fresh
    done = int(at.state.step)
    report = Report(
        folder, config.steps, done, config.batch_size, tensorboard=config.tensorboard, quiet=not first, stream=stream
    )
    with closing(report):
        for sentence in heard:
            report.say(sentence)
        if found is not None:
            report.say(f"going on from step {done} of {folder}")
        evaluate = evaluation(config, task, data, eval_key, report)
        state = steps(config, task, data, at, checkpoints, evaluate, report)
        constant = constant_answer(config, task, data, prior_key, eval_key)
        result = compared(task, evaluate(state), constant, report)
        report.log(config.steps, result, "final")
        if first:
            _write(folder / "result.json", result)
    return result


def _write(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)
