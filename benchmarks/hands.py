"""Synthetic hands with known answers, and starts that are wrong by a known amount."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import mano, rotations
from handjax.camera import Camera, project
from handjax.optim.refine import RefineSettings

CAMERA = Camera(jnp.array([500.0, 500.0]), jnp.array([128.0, 128.0]))
"""Of a 256 px crop."""

NEAREST_M, FARTHEST_M, ASIDE_M = 0.35, 0.8, 0.1
START_RAD, START_BETA = 0.3, 1.0

TAILOR = RefineSettings()
"""The second-order tailor that both `tailor` (its speed) and `quality` measure."""


class Hands(NamedTuple):
    """B hands and what is seen of them: points (B, 21, 3) metres in the camera frame, pixels (B, 21, 2)."""

    params: mano.HandParams
    points: Array
    pixels: Array


def sample(model: mano.HandModel, count: int, seed: int = 0, noise_px: float = 0.0) -> Hands:
    """Hands within their joints' limits (beta(2, 2) between them), of any shape up to 2 standard deviations, seen from
    any side at 0.35 to 0.8 m. `noise_px`: standard deviation of each pixel coordinate."""
    rng = np.random.default_rng(seed)
    low, high = np.moveaxis(np.asarray(model.joint_limits), -1, 0)
    angles = low + rng.beta(2.0, 2.0, size=(count, *low.shape)) * (high - low)
    pose = np.einsum("bja,jac->bjc", angles, np.asarray(model.joint_axes)).reshape(count, -1)
    quaternion = rng.normal(size=(count, 4))
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    aside = rng.uniform(-ASIDE_M, ASIDE_M, (count, 2))
    depth = rng.uniform(NEAREST_M, FARTHEST_M, (count, 1))
    params = mano.HandParams(
        betas=_float32(np.clip(rng.normal(size=(count, model.num_betas)), -2, 2)),
        global_orient=rotations.axis_angle_from_quaternion(_float32(quaternion)),
        hand_pose=_float32(pose),
        transl=_float32(np.concatenate([aside, depth], -1)),
    )
    points = keypoints(model, params)
    noise = noise_px * np.random.default_rng(seed + 1).normal(size=(count, 21, 2))
    return Hands(params, points, project(CAMERA, points) + _float32(noise))


def starts(params: mano.HandParams, seed: int = 2) -> mano.HandParams:
    """As a network might guess them: each axis-angle coordinate off by 0.3 rad (standard deviation), the root turned
    by as much, each beta off by 1. The translation, which the tailor finds for itself, is that of a hand 0.5 m away."""
    rng = np.random.default_rng(seed)
    turn = rotations.matrix_from_axis_angle(_float32(START_RAD * rng.normal(size=params.global_orient.shape)))
    orient = jnp.matmul(turn, rotations.matrix_from_axis_angle(params.global_orient), precision="highest")
    return mano.HandParams(
        betas=params.betas + _float32(START_BETA * rng.choice([-1.0, 1.0], size=params.betas.shape)),
        global_orient=rotations.axis_angle_from_matrix(orient),
        hand_pose=params.hand_pose + _float32(START_RAD * rng.normal(size=params.hand_pose.shape)),
        transl=jnp.broadcast_to(jnp.array([[0.0, 0.0, 0.5]]), params.transl.shape),
    )


@jax.jit
def keypoints(model: mano.HandModel, params: mano.HandParams) -> Array:
    """(B, 21, 3)."""
    return jax.vmap(mano.keypoints, (None, 0))(model, params)


def _float32(array: np.ndarray) -> Array:
    return jnp.asarray(array, jnp.float32)
