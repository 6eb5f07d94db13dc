"""`python -m launch.train_seednet`: crops to heat-maps and silhouettes (BiHand, section 3.2).

Adam, 1e-4, a tenth of it at half of the run and again near its end, batches of 64, weights as released.
"""

import dataclasses
from functools import partial

import jax.numpy as jnp
import optax

from handjax.losses import bihand
from handjax.models import seednet, seednet_objective
from handjax.models.layers import Compute
from handjax.models.objective import initialised
from handjax.train import AXIS, Optimiser, decay_at
from launch import crops
from launch.config import Run, setting
from launch.training import Task, launch

NETWORKS = {**seednet.PRESETS, "tiny": seednet.PRESETS["tiny"].clone(features=32)}
"""The tiny network's own 16 features are too few for 21 keypoints."""


@dataclasses.dataclass(frozen=True)
class Config(Run):
    learning_rate: float = setting(1e-4, "Adam's, at its highest.")
    size: int = setting(256, "Side of the crops, px.")
    sigma: float = setting(2.0, "Deviation of heat-maps in cells of 64 x 64: 2 as released, 1.5 in the paper.")
    plain: bool = setting(False, "Synthetic hands held up before grey, without occluders and camera noise.")


PRESETS = {
    "tiny": {
        "size": 64,
        "sigma": 6.0,
        "batch_size": 8,
        "steps": 2500,
        "learning_rate": 1e-3,
        "plain": True,
        "evaluate_every": 500,
        "save_every": 500,
    },
    "small": {"size": 128, "batch_size": 32, "steps": 50_000},
    "paper": {"steps": 200_000, "evaluate_every": 5000, "save_every": 5000},
}


def task(config: Config) -> Task:
    network = NETWORKS[config.preset].clone(compute=Compute(jnp.dtype(config.dtype), AXIS))
    image = jnp.zeros((2, config.size, config.size, 3))
    # A short run has no time to lose at a low rate.
    decays = (0.8, 0.98) if config.preset == "tiny" else (0.5, 0.98)
    rate = decay_at(config.learning_rate, config.steps, decays, warmup=config.warmup)
    return Task(
        system="seednet",
        init=lambda key: initialised(network, "seednet", key, image),
        objective=partial(seednet_objective.seednet, network, sigma=config.sigma),
        weights=bihand.RELEASED,
        optimiser=Optimiser(optax.scale_by_adam(), rate, config.clip or None, config.ema or None),
        draw=partial(crops.draw_crops, crops.crop_settings(config.size, config.plain)),
        source=crops.sources,
        labels=("keypoints_2d", "mask"),
        pipeline={
            "size": config.size,
            "augmentation": "bihand",
            "per_hand": True,
            "pictures": ("image", "mask"),
        },
        score=seednet_objective.score,
        prior=seednet_objective.prior,
        constant=seednet_objective.constant,
        metric="pck",
        less_is_better=False,
        pictures=crops.shown,
    )


if __name__ == "__main__":
    launch(Config, PRESETS, task)
