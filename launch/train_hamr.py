"""`python -m launch.train_hamr`: crops to meshes, learnt from keypoints and silhouettes (HAMR, sections 3.3 and 4.1).

RMSprop, 2e-4, times 0.7 where the validation error no longer falls, all parts at once; weights of eq. 8. The switches
`mesh`, `camera`, `geometric` and `silhouette` are those of the paper's ablation (section 4.5).
"""

import dataclasses
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from handjax import mano
from handjax.losses import hamr as losses
from handjax.models import hamr_objective
from handjax.models.hamr import PRESETS as NETWORKS
from handjax.models.hamr import Hamr
from handjax.models.layers import Compute
from handjax.models.objective import Batch, initialised
from handjax.train import AXIS, Optimiser, Plateau, decay_at
from launch import crops
from launch.config import Run, setting
from launch.training import Task, launch


@dataclasses.dataclass(frozen=True)
class Config(Run):
    learning_rate: float = setting(2e-4, "RMSprop's, before the plateaus.")
    plain: bool = setting(False, "Synthetic hands held up before grey, without occluders and camera noise.")
    mesh: bool = setting(True, "Off: 21 joints are regressed instead of the hand's pose and shape.")
    camera: bool = setting(True, "The camera is held to that of the labels.")
    geometric: bool = setting(True, "Fingers are held to a plane, bent one way.")
    silhouette: bool = setting(True, "The rendered silhouette is held to the mask. Only with --mesh.")
    silhouette_size: int = setting(128, "Side of the silhouettes that are compared, a divisor of the crop's.")
    shape_prior: float = setting(1e-3, "Weight of the squared betas, which the paper has not; 0: none.")
    patience: int = setting(3, "Evaluations without progress until the learning rate falls.")


PRESETS = {
    "tiny": {
        "silhouette_size": 32,
        "batch_size": 16,
        "steps": 1500,
        "learning_rate": 1e-3,
        "warmup": 200,
        "shape_prior": 1e-2,
        "plain": True,
        "evaluate_every": 500,
        "save_every": 500,
    },
    "small": {"silhouette_size": 64, "batch_size": 32, "steps": 100_000},
    "paper": {"batch_size": 128, "steps": 300_000, "evaluate_every": 5000, "save_every": 5000},
}


def task(config: Config) -> Task:
    network = network_of(config)
    model = mano.default()
    size = silhouette_size(config, network)
    image = jnp.zeros((2, network.size, network.size, 3))
    # No decay by steps: plateaus alone turn the rate down. The mean square moves by a hundredth, as in PyTorch.
    rate = decay_at(config.learning_rate, config.steps, (), warmup=config.warmup)
    return Task(
        system="hamr",
        init=lambda key: hamr_objective.small_steps(initialised(network, "hamr", key, image)),
        objective=partial(hamr_objective.hamr_hands, network, model, silhouette_size=size),
        weights=weights(config),
        optimiser=Optimiser(
            *(optax.scale_by_rms(0.99, eps_in_sqrt=False), rate, config.clip or None, config.ema or None),
            plateau=Plateau(0.7, config.patience),
        ),
        draw=partial(crops.draw_crops, crops.crop_settings(network.size, config.plain)),
        source=crops.sources,
        labels=("keypoints_2d", "keypoints_3d") if size is None else ("keypoints_2d", "keypoints_3d", "mask"),
        pipeline={
            "size": network.size,
            "augmentation": "hamr",
            "per_hand": True,
            "pictures": ("image",) if size is None else ("image", "mask"),
        },
        score=hamr_objective.score,
        prior=partial(hamr_objective.prior, model, size),
        constant=hamr_objective.constant,
        metric="pa_error_mm",
        pictures=shown,
    )


def network_of(config: Config) -> Hamr:
    network = NETWORKS[config.preset].clone(mesh=config.mesh, compute=Compute(jnp.dtype(config.dtype), AXIS))
    if config.preset != "tiny":
        return network
    # What is published as tiny sees 32 px, too few for fingers.
    return network.clone(
        size=64, stem=(16, 16, 32, 32), growth=8, encoder=(32, 48, 64, 96), hidden=128, dropout=0.0, pca=20
    )


def silhouette_size(config: Config, network: Hamr) -> int | None:
    """None where no silhouettes are compared. Raises ValueError for a size that does not divide the crop's."""
    if not (config.silhouette and config.mesh):
        return None
    if config.silhouette_size < 1 or network.size % config.silhouette_size:
        raise ValueError(
            f"--silhouette_size must divide the {network.size} px of the crops, got {config.silhouette_size}"
        )
    return config.silhouette_size


def weights(config: Config) -> losses.HamrWeights:
    switched = {name: 0.0 for name in ("camera", "geometric", "silhouette") if not getattr(config, name)}
    return losses.PAPER._replace(betas=config.shape_prior, **switched)


def shown(outputs: dict[str, Any], batch: Batch) -> dict[str, np.ndarray]:
    """`crops.shown`, and the rendered silhouette over the input."""
    pictures = crops.shown(outputs, batch)
    if "mask" in pictures:
        pictures["overlay"] = pictures["input"] * (1.0 - 0.5 * pictures["mask"] * np.array([1.0, 0.0, 1.0]))
    return pictures


if __name__ == "__main__":
    launch(Config, PRESETS, task)
