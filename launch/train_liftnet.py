"""`python -m launch.train_liftnet --seednet=runs/seednet-small`: heat-maps to joints and depth (BiHand, section 3.1).

Adam, 1e-4, a tenth of it at half of the run and again near its end, batches of 16, weights as released; SeedNet is
frozen, its batch statistics too.
"""

import dataclasses
from functools import partial

import jax.numpy as jnp
import optax
from jax import Array

from handjax.losses import bihand
from handjax.models import liftnet, liftnet_objective, seednet
from handjax.models.layers import Compute
from handjax.models.objective import Tree, initialised, together
from handjax.train import AXIS, Optimiser, decay_at
from launch import crops, train_seednet
from launch.config import Run, setting
from launch.parts import with_trained
from launch.training import Task, launch

NETWORKS = {**liftnet.PRESETS, "tiny": liftnet.PRESETS["tiny"].clone(features=32)}
"""As many features as the SeedNet before it."""


@dataclasses.dataclass(frozen=True)
class Config(Run):
    learning_rate: float = setting(1e-4, "Adam's, at its highest.")
    size: int = setting(256, "Side of the crops, px.")
    seednet: str = setting("", "Folder of SeedNet's run; without one it stays as it was drawn.")
    plain: bool = setting(False, "Synthetic hands held up before grey, without occluders and camera noise.")


PRESETS = {
    "tiny": {
        "size": 64,
        "batch_size": 8,
        "steps": 2600,
        "learning_rate": 1e-3,
        "plain": True,
        "evaluate_every": 500,
        "save_every": 500,
    },
    "small": {"size": 128, "batch_size": 32, "steps": 50_000},
    "paper": {"batch_size": 16, "steps": 400_000, "evaluate_every": 5000, "save_every": 5000},
}


def task(config: Config) -> Task:
    compute = Compute(jnp.dtype(config.dtype), AXIS)
    seed = train_seednet.NETWORKS[config.preset].clone(compute=compute)
    lift = NETWORKS[config.preset].clone(compute=compute)
    # A short run has no time to lose at a low rate.
    decays = (0.8, 0.98) if config.preset == "tiny" else (0.5, 0.98)
    rate = decay_at(config.learning_rate, config.steps, decays, warmup=config.warmup)
    return Task(
        system="liftnet",
        init=partial(variables, seed, lift, config.size),
        trained=lambda fresh: with_trained(fresh, config.seednet, ("seednet",)),
        objective=partial(liftnet_objective.liftnet, seed, lift),
        weights=bihand.RELEASED,
        optimiser=Optimiser(optax.scale_by_adam(), rate, config.clip or None, config.ema or None),
        frozen=("seednet",),
        draw=partial(crops.draw_crops, crops.crop_settings(config.size, config.plain)),
        source=crops.sources,
        labels=("keypoints_3d", "intrinsics", "depth"),
        pipeline={"size": config.size, "augmentation": "bihand_lift", "per_hand": True},
        score=liftnet_objective.score,
        prior=liftnet_objective.prior,
        constant=liftnet_objective.constant,
        metric="joint_error_mm",
        pictures=crops.shown,
    )


def variables(seed: seednet.SeedNet, lift: liftnet.LiftNet, size: int, key: Array) -> Tree:
    cells = size // 4
    inputs = jnp.zeros((2, cells, cells, lift.keypoints)), jnp.zeros((2, cells, cells))
    encoding = jnp.zeros((2, cells, cells, lift.features))
    return together(
        initialised(seed, "seednet", key, jnp.zeros((2, size, size, 3))),
        initialised(lift, "liftnet", key, *inputs, encoding),
    )


if __name__ == "__main__":
    launch(Config, PRESETS, task)
