"""`python -m launch.train_multihand`: pictures to all of their hands (Ren, Zhu and Zhang 2023), in two stages.

`--stage=crops`: crops of one hand, whose centre is known; only what reconstructs it is trained. Then
`--stage=pictures --crops=runs/multihand_crops-small`: pictures of several hands, everything together. Adam, 1e-3, a
tenth of it at epochs 30, 90 and 120 of 150, batches of 256, in both.
"""

import dataclasses
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from datasets import synthetic
from handjax import mano
from handjax.checks import check_choice
from handjax.losses import multihand as losses
from handjax.models import multihand_objective, multihand_scores
from handjax.models.layers import Compute
from handjax.models.multihand import PRESETS as NETWORKS
from handjax.models.multihand import MultiHand
from handjax.models.objective import Batch, initialised
from handjax.train import AXIS, Optimiser, decay_at
from launch import crops
from launch.config import Run, setting
from launch.parts import with_trained
from launch.training import Task, launch

STAGES = ("crops", "pictures")
SIZES = {"tiny": (64, 64), "small": (128, 256), "paper": (224, 512)}
"""Sides of crops and of pictures, px."""

LARGEST_HAND = 320 / 512
"""Side of a synthetic hand's box over a picture's, as published."""

SHOWN = 4
"""Pictures in a log."""


@dataclasses.dataclass(frozen=True)
class Config(Run):
    stage: str = setting("pictures", "crops: one hand, its centre known. pictures: several, found and reconstructed.")
    crops: str = setting("", "Folder of the run of the first stage, on which --stage=pictures builds.")
    size: int = setting(0, "Side of the pictures, px; 0: the preset's of the stage.")
    hands: int = setting(10, "Most hands of a synthetic picture.")
    least_hand: float = setting(96 / 512, "Smallest side of a synthetic hand's box over a picture's, up to 320 / 512.")
    full: bool = setting(False, "3D labels supervise, too; else the picture alone, as in the paper's title.")
    render_size: int = setting(64, "Side of rendered pictures, a divisor of --size; 0: no rendered terms.")
    plain: bool = setting(False, "Synthetic hands before grey, without occluders and camera noise.")


PRESETS = {
    "tiny": {
        "batch_size": 8,
        "steps": 1500,
        "hands": 2,
        "least_hand": 0.35,
        "render_size": 32,
        "plain": True,
        "evaluate_every": 500,
        "save_every": 500,
    },
    "small": {"batch_size": 32, "steps": 50_000},
    "paper": {"batch_size": 256, "steps": 70_000, "render_size": 224, "evaluate_every": 5000, "save_every": 5000},
}


def task(config: Config) -> Task:
    check_choice("--stage", config.stage, STAGES)
    size = size_of(config)
    on_pictures = config.stage == "pictures"
    network, model = network_of(config), mano.default()
    rate = decay_at(config.learning_rate, config.steps, (0.2, 0.6, 0.8), warmup=config.warmup)
    return Task(
        system=f"multihand_{config.stage}",
        init=lambda key: initialised(network, "multihand", key, jnp.zeros((2, size, size, 3))),
        trained=lambda fresh: with_trained(fresh, config.crops if on_pictures else "", ("multihand",)),
        objective=partial(
            *(multihand_objective.multihand, network, model),
            locate=on_pictures,
            full=config.full,
            render_size=config.render_size or None,
        ),
        weights=losses.FULL_SUPERVISION if config.full else losses.PAPER,
        optimiser=Optimiser(optax.scale_by_adam(), rate, config.clip or None, config.ema or None),
        frozen=() if on_pictures else ("multihand/hm", "multihand/handmap"),
        draw=partial(draw, settings_of(config)),
        source=crops.sources,
        prepare=prepare if on_pictures else one_slot,
        labels=labels_of(config),
        pipeline={
            "size": size,
            "augmentation": "multihand" if on_pictures else "multihand_single",
            "per_hand": not on_pictures,
            "to_right": False,
            "pictures": ("image", "mask") if config.render_size else ("image",),
        },
        score=multihand_scores.score,
        prior=partial(multihand_scores.prior, model),
        constant=multihand_scores.constant,
        metric="center_recall" if on_pictures else "pixel_error",
        less_is_better=not on_pictures,
        pictures=shown,
    )


def size_of(config: Config) -> int:
    """Raises ValueError for sizes that do not go together."""
    size = config.size or SIZES[config.preset][STAGES.index(config.stage)]
    if size % 32:
        raise ValueError(f"--size must be a multiple of 32, got {size}")
    if config.render_size < 0 or (config.render_size and size % config.render_size):
        raise ValueError(f"--render_size must divide the {size} px of the pictures, got {config.render_size}")
    if not 0 < config.least_hand <= LARGEST_HAND:
        raise ValueError(f"--least_hand must lie in (0, {LARGEST_HAND}], got {config.least_hand}")
    if config.hands < 1:
        raise ValueError(f"--hands must be at least 1, got {config.hands}")
    return size


def network_of(config: Config) -> MultiHand:
    """With colours where they are compared."""
    network = NETWORKS[config.preset].clone(compute=Compute(jnp.dtype(config.dtype), AXIS))
    if config.preset == "tiny":
        network = network.clone(width=16, neck=48)
    if not config.render_size:
        return network.clone(texture_vertices=0, light=False)
    return network.clone(texture_vertices=len(mano.default().v_template), light=True)


def settings_of(config: Config) -> synthetic.Settings:
    bare: dict[str, Any] = {"backgrounds": None, "occluders": None, "degrade": None} if config.plain else {}
    size = size_of(config)
    if config.stage == "crops":
        return synthetic.single(size, **bare)
    hand_px = (config.least_hand * size, LARGEST_HAND * size)
    return synthetic.many(size, hands=(1, config.hands), hand_px=hand_px, **bare)


def labels_of(config: Config) -> tuple[str, ...]:
    """What the terms need, and no more."""
    needed = ["keypoints_2d"]
    needed += ["side"] if config.stage == "pictures" else []
    needed += ["mano"] if config.full else []
    needed += ["mask"] if config.render_size else []
    return tuple(needed)


def draw(settings: synthetic.Settings, key: Array, source: Any, count: int) -> Batch:
    return synthetic.batch(key, count, settings, source["assets"])


def prepare(key: Array, examples: Batch) -> Batch:
    """Pictures of a set, as they come."""
    return examples


def one_slot(key: Array, examples: Batch) -> Batch:
    """Crops of a set, whose labels have no axis of slots -> as pictures of one hand."""
    of_picture = (
        "image",
        "mask",
        "depth",
        "mask_valid",
        "depth_valid",
        "intrinsics",
        "intrinsics_valid",
        "image_valid",
    )
    return {name: value if name in of_picture else value[:, None] for name, value in examples.items()}


def shown(outputs: dict[str, Any], batch: Batch) -> dict[str, np.ndarray]:
    """input, the map of centres over it, and what is rendered, over it too."""
    image = np.asarray(batch["image"][:SHOWN], np.float32) / 255
    centers = 1 / (1 + np.exp(-np.asarray(outputs["centers"], np.float32)[:SHOWN].max(-1)))
    pictures = {"input": image, "centers": 0.4 * image + 0.6 * _enlarged(centers, image.shape[1])[..., None]}
    if "mask" in outputs:
        mask, rendered = (np.asarray(outputs[name])[:SHOWN] for name in ("mask", "rendered"))
        over = _enlarged(np.concatenate([rendered, mask[..., None]], -1), image.shape[1])
        pictures["overlay"] = over[..., :3] + image * (1.0 - over[..., 3:])
    return pictures


def _enlarged(maps: np.ndarray, size: int) -> np.ndarray:
    """(N, h, h, ...) -> (N, size, size, ...), each value repeated."""
    factor = size // maps.shape[1]
    return maps.repeat(factor, 1).repeat(factor, 2)


if __name__ == "__main__":
    launch(Config, PRESETS, task)
