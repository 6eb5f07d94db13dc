"""Every launch at its smallest: each term has a gradient, and unseen hands are better than guessed."""

import dataclasses
import io

import jax
import numpy as np
import pytest

from handjax.train import AXIS, on_all_devices, start, summed_step, train_step
from handjax.train.step import device_gradient
from launch.training import data_of, run

SYSTEMS = ["siknet", "seednet", "liftnet", "hamr", "multihand", "handtailor", "deephandmesh"]
LEAST_GAIN = 0.3
"""By so much the metric that counts is better than the best constant answer's."""

STEPS = 100


def launch_of(system):
    return pytest.importorskip(f"launch.train_{system}", reason="not there yet")


def tiny(system, **changes):
    launch = launch_of(system)
    preset = launch.PRESETS["tiny"]
    return launch, launch.Config(**{**preset, "preset": "tiny", "tensorboard": False, **changes})


def norms_of(task, data):
    """A step that gives, of each term by itself, the norm of its weighted gradient."""

    def norms(state, batch, key):
        found = {}
        for name in task.weights._fields:
            others = {other: 0.0 for other in task.weights._fields if other != name}
            one = device_gradient(
                task.objective, task.weights._replace(**others), state, task.frozen, state.batch_stats, batch, key
            )
            if name in one.metrics:
                grads = jax.lax.pmean(one.grads, AXIS)
                squares = sum((grad**2).sum() for grad in jax.tree.leaves(grads))
                found[name] = jax.numpy.sqrt(squares) / jax.lax.axis_size(AXIS)
        return found

    return summed_step(norms, make_batch=data.make_batch)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_term_has_a_gradient_at_the_first_step_and_the_hundredth(system, capsys):
    launch, config = tiny(system)
    config = dataclasses.replace(config, batch_size=max(jax.device_count(), 8), steps=STEPS + 1000)
    task = launch.task(config)
    data = data_of(config, task)
    variables = jax.jit(task.init)(jax.random.key(0))
    state = start(variables, task.optimiser, frozen=task.frozen)
    norms, key = on_all_devices(norms_of(task, data)), jax.random.key(1)
    step = on_all_devices(
        train_step(task.objective, task.weights, task.optimiser, frozen=task.frozen, make_batch=data.make_batch)
    )
    batches = data.training(data.start)
    first = jax.device_get(norms(state, next(batches), key))
    for _ in range(STEPS):
        state, _ = step(state, next(batches), key)
    last = jax.device_get(norms(state, next(batches), key))
    with capsys.disabled():
        print(f"\n| {system} | weight | step 1 | step {STEPS} |")
        for name in first:
            print(f"| {name} | {getattr(task.weights, name):g} | {first[name]:.3g} | {last[name]:.3g} |")
    for name in first:
        if getattr(task.weights, name):
            assert np.isfinite(first[name]) and first[name] > 0, f"{name} at step 1"
            assert np.isfinite(last[name]) and last[name] > 0, f"{name} at step {STEPS}"


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_tiny_run_beats_the_best_constant_answer_on_hands_that_it_never_saw(system, tmp_path):
    launch, config = tiny(system, out=str(tmp_path))
    result = run(config, launch.task, stream=io.StringIO())
    assert result["gain"] >= LEAST_GAIN, result
