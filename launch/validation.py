"""What a run has learnt: its scores on examples that training does not see, beside the best constant answer's."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from handjax.losses import CountedSum, mean_of
from handjax.models.objective import Batch
from handjax.train import TrainState, eval_step, on_all_devices, replicated, summed_step
from launch.config import Run
from launch.examples import Data
from launch.report import Report
from launch.task import Task

Evaluate = Callable[[TrainState], dict[str, float]]


def evaluation(config: Run, task: Task, data: Data, key: Array, report: Report) -> Evaluate:
    """-> evaluate(state) -> means of terms and scores by name, on the same examples each time; pictures of the first
    of them go to the report, if it shows any."""
    step = on_all_devices(eval_step(task.objective, task.score, make_batch=data.make_batch))
    look = _look(task, data, key)

    def evaluate(state: TrainState) -> dict[str, float]:
        metrics = _means(_summed(step, state, config, data, key))
        if task.pictures is not None and report.shows_pictures:
            report.pictures(int(state.step), task.pictures(*look(state)))
        return metrics

    return evaluate


def constant_answer(config: Run, task: Task, data: Data, prior_key: Array, eval_key: Array) -> dict[str, float]:
    """Scores of the best answer that does not look, on the examples of `evaluation(..., eval_key)`; it is made of
    others, which `prior_key` draws."""

    def priors(_: Any, batch: Batch, key: Array) -> Any:
        return task.prior(batch), jnp.ones(())

    def constants(mean: dict[str, Array], batch: Batch, key: Array) -> Any:
        return task.score(task.constant(mean, batch), batch)

    prior_step, constant_step = (
        on_all_devices(summed_step(sums_of, make_batch=data.make_batch)) for sums_of in (priors, constants)
    )
    nothing = replicated({"none": jnp.zeros(())})
    total, number = _summed(prior_step, nothing, config, data, prior_key)
    mean = replicated(jax.tree.map(lambda each: jnp.asarray(each / number), total))
    return _means(_summed(constant_step, mean, config, data, eval_key))


def compared(task: Task, found: dict[str, float], constant: dict[str, float], report: Report) -> dict[str, float]:
    """Both, and `gain`, by how much the metric that counts is better; the report says so."""
    ours, theirs = found[task.metric], constant[task.metric]
    gain = 1 - ours / theirs if task.less_is_better else ours / max(theirs, 1e-12) - 1
    for name in constant:
        report.say(f"{name}: {found[name]:.4g}, best constant answer {constant[name]:.4g}")
    report.say(f"{task.metric} is {100 * gain:.0f} % better than the best constant answer")
    return found | {f"constant_{name}": value for name, value in constant.items()} | {"gain": gain}


def _summed(step: Callable, tree: Any, config: Run, data: Data, key: Array) -> Any:
    """Over the batches of an evaluation, which are the same each time."""
    total = None
    for number, batch in enumerate(islice(data.evaluation(), config.evaluate_batches)):
        sums = step(tree, batch, jax.random.fold_in(key, number))
        total = sums if total is None else jax.tree.map(jnp.add, total, sums)
    return jax.device_get(total)


def _means(sums: dict[str, CountedSum]) -> dict[str, float]:
    return {name: float(mean_of(CountedSum(*map(jnp.asarray, pair)))) for name, pair in sums.items()}


def _look(task: Task, data: Data, key: Array) -> Callable[[TrainState], tuple[dict[str, Any], Batch]]:
    """-> look(state) -> outputs and batch on this process's first device."""

    @jax.jit
    def looked(variables: Any, part: Any) -> Any:
        batch = data.make_batch(key, part)
        return task.objective(variables, batch, key, train=False).outputs, batch

    def look(state: TrainState) -> Any:
        variables = jax.tree.map(_of_first_device, state.variables())
        part = jax.tree.map(lambda leaf: _of_first_device(leaf)[0], next(data.evaluation()))
        return jax.device_get(looked(variables, part))

    return look


def _of_first_device(leaf: Any) -> Any:
    return leaf.addressable_data(0) if isinstance(leaf, jax.Array) else leaf
