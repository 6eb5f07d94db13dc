"""Pose correctives: what linear blend skinning misses of bent skin, fitted where each joint bends it."""

import itertools

import numpy as np
from scipy.spatial.transform import Rotation

from launch.freehand.anatomy import PARENTS, THUMB
from launch.freehand.bending import BASES, bent_skin
from launch.freehand.flesh import Flesh, flesh_at_rest
from launch.freehand.limits import LIMITS
from launch.freehand.skeleton import Hand, joint_axes, joint_positions, joint_transforms
from launch.freehand.topology import boundary_vertices

RIDGE = 0.02
SMALLEST = 0.05  # mm; where no turn of a joint asks for more, it corrects nothing
FLEXIONS = np.array([0.25, 0.5, 0.75, 0.9, 1.0])  # of the most a joint bends
KNUCKLES = tuple(joint for joint in BASES if joint != 1 + 3 * THUMB)
GROUPS = (KNUCKLES, *((joint,) for joint in range(1, len(PARENTS)) if joint not in KNUCKLES))


def fit_correctives(vertices, faces, weights, hand: Hand) -> np.ndarray:
    """(V, 3, 135) mm per entry of vec(R_1..R_15 - I), row-major; zero wherever a joint's turn does not bend skin.

    One joint at a time, but the four knuckles together: neighbours share the webs between them.
    """
    correctives = np.zeros((len(vertices), 15, 9, 3))
    rim, flesh = boundary_vertices(faces), flesh_at_rest(vertices, faces, weights)
    for joints in GROUPS:
        poses = [single(joint, turn) for joint in joints for turn in turns(hand, joint)]
        poses += knuckle_poses(hand) if joints == KNUCKLES else []
        targets = np.array([corrective_target(vertices, weights, hand, pose, flesh) for pose in poses])
        targets[:, rim] = 0.0
        correctives[:, np.array(joints) - 1] = fit_group(joints, np.array(poses), targets)
    return correctives.transpose(0, 3, 1, 2).reshape(len(vertices), 3, 135)


def fit_group(joints, poses: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(P, 15, 3), (P, V, 3) -> (V, joints, 9, 3), each vertex from the joints that bend its skin by themselves."""
    columns = np.array(joints) - 1
    features = np.array([pose_features(pose) for pose in poses]).reshape(len(poses), 15, 9)[:, columns]
    importance = 0.2 + np.abs(poses).max(axis=(1, 2)) ** 4
    turning = np.abs(poses[:, columns]).max(axis=2) > 0.0
    length = np.linalg.norm(targets, axis=2)
    alone = turning & (turning.sum(axis=1) == 1)[:, None]
    active = np.stack([length[mine].max(axis=0) > SMALLEST for mine in alone.T], axis=1)
    fitted = np.zeros((targets.shape[1], len(joints), 9, 3))
    for pattern in np.unique(active[active.any(axis=1)], axis=0):
        own = np.flatnonzero((active == pattern).all(axis=1))
        solved = ridge(features[:, pattern].reshape(len(poses), -1), targets[:, own], importance)
        fitted[np.ix_(own, np.flatnonzero(pattern))] = solved.reshape(-1, 9, len(own), 3).transpose(2, 0, 1, 3)
    return fitted


def ridge(features, targets, importance) -> np.ndarray:
    """(P, K), (P, G, 3), (P,) -> (K, G, 3)."""
    weighted = importance * features.T
    normal = weighted @ features + RIDGE * np.eye(features.shape[1])
    return np.linalg.solve(normal, weighted @ targets.reshape(len(features), -1)).reshape(-1, *targets.shape[1:])


def single(joint: int, turn: np.ndarray) -> np.ndarray:
    """(15, 3) pose in which one joint turns."""
    pose = np.zeros((15, 3))
    pose[joint - 1] = turn
    return pose


def turns(hand: Hand, joint: int) -> np.ndarray:
    """(P, 3) axis-angle vectors over the joint's range: mostly flexion, with and without its other turns."""
    lower, upper = np.moveaxis(LIMITS.reshape(15, 3, 2)[joint - 1], -1, 0)
    degrees = [np.array([flexion, 0.0, 0.0]) for flexion in (lower[0], *(upper[0] * FLEXIONS))]
    for flexion in (0.0, 0.45 * upper[0], 0.9 * upper[0]):
        for axis, bound in itertools.product((1, 2), (lower, upper)):
            turned = np.array([flexion, 0.0, 0.0])
            turned[axis] = bound[axis]
            degrees.append(turned)
    return np.deg2rad(np.array(degrees)) @ joint_axes(hand.skeleton)[joint - 1]


def knuckle_poses(hand: Hand) -> list[np.ndarray]:
    """Two knuckles and all four flexed together; all four count as much as the pairs."""
    groups = [*itertools.combinations(KNUCKLES, 2), *[KNUCKLES] * 4]
    axes = joint_axes(hand.skeleton)[:, 0]
    poses = np.zeros((len(groups), 2, 15, 3))
    for index, group in enumerate(groups):
        columns = np.array(group) - 1
        poses[index][:, columns] = np.deg2rad([45.0, 85.0])[:, None, None] * axes[columns]
    return list(poses.reshape(-1, 15, 3))


def pose_features(pose: np.ndarray) -> np.ndarray:
    """(15, 3) -> (135,)."""
    return (Rotation.from_rotvec(pose).as_matrix() - np.eye(3)).ravel()


def corrective_target(vertices, weights, hand: Hand, pose: np.ndarray, flesh: Flesh) -> np.ndarray:
    """(V, 3) what to add to the rest shape so that skinning lands on the bent skin."""
    transforms = joint_transforms(joint_positions(hand.skeleton), pose)
    blended = np.einsum("vj,jab->vab", weights, transforms)
    skinned = np.einsum("vab,vb->va", blended[:, :, :3], vertices) + blended[:, :, 3]
    offset = bent_skin(vertices, weights, hand, pose, flesh) - skinned
    return np.linalg.solve(blended[:, :, :3], offset[..., None])[..., 0]
