"""One run of any system: the state, from where it was; the steps; evaluations beside the best constant answer."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, logging
from jax import Array
from jax.experimental import multihost_utils

from handjax.checkpoint import CheckpointFolder
from handjax.losses import CountedSum, mean_of
from handjax.models.objective import Batch, Objective, Tree
from handjax.train import (
    Every,
    NotFinite,
    Optimiser,
    Tasks,
    TrainState,
    eval_step,
    on_all_devices,
    replicated,
    run_steps,
    start,
    summed_step,
    train_step,
)
from launch.config import Run, about, check, define_flags, read_flags
from launch.examples import Data, from_sets, synthetic
from launch.report import Report


class Task(NamedTuple):
    """What one stage of a system is trained on and measured by.

    system: the run's name. init(key) -> variables, nested by network. draw(key, source, count) -> a batch of `count`
    synthetic examples on one device; source() -> what it draws from, arrays. score(outputs, batch) -> what evaluations
    measure; prior(batch) -> arrays whose mean over many batches `constant(mean, batch)` makes its outputs of. metric:
    the score that counts. prepare(key, examples) -> a batch of a set's examples, which must have `labels` and are as
    `datasets.pipeline.Settings(**pipeline)` says. trained(variables) -> the same with networks of earlier stages, for
    a new run. pictures(outputs, batch) -> (N, H, W, 3) in [0, 1] by name.
    """

    system: str
    init: Callable[[Array], Tree]
    objective: Objective
    weights: NamedTuple
    optimiser: Optimiser
    draw: Callable[[Array, Any, int], Batch]
    score: Callable[[dict[str, Any], Batch], dict[str, CountedSum]]
    prior: Callable[[Batch], dict[str, Array]]
    constant: Callable[[dict[str, Array], Batch], dict[str, Any]]
    metric: str
    source: Callable[[], Any] = dict
    prepare: Callable[[Array, Batch], Batch] | None = None
    labels: tuple[str, ...] = ()
    pipeline: Mapping[str, Any] = MappingProxyType({})
    frozen: tuple[str, ...] = ()
    trained: Callable[[Tree], Tree] | None = None
    less_is_better: bool = True
    pictures: Callable[[dict[str, Any], Batch], dict[str, np.ndarray]] | None = None


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
    variables = jax.jit(task.init)(init_key)
    if task.trained is not None:
        variables = task.trained(variables)
    state = replicated(start(variables, task.optimiser, frozen=task.frozen))
    settings = {"system": task.system, **about(config)}
    heard: list[str] = []
    checkpoints = CheckpointFolder(folder / "checkpoints", settings, keep=config.keep, say=heard.append)
    position = data.start
    found = checkpoints.restore(_At(state, train_key, position).saved())
    if found is not None:
        state, train_key = found.tree["state"], jax.random.wrap_key_data(found.tree["key"])
        position = jax.device_get(found.tree["position"])
    done = int(state.step)
    report = Report(
        folder, config.steps, done, config.batch_size, tensorboard=config.tensorboard, quiet=not first, stream=stream
    )
    with closing(report):
        for sentence in heard:
            report.say(sentence)
        if found is not None:
            report.say(f"going on from step {done} of {folder}")
        evaluate = _evaluation(config, task, data, eval_key, report)
        state = _steps(config, task, data, _At(state, train_key, position), checkpoints, evaluate, report)
        result = _final(config, task, data, state, evaluate, eval_key, prior_key, report)
        if first:
            _write(folder / "result.json", result)
    return result


class _At(NamedTuple):
    """Where a run is: all that the steps after depend on."""

    state: TrainState
    key: Array
    position: dict[str, np.ndarray]

    def saved(self) -> dict[str, Any]:
        return replicated({"state": self.state, "key": jax.random.key_data(self.key), "position": self.position})


def _steps(
    config: Run,
    task: Task,
    data: Data,
    at: _At,
    checkpoints: CheckpointFolder,
    evaluate: Callable[[TrainState], dict[str, float]],
    report: Report,
) -> TrainState:
    """The state after the last step. Raises SystemExit with 0 after SIGTERM, the state saved."""
    step = train_step(
        *(task.objective, task.weights, task.optimiser),
        frozen=task.frozen,
        accumulate=config.accumulate,
        make_batch=data.make_batch,
    )
    batches = data.training(at.position)

    def save(state: TrainState, metrics: Mapping[str, float]) -> None:
        value = metrics.get(task.metric)
        metric = None if value is None else _signed(task, value)
        checkpoints.save(int(state.step), _At(state, at.key, batches.position).saved(), metric=metric)

    def judge(state: TrainState) -> tuple[dict[str, float], float]:
        metrics = evaluate(state)
        report.log(int(state.step), metrics, "evaluation")
        return metrics, _signed(task, metrics[task.metric])

    stop = _Stop()
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


class _Stop:
    """Whether SIGTERM came: asked of after each step, and of all processes together where there are several."""

    def __init__(self) -> None:
        self.asked = False
        self._before = None
        if jax.process_count() == 1:
            self._before = signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, number: int, frame: Any) -> None:
        self.asked = True

    def __call__(self, step: int) -> bool:
        if jax.process_count() > 1:
            # JAX's own handler hears the signal, and the processes agree on a step.
            self.asked = bool(multihost_utils.reached_preemption_sync_point(step))
        return self.asked

    def restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)


def _signed(task: Task, value: float) -> float:
    return value if task.less_is_better else -value


def _evaluation(config: Run, task: Task, data: Data, key: Array, report: Report) -> Callable[[TrainState], Any]:
    step = on_all_devices(eval_step(task.objective, task.score, make_batch=data.make_batch))

    def evaluate(state: TrainState) -> dict[str, float]:
        metrics = _means(_summed(step, state, config, data, key))
        if task.pictures is not None:
            report.pictures(int(state.step), _pictures(task, data, state, key))
        return metrics

    return evaluate


def _summed(step: Callable, tree: Any, config: Run, data: Data, key: Array) -> Any:
    """Over the batches of an evaluation, which are the same each time."""
    total = None
    for number, batch in enumerate(islice(data.evaluation(), config.evaluate_batches)):
        sums = step(tree, batch, jax.random.fold_in(key, number))
        total = sums if total is None else jax.tree.map(jnp.add, total, sums)
    return jax.device_get(total)


def _means(sums: dict[str, CountedSum]) -> dict[str, float]:
    return {name: float(mean_of(CountedSum(*map(jnp.asarray, pair)))) for name, pair in sums.items()}


def _final(
    config: Run,
    task: Task,
    data: Data,
    state: TrainState,
    evaluate: Callable[[TrainState], dict[str, float]],
    eval_key: Array,
    prior_key: Array,
    report: Report,
) -> dict[str, float]:
    """The last evaluation, the constant answer's, and by how much the metric that counts is better."""

    def priors(_: Any, batch: Batch, key: Array) -> Any:
        return task.prior(batch), jnp.ones(())

    def constants(mean: dict[str, Array], batch: Batch, key: Array) -> Any:
        return task.score(task.constant(mean, batch), batch)

    nothing = replicated({"none": jnp.zeros(())})
    total, number = _summed(
        on_all_devices(summed_step(priors, make_batch=data.make_batch)), nothing, config, data, prior_key
    )
    mean = replicated(jax.tree.map(lambda each: jnp.asarray(each / number), total))
    constant = _means(
        _summed(on_all_devices(summed_step(constants, make_batch=data.make_batch)), mean, config, data, eval_key)
    )
    found = evaluate(state)
    ours, theirs = found[task.metric], constant[task.metric]
    gain = 1 - ours / theirs if task.less_is_better else ours / max(theirs, 1e-12) - 1
    for name in constant:
        report.say(f"{name}: {found[name]:.4g}, best constant answer {constant[name]:.4g}")
    report.say(f"{task.metric} is {100 * gain:.0f} % better than the best constant answer")
    result = found | {f"constant_{name}": value for name, value in constant.items()} | {"gain": gain}
    report.log(config.steps, result, "final")
    return result


def _pictures(task: Task, data: Data, state: TrainState, key: Array) -> dict[str, np.ndarray]:
    """Of this process's first device."""
    assert task.pictures is not None
    state, part = jax.device_get((state, jax.tree.map(lambda leaf: leaf[0], next(data.evaluation()))))
    batch = jax.jit(data.make_batch)(key, part)
    outputs = jax.jit(partial(task.objective, train=False))(state.variables(), batch, key).outputs
    return task.pictures(jax.device_get(outputs), jax.device_get(batch))


def _write(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)
