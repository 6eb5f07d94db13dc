"""What the tests of the fits share: free hands within their joint limits, a camera, and starts beside them."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from handjax import mano, rotations
from handjax.camera import Camera, project

quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""A solver compiles in a third of the time this way."""

CAMERA = Camera(jnp.full(2, 500.0, jnp.float32), jnp.full(2, 128.0, jnp.float32))


@cache
def free_hand(side: str = "right") -> mano.HandModel:
    return jax.tree.map(jnp.asarray, mano.default(side))


def sample(count: int, seed: int = 0) -> mano.HandParams:
    """`count` hands of any direction and within all joint limits, 0.35 to 0.8 m before the camera."""
    rng = np.random.default_rng(seed)
    limits, axes = np.asarray(free_hand().joint_limits), np.asarray(free_hand().joint_axes)
    low, high = np.moveaxis(limits, -1, 0)
    turned = low + rng.beta(2, 2, size=(count, 15, 3)) * (high - low)
    pose = np.einsum("nja,jac->njc", turned, axes).reshape(count, 45)
    orient = rotations.axis_angle_from_quaternion(jnp.asarray(rng.normal(size=(count, 4)), jnp.float32))
    transl = np.concatenate([rng.uniform(-0.1, 0.1, (count, 2)), rng.uniform(0.35, 0.8, (count, 1))], 1)
    return as_params(np.clip(rng.normal(size=(count, 10)), -2, 2), orient, pose, transl)


def beside(params: mano.HandParams, seed: int = 0, angle: float = 0.3, shape: float = 1.0) -> mano.HandParams:
    """Starts off by `angle` radians for each part of each rotation vector, and by `shape` for each coefficient."""
    rng = np.random.default_rng(seed)
    count = params.betas.shape[0]
    turn = rotations.matrix_from_axis_angle(jnp.asarray(angle * rng.normal(size=(count, 3)), jnp.float32))
    root = jnp.matmul(turn, rotations.matrix_from_axis_angle(params.global_orient), precision="highest")
    return as_params(
        params.betas + shape * rng.choice([-1.0, 1.0], size=(count, 10)),
        rotations.axis_angle_from_matrix(root),
        params.hand_pose + angle * rng.normal(size=(count, 45)),
        params.transl,
    )


def as_params(*fields) -> mano.HandParams:
    return mano.HandParams(*(jnp.asarray(field, jnp.float32) for field in fields))


@jax.jit
def keypoints(model: mano.HandModel, params: mano.HandParams) -> jax.Array:
    return jax.vmap(mano.keypoints, (None, 0))(model, params)


def seen(points: jax.Array, noise_px: float = 0.0, seed: int = 0) -> jax.Array:
    noise = np.random.default_rng(seed).normal(size=(*points.shape[:-1], 2)) * noise_px
    return project(CAMERA, points) + jnp.asarray(noise, jnp.float32)


def distance_mm(points, others) -> np.ndarray:
    """(B, n, 3) twice -> (B,) mean distance."""
    return 1e3 * np.linalg.norm(np.asarray(points) - np.asarray(others), axis=-1).mean(-1)


def from_knuckle(points) -> np.ndarray:
    """Relative to the base of the middle finger."""
    return np.asarray(points) - np.asarray(points)[:, 9:10]


def scale_aligned_mm(points, truth) -> np.ndarray:
    """(B, 21, 3) twice -> (B,) mean distance after the wrist and the size are made the same."""
    points, truth = (np.asarray(one) - np.asarray(one)[:, :1] for one in (points, truth))
    size = (points * truth).sum((1, 2)) / (points * points).sum((1, 2))
    return distance_mm(size[:, None, None] * points, truth)
