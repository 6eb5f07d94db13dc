"""The 22-joint form of a hand that DeepHandMesh poses: named joints, 28 angles, flexion about z of each joint's frame.

Made from any hand with MANO's joints: the thumb gets a joint half-way to the wrist, each finger one at its tip.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import rotations
from handjax.checks import check_last_axes
from handjax.mano.build import build
from handjax.mano.types import MANO_KEYPOINT_IDS, MANO_PARENTS, HandModel

_MANO_FIRST = {"thumb": 13, "index": 1, "middle": 4, "ring": 10, "pinky": 7}
_TIP = {finger: place for place, finger in enumerate(_MANO_FIRST)}
_BONES = {finger: ("0", "1", "2", "3", "_null") if finger == "thumb" else ("1", "2", "3", "_null") for finger in _TIP}

DETAILED_JOINTS = ("wrist", *(finger + bone for finger, bones in _BONES.items() for bone in bones))
"""Names in the order of the model: the root first, each finger base to tip. `thumb0` lies between wrist and thumb."""

PUBLISHED_JOINTS = (*(finger + bone for finger, bones in _BONES.items() for bone in reversed(bones)), "wrist")
"""The same names in the order of DeepHandMesh's files: each finger tip to base, the wrist last."""

DETAILED_ANGLES = tuple(
    (joint, axis)
    for joint in PUBLISHED_JOINTS
    for axis in ("z" if joint[-1] in "23" else "xyz" if joint[-1] in "01" else "")
)
"""The 28 angles (joint, axis) in DeepHandMesh's order: hinges turn about z, finger bases and the thumb's two freely."""

_KEYPOINT_JOINTS = tuple(name for name in DETAILED_JOINTS if name != "thumb0")
"""wrist, thumb, index, middle, ring, little; base to tip."""

_PARENTS = tuple(
    -1 if name == "wrist" else 0 if name in ("thumb0", "index1", "middle1", "ring1", "pinky1") else place - 1
    for place, name in enumerate(DETAILED_JOINTS)
)


def detailed(model: HandModel) -> HandModel:
    """The hand with 22 joints (Moon et al. 2020, section 3): same surface, betas and correctives, other joints.

    Rest frames (`joint_frames`): x along the bone to the next joint, z the flexion axis, positive towards the palm on
    either side; y = z x x. The wrist keeps the model's axes. Skin follows the 15 joints that MANO has; `thumb0` and
    the five ends carry none. `joint_axes` are in the joints' frames, as the pose is; `hands_components` the identity.

    Raises ValueError if `model` has not MANO's joints and keypoints, or has frames of its own.
    """
    if model.parents != MANO_PARENTS or model.keypoint_ids != MANO_KEYPOINT_IDS or model.joint_frames is not None:
        raise ValueError(
            f"model must have MANO's 16 joints and 21 keypoints and no joint_frames, got parents {model.parents}"
        )
    old = _mano_joints()
    known = old > 0
    regressor = _regressor(model, old)
    frames = _rest_frames(model, old, regressor @ np.asarray(model.v_template, np.float64))
    weights = np.zeros((model.num_vertices, len(old)))
    weights[:, 0] = model.lbs_weights[:, 0]
    weights[:, known] = model.lbs_weights[:, old[known]]
    posedirs = np.zeros((model.num_vertices, 3, len(old) - 1, 9))
    posedirs[:, :, known[1:]] = np.asarray(model.posedirs).reshape(model.num_vertices, 3, -1, 9)[:, :, old[known] - 1]
    axes = np.tile(np.eye(3)[[2, 1, 0]], (len(old) - 1, 1, 1))
    limits = np.zeros((len(old) - 1, 3, 2))
    mean = np.zeros((len(old) - 1, 3))
    inverse = frames[1:][known[1:]].transpose(0, 2, 1)
    axes[known[1:]] = np.einsum("jab,jkb->jka", inverse, np.asarray(model.joint_axes)[old[known] - 1])
    limits[known[1:]] = np.asarray(model.joint_limits)[old[known] - 1]
    mean[known[1:]] = np.einsum("jab,jb->ja", inverse, np.asarray(model.hands_mean).reshape(-1, 3)[old[known] - 1])
    return build(
        v_template=model.v_template,
        shapedirs=model.shapedirs,
        posedirs=posedirs.reshape(model.num_vertices, 3, -1),
        J_regressor=regressor,
        lbs_weights=weights,
        faces=model.faces,
        parents=_PARENTS,
        hands_mean=mean.ravel(),
        joint_axes=axes,
        joint_limits=limits,
        joint_frames=frames,
        fingertip_ids=model.fingertip_ids,
        keypoint_ids=tuple(DETAILED_JOINTS.index(name) for name in _KEYPOINT_JOINTS),
        side=model.side,
    )


def detailed_rotations(angles: Array) -> Array:
    """(..., 28) radians in the order of `DETAILED_ANGLES` -> (..., 22, 3, 3) for `forward_rotations`, root unturned.

    R = Rz Ry Rx of a joint's angles (as DeepHandMesh's code has it). Raises ValueError for another last axis.
    """
    check_last_axes("angles", angles, (len(DETAILED_ANGLES),))
    slots = np.array([3 * DETAILED_JOINTS.index(joint) + "xyz".index(axis) for joint, axis in DETAILED_ANGLES])
    every = jnp.zeros((*angles.shape[:-1], 3 * len(DETAILED_JOINTS))).at[..., slots].set(angles)
    by_joint = every.reshape(*angles.shape[:-1], -1, 3)
    about = jnp.expand_dims(jnp.eye(3), tuple(range(by_joint.ndim - 1)))
    x, y, z = (rotations.matrix_from_axis_angle(by_joint[..., axis, None] * about[..., axis, :]) for axis in range(3))
    return jnp.matmul(z, jnp.matmul(y, x, precision="highest"), precision="highest")


def _mano_joints() -> np.ndarray:
    """(22,) the MANO joint of each detailed one, 0 for the wrist, -1 where MANO has none."""
    old = [0]
    for finger, bones in _BONES.items():
        numbered = [_MANO_FIRST[finger] + place for place in range(3)]
        old += [-1, *numbered, -1] if bones[0] == "0" else [*numbered, -1]
    return np.array(old)


def _regressor(model: HandModel, old: np.ndarray) -> np.ndarray:
    mano = np.asarray(model.J_regressor, np.float64)
    rows = mano[np.maximum(old, 0)]
    rows[DETAILED_JOINTS.index("thumb0")] = (mano[0] + mano[_MANO_FIRST["thumb"]]) / 2
    for finger, place in _TIP.items():
        rows[DETAILED_JOINTS.index(finger + "_null")] = np.eye(model.num_vertices)[model.fingertip_ids[place]]
    return rows


def _rest_frames(model: HandModel, old: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(22, 3, 3) columns x, y, z. An end keeps the frame of its bone; `thumb0` bends about the thumb's base's axis."""
    frames = np.tile(np.eye(3), (len(old), 1, 1))
    for place, name in list(enumerate(DETAILED_JOINTS))[1:]:
        if name.endswith("_null"):
            frames[place] = frames[place - 1]
            continue
        along = joints[place + 1] - joints[place]
        along /= np.linalg.norm(along)
        flexion = np.asarray(model.joint_axes, np.float64)[(old[place + 1] if name == "thumb0" else old[place]) - 1, 0]
        flexion = flexion - along * (along @ flexion)
        flexion /= np.linalg.norm(flexion)
        frames[place] = np.stack([along, np.cross(flexion, along), flexion], axis=1)
    return frames
