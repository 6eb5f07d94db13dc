"""Gestures, letters, counts and grasps by name, for any hand with MANO's joints."""

import json
from importlib import resources
from types import MappingProxyType

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.checks import check_choice, check_last_axes
from handjax.mano.capsules import check_mano_joints
from handjax.mano.types import HandModel


def _read() -> dict[str, dict[str, np.ndarray]]:
    table = json.loads((resources.files("handjax.mano") / "data" / "poses.json").read_text(encoding="utf-8"))
    return {
        group: {name: np.array(degrees, np.float32).reshape(15, 3) for name, degrees in poses.items()}
        for group, poses in table.items()
    }


_BY_GROUP = _read()
_DEGREES = {name: degrees for poses in _BY_GROUP.values() for name, degrees in poses.items()}

POSE_NAMES = tuple(_DEGREES)
"""All named poses: group by group, in the order of `POSE_GROUPS`."""

POSE_GROUPS = MappingProxyType({group: tuple(poses) for group, poses in _BY_GROUP.items()})
"""Names by group: rest, counting (european_, american_, chinese_, asl_), letters (asl_), grasps (the 33 of the GRASP
taxonomy, Feix et al. 2016), gestures."""


def named_pose(model: HandModel, name: str) -> Array:
    """-> (3 (J - 1),) = (45,) axis-angle `hand_pose` of one of `POSE_NAMES`; a left hand makes the mirror image.

    The angles are those of the free hand, inside its limits, about the model's own joint axes. Contacts (a pinch) are
    exact on the free hand of mean shape and near on others. Raises ValueError for an unknown name, or for a model
    without MANO's 16 joints.
    """
    check_mano_joints(model)
    return pose_from_angles(model, named_angles(name))


def named_angles(name: str) -> np.ndarray:
    """-> (15, 3) radians: flexion, abduction and twist of each joint, in MANO's order of joints.

    Raises ValueError for an unknown name.
    """
    check_choice("name", name, POSE_NAMES)
    return np.deg2rad(_DEGREES[name])


def pose_from_angles(model: HandModel, angles: ArrayLike) -> Array:
    """(..., J - 1, 3) radians about each joint's flexion, abduction and twist axis -> (..., 3 (J - 1)) axis-angle.

    A joint's axis-angle vector is the sum of the three, as `joint_limits` bounds them.
    """
    check_last_axes("angles", angles, (model.num_joints - 1, 3))
    vectors = jnp.einsum("...jk,jkx->...jx", jnp.asarray(angles), model.joint_axes, precision="highest")
    return vectors.reshape(*vectors.shape[:-2], -1)


def angles_from_pose(model: HandModel, hand_pose: ArrayLike) -> Array:
    """(..., 3 (J - 1)) axis-angle -> (..., J - 1, 3) radians about each joint's axes: undoes `pose_from_angles`."""
    joints = model.num_joints - 1
    check_last_axes("hand_pose", hand_pose, (3 * joints,))
    vectors = jnp.asarray(hand_pose).reshape(*np.shape(hand_pose)[:-1], joints, 3)
    return jnp.einsum("...jx,jkx->...jk", vectors, model.joint_axes, precision="highest")
