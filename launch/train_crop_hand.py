"""`python -m launch.train_crop_hand`: crops to keypoints, depths and side, for the default model.

Adam with a cosine to nothing and a running average of the parameters. Without --dataset crops are drawn on the device;
`launch/default_model.md` is the recipe of the weights that ship.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import optax

from datasets.augment import Augmentation
from handjax.losses import crop_hand as losses
from handjax.models import crop_hand_objective
from handjax.models.crop_hand import PRESETS as NETWORKS
from handjax.models.layers import Compute
from handjax.models.objective import initialised
from handjax.train import AXIS, Optimiser
from launch import crops
from launch.config import Run, setting
from launch.parts import with_trained
from launch.task import Task
from launch.training import launch

AUGMENTATION = Augmentation(
    fill=(0.5, 0.88),
    shift=0.09,
    rotation=0.6,
    brightness=(0.7, 1.3),
    contrast=(0.7, 1.3),
    saturation=(0.6, 1.3),
    hue=(-0.03, 0.03),
    colour_share=0.5,
    blur=(0.0, 0.8),
    noise=0.01,
)


@dataclasses.dataclass(frozen=True)
class Config(Run):
    size: int = setting(96, "Side of the crops, px.")
    mirrored: float = setting(0.12, "Share of crops shown as left hands, from which the side is learnt.")
    weight_decay: float = setting(1e-4, "Of AdamW.")
    begin_with: str = setting("", "Folder of an earlier run whose network training begins with.")
    plain: bool = setting(False, "Synthetic hands before grey, without occluders and camera noise.")


PRESETS = {
    "tiny": {"size": 64, "batch_size": 16, "steps": 1500, "plain": True, "evaluate_every": 500, "save_every": 500},
    "small": {"batch_size": 48, "steps": 12_000, "learning_rate": 2e-3, "warmup": 200, "ema": 0.998, "clip": 5.0},
    "paper": {"size": 128, "batch_size": 256, "steps": 200_000, "learning_rate": 2e-3, "warmup": 1000, "ema": 0.9995},
}


def task(config: Config) -> Task:
    network = NETWORKS[config.preset].clone(compute=Compute(jnp.dtype(config.dtype), AXIS))
    image = jnp.zeros((2, config.size, config.size, 3))
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup, max(config.steps, config.warmup + 1)
    )
    adam = optax.chain(optax.scale_by_adam(b2=0.99), optax.add_decayed_weights(config.weight_decay, mask=kernels))
    return Task(
        system="crop_hand",
        init=lambda key: initialised(network, "crop_hand", key, image),
        trained=lambda fresh: with_trained(fresh, config.begin_with, ("crop_hand",)),
        objective=partial(crop_hand_objective.crop_hands, network, mirrored=config.mirrored),
        weights=losses.USUAL,
        optimiser=Optimiser(adam, rate, config.clip or None, config.ema or None),
        draw=partial(crops.draw_crops, crops.crop_settings(config.size, config.plain)),
        source=crops.sources,
        labels=("keypoints_2d",),
        pipeline={"size": config.size, "augmentation": AUGMENTATION, "per_hand": True, "pictures": ("image",)},
        score=crop_hand_objective.score,
        prior=crop_hand_objective.prior,
        constant=crop_hand_objective.constant,
        metric="pck_20",
        less_is_better=False,
        pictures=crop_hand_objective.shown,
    )


def kernels(params):
    """What decays: kernels, not biases and gains."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


if __name__ == "__main__":
    launch(Config, PRESETS, task)
