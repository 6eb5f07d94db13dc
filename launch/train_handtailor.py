"""`python -m launch.train_handtailor --stage=...`: HandTailor's hand module (section 4.1), in three stages, in turn:

    --stage=keypoints                                       crops to heat-maps and keypoints in space
    --stage=ik                                              keypoints to rotations, on pairs made on the device
    --stage=whole --keypoints=runs/handtailor-keypoints-small --ik=runs/handtailor-ik-small

Adam, 3e-4, and 3e-5 for the whole; 100, 50 and 100 epochs, here of 1,000 steps, since the paper names no batch. The
paper's network: it is given the reference bone. `shape_depth` and `shape_silhouette` are of its ablation (section 4.4).
"""

import dataclasses
from functools import partial
from typing import Any

import jax.numpy as jnp
import optax
from jax import Array

from handjax import mano
from handjax.camera import Camera
from handjax.losses import handtailor as losses
from handjax.models import handtailor, handtailor_objective, siknet_objective
from handjax.models.handtailor import HandNet
from handjax.models.layers import Compute
from handjax.models.objective import Tree, initialised
from handjax.train import AXIS, Optimiser, decay_at
from launch import crops, train_siknet
from launch.config import setting
from launch.parts import with_trained
from launch.training import Task, launch

NETWORKS = {
    **handtailor.PRESETS,
    "tiny": handtailor.PRESETS["tiny"].clone(features=32, pooled_features=64, rotation_widths=(256, 512, 256)),
}
"""The tiny network's own 16 features are too few for 21 keypoints and their rotations."""

KEYPOINTS, IK, WHOLE = STAGES = "keypoints", "ik", "whole"

SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {
        KEYPOINTS: {"batch_size": 8, "steps": 2500, "learning_rate": 1e-3},
        IK: {"batch_size": 128, "steps": 4000, "learning_rate": 1e-3},
        WHOLE: {"batch_size": 8, "steps": 1500, "learning_rate": 3e-4},
    },
    "small": {
        KEYPOINTS: {"batch_size": 32, "steps": 50_000, "learning_rate": 3e-4},
        IK: {"batch_size": 512, "steps": 30_000, "learning_rate": 3e-4},
        WHOLE: {"batch_size": 32, "steps": 50_000, "learning_rate": 3e-5},
    },
    "paper": {
        KEYPOINTS: {"batch_size": 64, "steps": 100_000, "learning_rate": 3e-4},
        IK: {"batch_size": 1024, "steps": 50_000, "learning_rate": 3e-4},
        WHOLE: {"batch_size": 64, "steps": 100_000, "learning_rate": 3e-5},
    },
}
"""What a stage's batch, length and rate are where no flag says so."""


@dataclasses.dataclass(frozen=True)
class Config(train_siknet.Config):
    stage: str = setting(KEYPOINTS, "keypoints, ik or whole.")
    batch_size: int = setting(0, "Examples of a step, on all devices together; 0: as the preset has it for the stage.")
    steps: int = setting(0, "Updates of the whole run; 0: as the preset has it for the stage.")
    learning_rate: float = setting(0.0, "Adam's, at its highest; 0: as the preset has it for the stage.")
    keypoints: str = setting("", "Folder of the run of that stage, for --stage=whole; else it stays as it was drawn.")
    ik: str = setting("", "Folder of the run of that stage, for --stage=whole; else it stays as it was drawn.")
    size: int = setting(256, "Side of the crops, px.")
    true_root: bool = setting(True, "Keypoints are placed at the label's root depth; off: at the predicted one.")
    shape_depth: float = setting(0.0, "Weight of the mesh's depth map, for --stage=whole.")
    shape_silhouette: float = setting(0.0, "Weight of the mesh's silhouette, for --stage=whole.")
    plain: bool = setting(False, "Synthetic hands held up before grey, without occluders and camera noise.")

    def __post_init__(self) -> None:
        sizes = SIZES[self.preset].get(self.stage, SIZES[self.preset][KEYPOINTS])
        for name, value in sizes.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)


PRESETS = {
    "tiny": {"size": 64, "plain": True, "evaluate_every": 500, "save_every": 500},
    "small": {"size": 128},
    "paper": {"evaluate_every": 5000, "save_every": 5000},
}


def task(config: Config) -> Task:
    """Raises ValueError for another stage, and for flags that the stage has no use for."""
    check(config)
    compute = Compute(jnp.dtype(config.dtype), AXIS)
    network = NETWORKS[config.preset].clone(predicts_bone=False, compute=compute)
    if config.stage == IK:
        return _ik_task(config, network)
    return _keypoint_task(config, network) if config.stage == KEYPOINTS else _whole_task(config, network)


def check(config: Config) -> None:
    if config.stage not in STAGES:
        raise ValueError(f"--stage must be one of {', '.join(STAGES)}, got {config.stage}")
    for name in ("keypoints", "ik", "shape_depth", "shape_silhouette"):
        if getattr(config, name) and config.stage != WHOLE:
            raise ValueError(f"--{name} is for --stage=whole, got --stage={config.stage}")


def _keypoint_task(config: Config, network: HandNet) -> Task:
    return Task(
        system="handtailor-keypoints",
        init=partial(variables, network, config.size),
        objective=partial(handtailor_objective.keypoints, network, true_root=config.true_root),
        weights=losses.PAPER,
        optimiser=optimiser(config),
        frozen=("iknet",),
        draw=partial(crops.draw_crops, crops.crop_settings(config.size, config.plain)),
        source=crops.sources,
        labels=("keypoints_2d", "keypoints_3d", "intrinsics"),
        pipeline={"size": config.size, "augmentation": "handtailor", "per_hand": True, "pictures": ("image",)},
        score=handtailor_objective.score,
        prior=handtailor_objective.prior,
        constant=handtailor_objective.constant,
        metric="pck",
        less_is_better=False,
        pictures=crops.shown,
    )


def _ik_task(config: Config, network: HandNet) -> Task:
    pairs = train_siknet.task(config)
    model = mano.default()
    return pairs._replace(
        system="handtailor-ik",
        init=partial(handtailor_objective.fresh_iknet, network),
        objective=partial(handtailor_objective.inverse_kinematics, network, model),
        weights=losses.PAPER,
        optimiser=optimiser(config),
        score=partial(siknet_objective.score, model),
    )


def _whole_task(config: Config, network: HandNet) -> Task:
    shape = bool(config.shape_depth or config.shape_silhouette)
    task = _keypoint_task(config, network)
    objective = partial(
        *(handtailor_objective.whole, network, mano.default()),
        true_root=config.true_root,
        shape_size=config.size // 4 if shape else None,
    )
    return task._replace(
        system="handtailor-whole",
        trained=partial(trained, config),
        objective=objective,
        weights=losses.PAPER._replace(shape_depth=config.shape_depth, shape_silhouette=config.shape_silhouette),
        frozen=(),
        labels=(*task.labels, "depth", "mask") if shape else task.labels,
        pipeline={**task.pipeline, "pictures": ("image", "mask", "depth") if shape else ("image",)},
        constant=handtailor_objective.constant_mesh,
        metric="mesh_error_mm",
        less_is_better=True,
    )


def optimiser(config: Config) -> Optimiser:
    """At one rate throughout, as the paper has it."""
    rate = decay_at(config.learning_rate, config.steps, (), warmup=config.warmup)
    return Optimiser(optax.scale_by_adam(), rate, config.clip or None, config.ema or None)


def variables(network: HandNet, size: int, key: Array) -> Tree:
    camera = Camera(jnp.ones((2, 2)), jnp.zeros((2, 2)))
    fresh = initialised(network, "handnet", key, jnp.zeros((2, size, size, 3)), camera, jnp.ones(2))
    return handtailor_objective.from_handnet({name: tree["handnet"] for name, tree in fresh.items()})


def trained(config: Config, fresh: Tree) -> Tree:
    return with_trained(with_trained(fresh, config.keypoints, ("handnet",)), config.ik, ("iknet",))


if __name__ == "__main__":
    launch(Config, PRESETS, task)
