"""Joints and the rotations that made them, as many as asked: pairs for networks that do inverse kinematics.

BiHand's recipe (Yang et al. 2020, section 3.3, "SIK-1M"), as far as it is known: each coordinate of pose and shape from
a normal distribution of twice the spread that a dataset has, each hand seen from views turned at random. The published
set is a file of FreiHAND's statistics; here the statistics are an argument, by default those of our own pose sampler.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax import mano
from handjax.checks import check_shape
from handjax.mano import kinematics, landmarks, lbs

SPREAD = 2.0
"""Standard deviations of the draw per standard deviation of the prior."""

WRIST, KNUCKLE = 0, 9
"""Ends of the reference bone; the second, the middle finger's base, is where joints are measured from."""


class SikPrior(NamedTuple):
    """Mean and standard deviation of each coordinate of a set of hands.

    pose_mean, pose_std: (45,) axis-angle, flat hand = 0. betas_mean, betas_std: (S,).
    """

    pose_mean: Array
    pose_std: Array
    betas_mean: Array
    betas_std: Array


class SikBatch(NamedTuple):
    """B pairs. The views of one hand stand together: row b is view b % views of hand b // views.

    joints: (B, 21, 3) from the middle knuckle (keypoint 9), which is 0; metres, or bones. quaternions: (B, 16, 4)
    w x y z with w >= 0, the wrist's in the world, then each joint's against its parent, in MANO's order. betas: (B, S).
    bone_length: (B,) metres from the wrist to the middle knuckle.
    """

    joints: Array
    quaternions: Array
    betas: Array
    bone_length: Array


def prior_of(hand_pose: ArrayLike, betas: ArrayLike) -> SikPrior:
    """The statistics of a dataset: (N, 45) axis-angle with flat hand = 0, (N, S).

    For FreiHAND add `hands_mean` to its 45 finger values first: it stores offsets from the mean pose.
    Raises ValueError for wrong shapes or values that are not finite.
    """
    hand_pose, betas = np.asarray(hand_pose, np.float64), np.asarray(betas, np.float64)
    check_shape("hand_pose", hand_pose, ("N", 45))
    check_shape("betas", betas, (len(hand_pose), "S"))
    for name, values in (("hand_pose", hand_pose), ("betas", betas)):
        if not (len(values) and np.isfinite(values).all()):
            raise ValueError(f"{name} must have at least one row and finite values")
    fields = hand_pose.mean(0), hand_pose.std(0), betas.mean(0), betas.std(0)
    return SikPrior(*(jnp.asarray(field, jnp.float32) for field in fields))


def sampled_prior(model: mano.HandModel, *, draws: int = 4096, seed: int = 0) -> SikPrior:
    """The statistics of `mano.sample_pose`, with betas of mean 0 and deviation 1. Seconds: make it once."""
    keys = jax.random.split(jax.random.key(seed), draws)
    poses = jax.jit(lambda keys: jax.lax.map(lambda key: mano.sample_pose(key, model), keys, batch_size=256))(keys)
    unit = SikPrior(jnp.zeros(45), jnp.zeros(45), jnp.zeros(model.num_betas), jnp.ones(model.num_betas))
    return unit._replace(pose_mean=poses.mean(0), pose_std=poses.std(0))


def sik_batch(
    key: Array,
    batch: int,
    model: mano.HandModel,
    prior: SikPrior,
    *,
    views: int = 1,
    spread: float = SPREAD,
    unit_bone: bool = False,
) -> SikBatch:
    """`batch` pairs of hands drawn from N(mean, (spread std)^2) in every coordinate of pose and betas, each by itself.

    Such hands may be impossible, as the published ones are: see `sampled_sik_batch`. Pure; meant for use inside jit,
    with `batch`, `views` and `unit_bone` static.

    views: how many pairs share a hand, each turned by a rotation uniform on SO(3). 50 in the published set; 1 gives the
    most variety. unit_bone: joints are divided by `bone_length`, as the published loader does.
    Raises ValueError for a model without MANO's joints, a prior of other widths, or a batch that is no positive
    multiple of `views`.
    """
    hands = _hands(batch, views)
    _check_model(model)
    widths = (45, 45, model.num_betas, model.num_betas)
    for name, field, width in zip(SikPrior._fields, prior, widths, strict=True):
        check_shape(f"prior.{name}", field, (width,))
    hand_key, view_key = jax.random.split(key)
    normal = jax.random.normal(hand_key, (45 + model.num_betas, hands))
    mean = jnp.concatenate([prior.pose_mean, prior.betas_mean])
    deviation = spread * jnp.concatenate([prior.pose_std, prior.betas_std])
    drawn = mean[:, None] + deviation[:, None] * normal
    return _pairs(view_key, model, drawn[:45], drawn[45:], views, unit_bone)


def sampled_sik_batch(
    key: Array, batch: int, model: mano.HandModel, *, views: int = 1, unit_bone: bool = False
) -> SikBatch:
    """The same of hands that can be: poses of `mano.sample_pose`, within joint limits, betas of unit deviation.

    A fiftieth as fast. Raises ValueError for a model without MANO's joints, or a batch that is no positive multiple of
    `views`.
    """
    hands = _hands(batch, views)
    _check_model(model)
    pose_key, betas_key, view_key = jax.random.split(key, 3)
    poses = jax.vmap(lambda one: mano.sample_pose(one, model))(jax.random.split(pose_key, hands))
    betas = jax.random.normal(betas_key, (model.num_betas, hands))
    return _pairs(view_key, model, poses.T, betas, views, unit_bone)


def _pairs(key: Array, model: mano.HandModel, hand_pose: Array, betas: Array, views: int, unit_bone: bool) -> SikBatch:
    """Poses (45, H) and betas (S, H) -> H views pairs. The batch is the innermost axis until the end."""
    hands = betas.shape[-1]
    fingers = _quaternion(hand_pose.reshape(15, 3, hands).swapaxes(0, 1))
    points, bone = _unturned_joints(model, fingers, betas)
    turns = jax.random.normal(key, (4, 1, hands, views))
    turns = _upper(turns / jnp.maximum(jnp.sqrt((turns**2).sum(0, keepdims=True)), 1e-12))
    if unit_bone:
        points = points / bone[None, None]
    joints = kinematics.multiply(_matrices(turns[:, 0]), points[..., None])
    quaternions = jnp.concatenate([turns, jnp.broadcast_to(fingers[..., None], (4, 15, hands, views))], 1)
    batch = hands * views
    return SikBatch(
        joints=joints.reshape(3, 21, batch).transpose(2, 1, 0),
        quaternions=quaternions.reshape(4, 16, batch).transpose(2, 1, 0),
        betas=jnp.repeat(betas.T, views, 0),
        bone_length=jnp.repeat(bone, views),
    )


def _unturned_joints(model: mano.HandModel, fingers: Array, betas: Array) -> tuple[Array, Array]:
    """(4, 15, H), (S, H) -> keypoints (3, 21, H) about the middle knuckle, the wrist not turned; the bone (H,)."""
    hands = betas.shape[-1]
    wrist = jnp.broadcast_to(jnp.eye(3)[:, :, None, None], (3, 3, 1, hands))
    local = jnp.concatenate([wrist, _matrices(fingers)], 2)
    joints, transforms = lbs.joint_transforms(model, betas, local, jnp.zeros((3, hands)))
    tips = landmarks.fingertips(landmarks.fingertip_model(model), lbs.blend_weights(betas, local), transforms)
    points = jnp.concatenate([joints, tips], 1)[:, np.array(model.keypoint_ids)]
    points = points - points[:, KNUCKLE : KNUCKLE + 1]
    return points, jnp.sqrt((points[:, WRIST] ** 2).sum(0))


def _quaternion(axis_angle: Array) -> Array:
    """(3, ...) radians -> (4, ...) w x y z, w >= 0."""
    half = 0.5 * jnp.sqrt((axis_angle**2).sum(0, keepdims=True))
    return _upper(jnp.concatenate([jnp.cos(half), 0.5 * jnp.sinc(half / np.pi) * axis_angle]))


def _matrices(unit: Array) -> Array:
    """(4, ...) unit quaternions -> (3, 3, ...), components leading, which a CPU runs as vectors."""
    w, x, y, z = unit
    entries = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    entries += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    entries += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return jnp.stack(entries).reshape(3, 3, *unit.shape[1:])


def _upper(quaternion: Array) -> Array:
    """Of q and -q, which are one rotation, the one with w >= 0: regression needs one answer."""
    return jnp.where(quaternion[:1] < 0, -quaternion, quaternion)


def _hands(batch: int, views: int) -> int:
    if batch < 1 or views < 1 or batch % views:
        raise ValueError(f"batch must be a positive multiple of views, got batch {batch} and views {views}")
    return batch // views


def _check_model(model: mano.HandModel) -> None:
    if model.parents != mano.MANO_PARENTS or len(model.keypoint_ids) != 21 or model.joint_frames is not None:
        raise ValueError(f"model must have MANO's 16 joints and 21 keypoints, got {model.num_joints} joints")
