"""Every launch at its smallest: each term has a gradient, and hands that it never saw are better than guessed."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from datasets.synthetic.captures import MANO_NAMES
from handjax import mano
from handjax.models.deephandmesh import PRESETS
from handjax.train import AXIS, joined, on_all_devices, part, start, summed_step, train_step
from launch.training import data_of

ROOT = Path(__file__).resolve().parents[1]
LEAST_GAIN = 0.3
"""By so much each score that counts is better than the best constant answer's."""

MORE_IS_BETTER = {"pck", "mask_iou", "center_recall"}
STEPS, BATCH = 100, 8
OVERBENT = 1.2
"""Of a fist's flexion: fingertips enter the palm from 1.1 on."""

NOTHING: Mapping[str, Any] = MappingProxyType({})
FINE_TUNING = {"fine_tune": True, "batch_size": 8, "steps": 500, "learning_rate": 1e-4}


class Trial(NamedTuple):
    """One stage of a system. launch: what follows `train_`; flags beside --preset=tiny; after: the trials whose runs it
    builds on, by flag; scores: those that count."""

    launch: str
    scores: tuple[str, ...]
    flags: Mapping[str, Any] = NOTHING
    after: Mapping[str, Any] = NOTHING


TRIALS = {
    "siknet": Trial("siknet", ("rotation_error_deg", "joint_error_mm")),
    "seednet": Trial("seednet", ("pck", "mask_iou")),
    "liftnet": Trial("liftnet", ("joint_error_mm", "depth_error"), after={"seednet": "seednet"}),
    "siknet_fine_tuning": Trial("siknet", ("joint_error_mm",), FINE_TUNING, {"liftnet": "liftnet", "siknet": "siknet"}),
    "hamr": Trial("hamr", ("pa_error_mm", "mask_iou")),
    "multihand_crops": Trial("multihand", ("pixel_error",), {"stage": "crops"}),
    "multihand_pictures": Trial("multihand", ("center_recall",), {"stage": "pictures"}, {"crops": "multihand_crops"}),
    "handtailor_keypoints": Trial("handtailor", ("pck", "joint_error_mm"), {"stage": "keypoints"}),
    "handtailor_ik": Trial("handtailor", ("rotation_error_deg",), {"stage": "ik"}),
    "handtailor_whole": Trial(
        *("handtailor", ("mesh_error_mm",), {"stage": "whole"}),
        {"keypoints": "handtailor_keypoints", "ik": "handtailor_ik"},
    ),
    "deephandmesh_model": Trial("deephandmesh", ("joint_error_mm", "depth_error_mm"), {"stage": "model"}),
    "deephandmesh_encoder": Trial(
        "deephandmesh", ("joint_error_mm",), {"stage": "encoder"}, {"model": "deephandmesh_model"}
    ),
}


@pytest.fixture
def optimised():
    """Code as users have it, which other tests do without because it takes long to compile."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


def norms_of(task, data):
    """A step that gives, of each term by itself, the norm of its weighted gradient."""

    def norms(state, batch, key):
        moving, still = part(state.params, task.frozen)

        def weighted_means(moving):
            variables = {"params": joined(moving, still), "batch_stats": state.batch_stats, **state.buffers}
            found = task.objective(variables, batch, key, train=True).terms
            counts = lax.psum({name: lax.stop_gradient(sums[1]).sum() for name, sums in found.items()}, AXIS)
            return {
                name: getattr(task.weights, name) * sums[0].sum() / jnp.where(counts[name] > 0, counts[name], 1.0)
                for name, sums in found.items()
            }

        means, gradient_of = jax.vjp(weighted_means, moving)
        names = sorted(means)

        def norm(one):
            (grads,) = gradient_of(dict(zip(names, one, strict=True)))
            return optax.tree.norm(lax.psum(grads, AXIS)) / lax.axis_size(AXIS)

        return dict(zip(names, lax.map(norm, jnp.eye(len(names))), strict=True))

    return summed_step(norms, make_batch=data.make_batch)


def overbent(state):
    """The same, but that DeepHandMesh puts out hands whose fingertips enter the palm, whatever it sees."""
    model = mano.default(resolution="low")
    flexion = mano.angles_from_pose(model, mano.named_pose(model, "fist"))[:, 0]
    network = PRESETS["tiny"]
    angles = np.zeros((len(network.joints), 3), np.float32)
    for name, angle in zip(MANO_NAMES, np.asarray(flexion), strict=True):
        angles[network.joints.index(name), 2] = OVERBENT * angle
    layer = state.params["deephandmesh"]["pose_net.fc.0"]
    bent = jnp.arctanh(jnp.asarray(angles.ravel()[network.angle_slots]) / jnp.pi)
    layer = {"kernel": 0.01 * layer["kernel"], "bias": bent}
    params = {"deephandmesh": {**state.params["deephandmesh"], "pose_net.fc.0": layer}}
    return state._replace(params=params)


ONLY_WHERE_IT_TOUCHES = {("deephandmesh_model", "nonrigid_penetration"): overbent}
"""Terms that are 0 in most poses, and the states in which they are looked at."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIALS)
def test_every_term_has_a_gradient_at_the_first_step_and_the_hundredth(name, optimised, capsys):
    trial = TRIALS[name]
    launch = import_module(f"launch.train_{trial.launch}")
    # What earlier stages have learnt is not needed to see gradients: their folders are not looked into.
    given = {**trial.flags, **trial.after, "batch_size": max(jax.device_count(), BATCH), "steps": 1000}
    config = launch.Config(**{**launch.PRESETS["tiny"], "preset": "tiny", **given})
    task = launch.task(config)
    data = data_of(config, task)
    state = start(task.init(jax.random.key(0)), task.optimiser, frozen=task.frozen)
    norms, key = on_all_devices(norms_of(task, data)), jax.random.key(1)
    step = on_all_devices(
        train_step(task.objective, task.weights, task.optimiser, frozen=task.frozen, make_batch=data.make_batch)
    )
    batches = data.training(data.start)

    def found(state):
        norms_at = jax.device_get(norms(state, next(batches), key))
        for (trial, term), touching in ONLY_WHERE_IT_TOUCHES.items():
            if trial == name:
                norms_at[term] = jax.device_get(norms(touching(state), next(batches), key))[term]
        return norms_at

    first = found(state)
    for _ in range(STEPS):
        state, _ = step(state, next(batches), key)
    last = found(state)
    weighted = [term for term in first if getattr(task.weights, term)]
    with capsys.disabled():
        print()
        for term in weighted:
            print(f"| {name} | {term} | {getattr(task.weights, term):.4g} | {first[term]:.3g} | {last[term]:.3g} |")
    for term in weighted:
        assert np.isfinite(first[term]) and first[term] > 0, f"{term} at step 1"
        assert np.isfinite(last[term]) and last[term] > 0, f"{term} at step {STEPS}"


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """name -> the folder of that trial's run, which is made once, as by a user: flags on a command line."""
    made: dict[str, Path] = {}

    def folder(name):
        if name not in made:
            trial = TRIALS[name]
            out = tmp_path_factory.mktemp(name)
            flags = {**trial.flags, **{flag: folder(earlier) for flag, earlier in trial.after.items()}, "out": out}
            settings = [f"--{flag}={value}" for flag, value in flags.items()]
            command = [sys.executable, "-m", f"launch.train_{trial.launch}", "--preset=tiny", "--notensorboard"]
            # Without the four devices that other tests run on.
            plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
            done = subprocess.run([*command, *settings], cwd=ROOT, env=plain, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            made[name] = out
        return made[name]

    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIALS)
def test_a_tiny_run_beats_the_best_constant_answer_on_hands_that_it_never_saw(name, folder_of, capsys):
    for earlier in TRIALS[name].after.values():
        folder_of(earlier)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads((folder_of(name) / "result.json").read_text())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    gains = {}
    for score in TRIALS[name].scores:
        ours, constant = result[score], result[f"constant_{score}"]
        gains[score] = ours / max(constant, 1e-12) - 1 if score in MORE_IS_BETTER else 1 - ours / constant
        with capsys.disabled():
            print(f"\n| {name} | {seconds:.0f} | {score} | {ours:.3g} | {constant:.3g} | {gains[score]:.0%} |", end="")
    assert min(gains.values()) >= LEAST_GAIN, gains
