"""Camera frames, rigid motions and units of points and of hand parameters."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax import rotations
from handjax.checks import check_choice, check_last_axes
from handjax.mano import lbs
from handjax.mano.types import HandModel, HandParams

FRAMES = {
    "opencv": np.eye(3),
    "opengl": np.diag([1.0, -1.0, -1.0]),
    "blender": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
"""From OpenCV's axes (x right, y down, z forward) to OpenGL's (x right, y up, z backward: HO-3D, H2O-3D, and
Blender's cameras) and Blender's world (x right, y forward, z up)."""


def frame_rotation(source: str, target: str) -> np.ndarray:
    """(3, 3): what turns points in one frame into the same points in the other."""
    check_choice("source", source, tuple(FRAMES))
    check_choice("target", target, tuple(FRAMES))
    return FRAMES[target] @ FRAMES[source].T


def change_frame(points: ArrayLike, source: str, target: str) -> Array:
    """(..., 3) in the axes `source` -> the same points in the axes `target`."""
    check_last_axes("points", points, (3,))
    turn = jnp.asarray(frame_rotation(source, target), jnp.float32)
    return jnp.einsum("ij,...j->...i", turn, jnp.asarray(points), precision="highest")


def move_params(model: HandModel, params: HandParams, rotation: ArrayLike, translation: ArrayLike) -> HandParams:
    """Parameters of the hand whose every point x is moved to rotation @ x + translation. (..., 3, 3), (..., 3).

    For world to camera and for other axes. A hand turns about its root joint, which is not the origin: turning
    `global_orient` alone would leave it elsewhere.
    """
    rotation, translation = jnp.asarray(rotation), jnp.asarray(translation)
    check_last_axes("rotation", rotation, (3, 3))
    check_last_axes("translation", translation, (3,))
    orient = rotations.matrix_from_axis_angle(params.global_orient)
    turn = rotation
    if model.joint_frames is not None:
        frame = jnp.asarray(model.joint_frames)[0]
        turn = jnp.einsum("ji,...jk,kl->...il", frame, rotation, frame, precision="highest")
    root = jnp.moveaxis(lbs.rest_joints(model, jnp.moveaxis(params.betas, -1, 0)), (0, 1), (-1, -2))[..., 0, :]
    moved = jnp.einsum("...ij,...j->...i", rotation, root + params.transl, precision="highest")
    return params._replace(
        global_orient=rotations.axis_angle_from_matrix(jnp.matmul(turn, orient, precision="highest")),
        transl=moved + jnp.broadcast_to(translation, moved.shape) - root,
    )


METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}


def change_unit(lengths: ArrayLike, source: str, target: str) -> Array:
    """Lengths in m, cm or mm."""
    check_choice("source", source, tuple(METRES))
    check_choice("target", target, tuple(METRES))
    return jnp.asarray(lengths) * (METRES[source] / METRES[target])
