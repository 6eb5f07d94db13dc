"""`python -m launch.train_hand_finder`: whole pictures to centres, boxes and sides of hands, for the default model.

AdamW with a cosine to nothing and a running average of the parameters. Without --dataset pictures are drawn on the
device; `launch/default_model.md` is the recipe of the weights that ship.
"""

import dataclasses
import math
from functools import partial

import jax.numpy as jnp
import optax

from datasets import synthetic
from datasets.augment import Augmentation
from handjax.losses import hand_finder as losses
from handjax.models import hand_finder_objective
from handjax.models.hand_finder import PRESETS as NETWORKS
from handjax.models.layers import Compute
from handjax.models.objective import initialised
from handjax.train import AXIS, Optimiser
from launch import crops
from launch.config import Run, setting
from launch.parts import with_trained
from launch.task import Task
from launch.train_crop_hand import kernels
from launch.train_multihand import draw, prepare
from launch.training import launch

AUGMENTATION = Augmentation(
    zoom=(0.75, 1.5),
    shift=0.15,
    rotation=math.radians(25),
    mirror=0.5,
    brightness=(0.7, 1.3),
    contrast=(0.7, 1.3),
    saturation=(0.6, 1.3),
    hue=(-0.03, 0.03),
    colour_share=0.5,
    blur=(0.0, 0.6),
    noise=0.01,
)


@dataclasses.dataclass(frozen=True)
class Config(Run):
    size: int = setting(256, "Side of the pictures, px; a multiple of 32.")
    weight_decay: float = setting(1e-4, "Of AdamW.")
    begin_with: str = setting("", "Folder of an earlier run whose network training begins with.")
    plain: bool = setting(False, "Synthetic hands before grey, without occluders and camera noise.")


PRESETS = {
    "tiny": {"size": 96, "batch_size": 8, "steps": 1500, "plain": True, "evaluate_every": 500, "save_every": 500},
    "small": {"batch_size": 16, "steps": 6_000, "learning_rate": 2e-3, "warmup": 200, "ema": 0.998, "clip": 5.0},
    "paper": {"size": 512, "batch_size": 128, "steps": 200_000, "learning_rate": 2e-3, "warmup": 1000, "ema": 0.9995},
}


def task(config: Config) -> Task:
    network = NETWORKS[config.preset].clone(compute=Compute(jnp.dtype(config.dtype), AXIS))
    image = jnp.zeros((2, config.size, config.size, 3))
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup, max(config.steps, config.warmup + 1)
    )
    adam = optax.chain(optax.scale_by_adam(b2=0.99), optax.add_decayed_weights(config.weight_decay, mask=kernels))
    return Task(
        system="hand_finder",
        init=lambda key: initialised(network, "hand_finder", key, image),
        trained=lambda fresh: with_trained(fresh, config.begin_with, ("hand_finder",)),
        objective=partial(hand_finder_objective.find_hands, network),
        weights=losses.USUAL,
        optimiser=Optimiser(adam, rate, config.clip or None, config.ema or None),
        draw=partial(draw, settings_of(config)),
        source=crops.sources,
        prepare=prepare,
        labels=("keypoints_2d",),
        pipeline={"size": config.size, "augmentation": AUGMENTATION, "pictures": ("image",)},
        score=hand_finder_objective.score,
        prior=hand_finder_objective.prior,
        constant=hand_finder_objective.constant,
        metric="recall",
        less_is_better=False,
        pictures=hand_finder_objective.shown,
    )


def settings_of(config: Config) -> synthetic.Settings:
    size = (config.size, config.size)
    if config.plain:
        return synthetic.frame(size, backgrounds=None, occluders=None, degrade=None, hands=(1, 2))
    return synthetic.frame(size)


if __name__ == "__main__":
    launch(Config, PRESETS, task)
