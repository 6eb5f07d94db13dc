"""The 21 keypoints of a hand and their derivatives in closed form, for solvers.

A turn of a joint moves what hangs on it about the joint's axes: a derivative is one cross product. Pose correctives
count in the keypoints and are left out of their derivatives, where they are a hundredth of a fingertip's motion.

Components lead and hands trail. Fingers stand in the model's order (MANO: index, middle, little, ring, thumb), the
points of a finger base to tip; a finger's nine angles are its three joints' axis-angle vectors, base first.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import rotations
from handjax.mano import kinematics, landmarks, lbs
from handjax.mano.types import MANO_PARENTS, HandModel, HandParams

FINGERS, SEGMENTS, POINTS = 5, 3, 4


class HandState(NamedTuple):
    """What a solver moves, hands last: the root as a matrix, so that it has no singular point."""

    root: Array  # (3, 3, B)
    fingers: Array  # (9, 5, B) axis-angle
    betas: Array  # (S, B)
    transl: Array  # (3, B)


class PointJacobian(NamedTuple):
    """Keypoints and derivatives, metres and metres a radian or unit."""

    wrist: Array  # (3, B)
    points: Array  # (3, 4, 5, B)
    by_finger: tuple[tuple[Array, ...], ...]  # [point - 1][segment] (3 of point, 3 of angle, 5, B): segment < point
    by_root: Array  # (3, 3, 4, 5, B), a turn of the whole hand about the wrist
    by_betas: Array  # (3, S, 4, 5, B)
    wrist_by_betas: Array  # (3, S)


def check_solvable(model: HandModel) -> None:
    """Raises ValueError unless the hand has MANO's tree: five fingers of three joints each on one root."""
    if model.parents != MANO_PARENTS or len(model.keypoint_ids) != 21 or model.joint_frames is not None:
        frames = "without" if model.joint_frames is None else "with"
        raise ValueError(
            f"model must have MANO's joint tree, 21 keypoints and no joint_frames to be fitted, got parents "
            f"{model.parents}, {len(model.keypoint_ids)} keypoints, {frames} joint_frames"
        )


def keypoint_order(model: HandModel) -> tuple[np.ndarray, np.ndarray]:
    """-> the keypoint of the wrist, and (4, 5) those of each finger's points: places in the 21-keypoint order."""
    place = {joint: k for k, joint in enumerate(model.keypoint_ids)}
    fingers = np.empty((POINTS, FINGERS), int)
    for finger in range(FINGERS):
        joints = [1 + SEGMENTS * finger + segment for segment in range(SEGMENTS)]
        last = place[joints[-1]]
        # The fingertip is the keypoint after the finger's last joint: tips are not in the tree's order.
        fingers[:, finger] = [place[joint] for joint in joints] + [last + 1]
    return np.array(place[0]), fingers


def state_from_params(params: HandParams) -> HandState:
    """Parameters with a leading B -> state."""
    fingers = params.hand_pose.reshape(-1, FINGERS, 9).transpose(2, 1, 0)
    root = rotations.planes_from_axis_angle(params.global_orient.T)
    return HandState(root, fingers, params.betas.T, params.transl.T)


def params_from_state(state: HandState) -> HandParams:
    """State -> parameters with a leading B."""
    orient = rotations.axis_angle_from_matrix(state.root.transpose(2, 0, 1))
    pose = state.fingers.transpose(2, 1, 0).reshape(state.fingers.shape[-1], -1)
    return HandParams(state.betas.T, orient, pose, state.transl.T)


def axis_angles(fingers: Array) -> Array:
    """(9, 5, B) -> (3, 15, B): the vectors of joints 1 to 15."""
    return fingers.reshape(SEGMENTS, 3, FINGERS, -1).transpose(1, 2, 0, 3).reshape(3, SEGMENTS * FINGERS, -1)


def point_jacobian(model: HandModel, tips: landmarks.FingertipModel, state: HandState) -> PointJacobian:
    """Keypoints of B hands with all their derivatives. About 10 kFLOP a hand for the points, 15 for the rest."""
    batch = state.betas.shape[-1]
    angles = axis_angles(state.fingers)
    local = jnp.concatenate([state.root[:, :, None], rotations.planes_from_axis_angle(angles)], 2)
    joints, transforms = lbs.joint_transforms(model, state.betas, local, state.transl)
    tip = landmarks.fingertips(tips, lbs.blend_weights(state.betas, local), transforms)
    tip = tip[:, _tips_by_finger(model)]

    def by_segment(array: Array) -> list[Array]:
        split = array.reshape(*array.shape[:-2], FINGERS, SEGMENTS, array.shape[-1])
        return [split[..., segment, :] for segment in range(SEGMENTS)]

    turned = by_segment(transforms[:, :3, 1:])
    offsets = by_segment(transforms[:, 3, 1:])
    parents = [jnp.broadcast_to(state.root[:, :, None], (3, 3, FINGERS, batch)), *turned[:2]]
    left = by_segment(rotations.left_jacobian_planes(angles))
    axes = [kinematics.multiply(parent, part) for parent, part in zip(parents, left, strict=True)]
    places = by_segment(joints[:, 1:])
    wrist = joints[:, 0]

    own = _own_tip_weights(model, tips)  # (3, 5)
    rest_tip = _rest_tips(model, tips, state, local)
    levers = _tip_levers(own, rest_tip, turned, offsets, places)
    by_finger = tuple(
        tuple(
            _turns(axes[segment], places[point] - places[segment] if point < SEGMENTS else levers[segment])
            for segment in range(min(point, SEGMENTS))
        )
        for point in range(1, POINTS)
    )
    points = jnp.stack([*places, tip], 1)
    by_root = _turns(_identity(points.shape[1:]), points - wrist[:, None, None])
    by_betas = _by_betas(model, tips, own, state, turned)
    return PointJacobian(wrist, points, by_finger, by_root, by_betas, model.joint_shapedirs[0])


def _identity(trailing: tuple[int, ...]) -> Array:
    return jnp.broadcast_to(jnp.eye(3).reshape(3, 3, *[1] * len(trailing)), (3, 3, *trailing))


def _turns(axes: Array, lever: Array) -> Array:
    """Axes (3, 3 of angle, ...), lever (3, ...) -> axis x lever for each angle (3, 3 of angle, ...)."""
    x, y, z = axes
    lx, ly, lz = lever[0][None], lever[1][None], lever[2][None]
    return jnp.stack([y * lz - z * ly, z * lx - x * lz, x * ly - y * lx])


def _tips_by_finger(model: HandModel) -> np.ndarray:
    """Which of the five fingertips belongs to each finger of the tree."""
    _, fingers = keypoint_order(model)
    return np.array([model.keypoint_ids[place] - model.num_joints for place in fingers[-1]])


def _own_tip_weights(model: HandModel, tips: landmarks.FingertipModel) -> Array:
    """-> (3, 5): how much each joint of its own finger holds of a fingertip."""
    weights = tips.weights[_tips_by_finger(model), 1:].reshape(FINGERS, FINGERS, SEGMENTS)
    return jnp.stack([weights[finger, finger] for finger in range(FINGERS)], 1)


def _rest_tips(model: HandModel, tips: landmarks.FingertipModel, state: HandState, local: Array) -> Array:
    rest = jnp.tensordot(tips.basis, lbs.blend_weights(state.betas, local), 1, precision="highest")
    return (tips.template[..., None] + rest)[:, _tips_by_finger(model)]


def _tip_levers(
    own: Array, rest_tip: Array, turned: list[Array], offsets: list[Array], places: list[Array]
) -> list[Array]:
    """For each segment the sum of w_j (tip under joint j - the segment's joint) over the joints from it on."""
    posed = [kinematics.rotate(turn, rest_tip) + offset for turn, offset in zip(turned, offsets, strict=True)]
    levers = []
    for segment in range(SEGMENTS):
        parts = [own[j][None, :, None] * (posed[j] - places[segment]) for j in range(segment, SEGMENTS)]
        levers.append(sum(parts))
    return levers


def _by_betas(
    model: HandModel, tips: landmarks.FingertipModel, own: Array, state: HandState, turned: list[Array]
) -> Array:
    """-> (3, S, 4, 5, B): each bone's change of length, carried by the turn of the joint before it."""
    shape = model.joint_shapedirs.transpose(1, 2, 0)  # (3, S, J)
    base = shape[:, :, 1:].reshape(3, -1, FINGERS, SEGMENTS)
    wrist = shape[:, :, :1, None]
    moved = wrist + kinematics.multiply(state.root[:, :, None], base[..., 0, None] - wrist)
    points = [moved]
    for segment in range(1, SEGMENTS):
        change = (base[..., segment] - base[..., segment - 1])[..., None]
        moved = moved + kinematics.multiply(turned[segment - 1], change)
        points.append(moved)
    tip_shape = tips.basis[:, _tips_by_finger(model), : model.num_betas].transpose(0, 2, 1)  # (3, S, 5)
    held = 1.0 - own.sum(0)[None, None, :, None]
    tip = held * (wrist + kinematics.multiply(state.root[:, :, None], tip_shape[..., None] - wrist))
    for segment in range(SEGMENTS):
        change = (tip_shape - base[..., segment])[..., None]
        weight = own[segment][None, None, :, None]
        tip = tip + weight * (points[segment] + kinematics.multiply(turned[segment], change))
    return jnp.stack([*points, tip], 2)
