"""`python -m launch.train_siknet`: keypoints to rotations and shape, on pairs made on the device (BiHand, section 3.3).

Adam, 1e-3, a tenth of it at 40 % and 80 % of the run, as released (`paper`: batches of 1024); rotations, joints and
shape are all trained, where the released first stage trains rotations alone.

`--fine_tune --liftnet=runs/liftnet-small --siknet=runs/siknet-small --learning_rate=1e-4 --batch_size=16` goes on with
joints and shape alone, on what LiftNet finds in pictures.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax import Array

from datasets.synthetic.sik import sampled_prior, sampled_sik_batch, sik_batch
from handjax import mano, targets
from handjax.losses import bihand
from handjax.models import liftnet_objective, siknet, siknet_objective
from handjax.models.layers import Compute
from handjax.models.objective import Batch, Tree, together
from handjax.train import AXIS, Optimiser, decay_at
from launch import crops, train_liftnet, train_seednet
from launch.config import Run, setting
from launch.parts import with_trained
from launch.training import Task, launch

NETWORKS = {**siknet.PRESETS, "tiny": siknet.PRESETS["tiny"].clone(rotation_widths=(256, 256, 256), palm_frame=True)}
"""The tiny network's own 32 features are too few for the rotations of a hand."""


@dataclasses.dataclass(frozen=True)
class Config(Run):
    fine_tune: bool = setting(False, "On what --liftnet finds in pictures, from --siknet; rotations are not needed.")
    liftnet: str = setting("", "Folder of LiftNet's run, with --fine_tune; without one it stays as it was drawn.")
    siknet: str = setting("", "Folder of SIKNet's run on pairs, with --fine_tune.")
    size: int = setting(256, "Side of the crops of --fine_tune, px.")
    plain: bool = setting(False, "Synthetic hands of --fine_tune held up before grey, without occluders and noise.")
    noise_mm: float = setting(0.0, "Largest deviation of the errors of the keypoints that the network sees.")
    sampled: bool = setting(True, "Poses that hands can take, from the sampler; else BiHand's independent angles.")


PRESETS = {
    "tiny": {
        "size": 64,
        "plain": True,
        "batch_size": 256,
        "steps": 5000,
        "evaluate_every": 1000,
        "save_every": 1000,
    },
    "small": {"batch_size": 512, "steps": 30_000, "noise_mm": 4.0},
    "paper": {"batch_size": 1024, "steps": 80_000, "evaluate_every": 5000, "save_every": 5000, "sampled": False},
}


def task(config: Config) -> Task:
    return fine_tuning(config) if config.fine_tune else on_pairs(config)


def on_pairs(config: Config) -> Task:
    network = NETWORKS[config.preset].clone(compute=Compute(jnp.dtype(config.dtype), AXIS))
    model = mano.default()
    steps = decay_at(config.learning_rate, config.steps, (0.4, 0.8), warmup=config.warmup)
    return Task(
        system="siknet",
        init=partial(siknet_objective.fresh_siknet, network),
        objective=partial(siknet_objective.siknet, network, model),
        weights=bihand.PAPER,
        optimiser=Optimiser(optax.scale_by_adam(), steps, config.clip or None, config.ema or None),
        draw=partial(draw, config, model),
        source=lambda: {} if config.sampled else {"prior": sampled_prior(model)},
        prepare=partial(prepare, config),
        labels=("keypoints_3d", "mano"),
        pipeline={"per_hand": True, "pictures": ()},
        score=partial(siknet_objective.score, model),
        prior=siknet_objective.prior,
        constant=partial(siknet_objective.constant, model),
        metric="rotation_error_deg",
    )


def fine_tuning(config: Config) -> Task:
    compute = Compute(jnp.dtype(config.dtype), AXIS)
    seed = train_seednet.NETWORKS[config.preset].clone(compute=compute)
    lift = train_liftnet.NETWORKS[config.preset].clone(compute=compute)
    network = NETWORKS[config.preset].clone(compute=compute)
    model = mano.default()
    steps = decay_at(config.learning_rate, config.steps, (0.4, 0.8), warmup=config.warmup)

    def init(key: Array) -> Tree:
        fresh = siknet_objective.fresh_siknet(network, key)
        return together(train_liftnet.variables(seed, lift, config.size, key), fresh)

    def trained(fresh: Tree) -> Tree:
        return with_trained(with_trained(fresh, config.liftnet, ("seednet", "liftnet")), config.siknet, ("siknet",))

    return Task(
        system="siknet_fine_tuning",
        init=init,
        trained=trained,
        objective=partial(siknet_objective.siknet_fine_tuning, seed, lift, network, model),
        weights=bihand.RELEASED_FINE_TUNING,
        optimiser=Optimiser(optax.scale_by_adam(), steps, config.clip or None, config.ema or None),
        frozen=("seednet", "liftnet"),
        draw=partial(crops.draw_crops, crops.crop_settings(config.size, config.plain)),
        source=crops.sources,
        labels=("keypoints_3d", "intrinsics"),
        pipeline={"size": config.size, "augmentation": "bihand", "per_hand": True},
        score=partial(siknet_objective.fine_tuning_score, model),
        prior=liftnet_objective.prior,
        constant=siknet_objective.fine_tuning_constant,
        metric="joint_error_mm",
        pictures=crops.shown,
    )


def draw(config: Config, model: mano.HandModel, key: Array, source: dict, count: int) -> Batch:
    hand_key, noise_key = jax.random.split(key)
    if config.sampled:
        pairs = sampled_sik_batch(hand_key, count, model)
    else:
        pairs = sik_batch(hand_key, count, model, source["prior"])
    labels = {"joints": pairs.joints, "quaternions": pairs.quaternions, "betas": pairs.betas}
    return seen_with_noise(config, noise_key, labels)


def prepare(config: Config, key: Array, examples: Batch) -> Batch:
    """A dataset's right hands: keypoints and rotations."""
    hand = jax.vmap(targets.rotations)
    quaternions, known = hand(examples["global_orient"], examples["hand_pose"], examples["mano_valid"])
    valid = examples["keypoints_3d_valid"].astype(jnp.float32)
    labels = {"joints": examples["keypoints_3d"], "joints_valid": valid, "betas": examples["betas"]}
    return seen_with_noise(config, key, labels | {"quaternions": quaternions, "quaternions_valid": known})


def seen_with_noise(config: Config, key: Array, labels: dict[str, Array]) -> Batch:
    if not config.noise_mm:
        return labels
    # Some hands are seen well and some badly, as they will be.
    most_key, key = jax.random.split(key)
    deviation = 1e-3 * config.noise_mm * jax.random.uniform(most_key, (len(labels["joints"]), 1, 1))
    return labels | {"seen": labels["joints"] + deviation * jax.random.normal(key, labels["joints"].shape)}


if __name__ == "__main__":
    launch(Config, PRESETS, task)
