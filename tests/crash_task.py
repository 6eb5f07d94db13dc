"""`python -m tests.crash_task --out=DIR`: a tiny SIKNet run that starts as fast as a run can, to be killed."""

import sys

import jax.numpy as jnp

from datasets.synthetic.sik import SikPrior
from launch import train_siknet
from launch.training import launch

STEPS, SAVE_EVERY = 400, 5
PRESETS = {
    "tiny": {
        "batch_size": 16,
        "steps": STEPS,
        "sampled": False,
        "ema": 0.99,
        "log_every": 1,
        "save_every": SAVE_EVERY,
        "evaluate_every": 50,
        "evaluate_batches": 1,
        "tensorboard": False,
    }
}


def task(config):
    """Angles of half a radian, so that no statistics of the pose sampler need be drawn first."""
    prior = SikPrior(jnp.zeros(45), jnp.full(45, 0.25), jnp.zeros(10), jnp.ones(10))
    return train_siknet.task(config)._replace(source=lambda: {"prior": prior})


if __name__ == "__main__":
    sys.argv.append("--preset=tiny")
    launch(train_siknet.Config, {**{name: {} for name in train_siknet.PRESETS}, **PRESETS}, task)
