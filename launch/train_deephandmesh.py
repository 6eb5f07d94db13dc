"""`python -m launch.train_deephandmesh`: one person's detailed hand (Moon, Shiratori and Lee 2020), in two stages.

`--stage=model`: image encoder and decoder together, from pictures and depth of many cameras. Then `--stage=encoder
--model=runs/deephandmesh_model-small`: a new encoder for hands of anybody, before the decoder, which is frozen
(section 8.4). Adam, 1e-4, a tenth of it at epochs 30 and 32 of 35, batches of 32.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from datasets import synthetic
from datasets.synthetic.capture_rig import sample_rig
from datasets.synthetic.captures import (
    CaptureHand,
    Pose,
    Subject,
    capture_batch,
    capture_hand,
    pose_hand,
    random_pose,
    subject,
)
from handjax import mano, rotations
from handjax.checks import check_choice
from handjax.losses import deephandmesh as losses
from handjax.models import deephandmesh_objective as objective
from handjax.models.deephandmesh import PRESETS as NETWORKS
from handjax.models.deephandmesh import DeepHandMesh
from handjax.models.hand_template import HandTemplate, template_of
from handjax.models.layers import Compute
from handjax.models.objective import Batch, Tree
from handjax.train import AXIS, Optimiser, decay_at
from launch import crops
from launch.config import Run, setting
from launch.parts import with_trained
from launch.training import Task, launch

STAGES = ("model", "encoder")
RESOLUTIONS = {"tiny": "low", "small": "low", "paper": "high"}
DECODER = ("deephandmesh/skeleton_refine_net", "deephandmesh/skin_refine_net")
TILT = 0.3
"""Standard deviation of the turn of a hand that is held up, radians."""

KEYPOINT_NAMES = tuple(name for name in mano.DETAILED_JOINTS if name != "thumb0")
"""Of the 21 keypoints, in their order."""


@dataclasses.dataclass(frozen=True)
class Config(Run):
    stage: str = setting("model", "model: encoder and decoder. encoder: a new encoder before a frozen decoder.")
    model: str = setting("", "Folder of the run of the first stage, whose decoder --stage=encoder needs.")
    learning_rate: float = setting(1e-4, "Adam's, at its highest.")
    size: int = setting(256, "Side of pictures and depth maps, px.")
    views: int = setting(8, "Cameras that see each synthetic pose; each of their pictures is an example.")
    depth_views: int = setting(6, "Depth maps that each example is compared with, of those cameras.")
    released: bool = setting(True, "Penetration as the authors' code has it: means; else the paper's sums.")
    plain: bool = setting(False, "Pictures without camera noise, drawn once a pixel.")
    still: bool = setting(False, "Cameras stand where they are, and the hand is held up; else both are turned anyhow.")


PRESETS = {
    "tiny": {
        "size": 64,
        "batch_size": 8,
        "views": 2,
        "depth_views": 1,
        "steps": 2200,
        "learning_rate": 1e-3,
        "plain": True,
        "still": True,
        "evaluate_every": 500,
        "save_every": 500,
    },
    "small": {"size": 128, "batch_size": 32, "views": 4, "depth_views": 4, "steps": 50_000},
    "paper": {"batch_size": 32, "steps": 440_000, "evaluate_every": 5000, "save_every": 5000},
}


def task(config: Config) -> Task:
    check(config)
    of_model = config.stage == "model"
    template = template_of(mano.detailed(mano.default(resolution=RESOLUTIONS[config.preset])))
    network = network_of(config, template)
    rate = decay_at(config.learning_rate, config.steps, (30 / 35, 32 / 35), warmup=config.warmup)
    if of_model:
        surface = objective.touching(template, network, released=config.released)
        trained_on = partial(objective.model, network, template, surface)
    else:
        trained_on = partial(objective.encoder, network, template)
    return Task(
        system=f"deephandmesh_{config.stage}",
        init=lambda key: objective.variables_of(network, key, jnp.zeros((2, config.size, config.size, 3))),
        trained=None if of_model else partial(before_decoder, config.model),
        objective=trained_on,
        weights=losses.RELEASED if config.released else losses.PAPER,
        optimiser=Optimiser(optax.scale_by_adam(), rate, config.clip or None, config.ema or None),
        frozen=() if of_model else DECODER,
        draw=partial(draw_captures if of_model else draw_crops, config, network),
        source=partial(capture_source, config) if of_model else crops.sources,
        prepare=partial(prepare, network),
        labels=("keypoints_3d", "depth", "intrinsics") if of_model else ("keypoints_3d",),
        pipeline={
            "size": config.size,
            "augmentation": "deephandmesh",
            "per_hand": True,
            "pictures": ("image", "depth") if of_model else ("image",),
        },
        score=objective.score,
        prior=partial(objective.prior, network, template),
        constant=partial(objective.constant, network, template),
        metric="joint_error_mm",
        pictures=shown,
    )


def check(config: Config) -> None:
    """Raises ValueError for settings that do not go together."""
    check_choice("--stage", config.stage, STAGES)
    if config.size < 32 or config.size % 32:
        raise ValueError(f"--size must be a multiple of 32, got {config.size}")
    if not 1 <= config.depth_views <= config.views:
        raise ValueError(f"--depth_views must lie in [1, --views={config.views}], got {config.depth_views}")
    if config.stage == "encoder" and not config.model:
        raise ValueError("--model must name the run whose decoder --stage=encoder builds on, got none")


def network_of(config: Config, template: HandTemplate) -> DeepHandMesh:
    network = NETWORKS[config.preset].clone(vertices=len(template.vertices))
    if config.preset == "tiny":
        network = network.clone(width=16, features=128, skeleton_hidden=32, skin_hidden=32)
    return network.clone(compute=Compute(jnp.dtype(config.dtype), AXIS))


def before_decoder(run: str, fresh: Tree) -> Tree:
    """Raises ValueError where there is no such run, or its network has other shapes."""
    return objective.with_decoder(fresh, with_trained(fresh, run, (objective.NAME,)))


def capture_source(config: Config) -> dict[str, Any]:
    """One person, whom --seed chooses, and with --still the cameras."""
    hand = capture_hand(resolution=RESOLUTIONS[config.preset], texture=512 if config.size > 128 else 256)
    key, size = jax.random.key(config.seed), (config.size, config.size)
    rig = {"rig": sample_rig(jax.random.fold_in(key, 1), config.views, size)} if config.still else {}
    return {"hand": hand, "person": subject(key), **rig}


def held_up(key: Array, hand: CaptureHand, person: Subject) -> Pose:
    """A random pose, nearly upright, its joints about the origin."""
    pose_key, turn_key = jax.random.split(key)
    orient = rotations.matrix_from_axis_angle(TILT * jax.random.normal(turn_key, (3,)))
    pose = random_pose(pose_key, hand, person)._replace(orient=orient, transl=jnp.zeros(3))
    return pose._replace(transl=-pose_hand(hand, person, pose).joints.mean(axis=0))


def draw_captures(config: Config, network: DeepHandMesh, key: Array, source: Any, count: int) -> Batch:
    """Pictures of some poses by all cameras, each with the depth that some of these cameras see of its pose."""
    capture_key, view_key, pose_key = jax.random.split(key, 3)
    poses = -(-count // config.views)
    pose = None
    if config.still:
        keys = jax.random.split(pose_key, poses)
        pose = jax.lax.map(lambda one: held_up(one, source["hand"], source["person"]), keys)
    captures = capture_batch(
        *(capture_key, source["person"], config.views),
        hand=source["hand"],
        rig=source.get("rig"),
        pose=pose,
        poses=poses,
        size=(config.size, config.size),
        degradation=None if config.plain else synthetic.Degradation(),
        supersample=1 if config.plain else 2,
    )
    pose, view = jnp.arange(count) // config.views, jnp.arange(count) % config.views
    apart = jax.random.permutation(view_key, config.views)[: config.depth_views]
    seen = (view[:, None] + apart[None]) % config.views
    depth = jnp.where(captures.overflow[..., None, None], 0.0, captures.depth)
    places = np.array([network.joints.index(name) for name in mano.DETAILED_JOINTS])
    joints = jnp.zeros((count, len(network.joints), 3)).at[:, places].set(captures.joints[pose])
    angles = jnp.zeros((count, 3 * len(network.joints))).at[:, network.angle_slots].set(captures.pose.angles[pose])
    return {
        "image": captures.image[pose, view],
        "joints": joints,
        "joints_valid": jnp.broadcast_to(labelled(network)[None], joints.shape[:2]),
        "angles": angles.reshape(joints.shape),
        "depth": depth[pose[:, None], seen],
        "focal": jnp.stack([captures.K[seen, 0, 0], captures.K[seen, 1, 1]], -1),
        "center": captures.K[seen, :2, 2],
        "rotation": captures.R[seen],
        "translation": captures.t[seen],
    }


def draw_crops(config: Config, network: DeepHandMesh, key: Array, source: Any, count: int) -> Batch:
    batch = crops.draw_crops(crops.crop_settings(config.size, config.plain), key, source, count)
    return prepare(network, key, {name: batch[name] for name in ("image", "keypoints_3d", "keypoints_3d_valid")})


def prepare(network: DeepHandMesh, key: Array, examples: Batch) -> Batch:
    """Right hands of a set: joints from keypoints, and the picture's own depth, if it has any: one camera."""
    names = [name for name in KEYPOINT_NAMES if name in network.joints]
    places = np.array([network.joints.index(name) for name in names])
    keypoints = np.array([KEYPOINT_NAMES.index(name) for name in names])
    points, known = examples["keypoints_3d"], examples["keypoints_3d_valid"].astype(jnp.float32)
    count = len(points)
    blank = jnp.zeros((count, len(network.joints)))
    batch = {
        "image": examples["image"],
        "joints": jnp.zeros((*blank.shape, 3)).at[:, places].set(points[:, keypoints]),
        "joints_valid": blank.at[:, places].set(known[:, keypoints]),
    }
    if "depth" not in examples:
        return batch
    matrix = examples["intrinsics"]
    known = (examples["intrinsics_valid"] & examples["depth_valid"])[:, None, None]
    return batch | {
        "depth": jnp.where(known, examples["depth"], 0.0)[:, None],
        "focal": jnp.stack([matrix[:, 0, 0], matrix[:, 1, 1]], -1)[:, None],
        "center": matrix[:, None, :2, 2],
        "rotation": jnp.broadcast_to(jnp.eye(3), (count, 1, 3, 3)),
        "translation": jnp.zeros((count, 1, 3)),
    }


def labelled(network: DeepHandMesh) -> Array:
    """(J,): `thumb0` has no label in the published data, nor here."""
    return jnp.array([float(name in KEYPOINT_NAMES) for name in network.joints])


def shown(outputs: dict[str, Any], batch: Batch) -> dict[str, np.ndarray]:
    """input; of the first camera of each example the depth that is rendered and that is measured, near bright."""
    pictures = {"input": np.asarray(batch["image"][: crops.SHOWN], np.float32) / 255}
    if "depth" not in outputs:
        return pictures
    for name, source in (("depth", outputs), ("measured_depth", batch)):
        depth = np.asarray(source["depth"][: crops.SHOWN, 0], np.float32)
        low = np.where(depth > 0, depth, np.inf).min((1, 2), keepdims=True)
        high = depth.max((1, 2), keepdims=True)
        bright = np.where(depth > 0, 1.0 - 0.8 * (depth - np.minimum(low, high)) / np.maximum(high - low, 1e-6), 0.0)
        pictures[name] = np.repeat(bright[..., None], 3, -1)
    return pictures


if __name__ == "__main__":
    launch(Config, PRESETS, task)
