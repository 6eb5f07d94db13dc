"""Joints and bone frames of a hand, at rest and posed."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from launch.freehand.anatomy import FINGERS, INDEX, KNUCKLES, LITTLE, MIDDLE, PARENTS, RING, THUMB, HandSize

SPLAY = {INDEX: -7.5, MIDDLE: -1.5, RING: 6.5, LITTLE: 15.5}  # degrees towards the little finger, flat hand
ROLL = {INDEX: -0.06, MIDDLE: 0.0, RING: 0.08, LITTLE: 0.22}  # sideways tilt of the back of each finger
REST_FLEXION = (2.0, 4.0, 3.0)  # degrees; nobody's flat fingers are rods
THUMB_DIRECTIONS = np.array([[-0.66, 0.70, -0.33], [-0.54, 0.80, -0.26], [-0.50, 0.84, -0.20]])
THUMB_NAIL = np.array([-0.62, -0.25, 0.75])


class Skeleton(NamedTuple):
    """Finger joints (5, 4, 3), base to tip, and bone frames (5, 3, 3, 3) with rows side, distal, dorsal."""

    joints: np.ndarray
    frames: np.ndarray


class Hand(NamedTuple):
    """What the implicit surface is a function of."""

    size: HandSize
    skeleton: Skeleton


def normalise(vector) -> np.ndarray:
    vector = np.asarray(vector, float)
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def bone_frame(start, end, dorsal) -> np.ndarray:
    """(3, 3) rows: side (towards the little finger), along the bone, and dorsal made orthogonal to it."""
    distal = normalise(np.subtract(end, start))
    dorsal = normalise(dorsal - distal * (distal @ dorsal))
    return np.stack([np.cross(distal, dorsal), distal, dorsal])


def rest_hand(size: HandSize) -> Hand:
    """The flat hand."""
    joints = np.zeros((len(FINGERS), 4, 3))
    frames = np.zeros((len(FINGERS), 3, 3, 3))
    for finger in range(len(FINGERS)):
        base = KNUCKLES[finger] * [size.breadth, size.length, 1.0]
        bones = thumb_frames() if finger == THUMB else finger_frames(finger)
        base[1] *= 1.0 if finger == THUMB else size.palm
        steps = bones[:, 1] * size.segments[finger][:, None]
        joints[finger] = base + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
        frames[finger] = bones
    return Hand(size, Skeleton(joints, frames))


def finger_frames(finger: int) -> np.ndarray:
    """(3, 3, 3): one frame a bone, each flexed a little against the one before."""
    splay = np.deg2rad(SPLAY[finger])
    frame = bone_frame(np.zeros(3), [np.sin(splay), np.cos(splay), -0.03], np.array([ROLL[finger], 0.0, 1.0]))
    frames = []
    for flexion in REST_FLEXION:
        frame = frame @ Rotation.from_rotvec(-np.deg2rad(flexion) * frame[0]).as_matrix().T
        frames.append(frame)
    return np.array(frames)


def thumb_frames() -> np.ndarray:
    return np.array([bone_frame(np.zeros(3), direction, THUMB_NAIL) for direction in THUMB_DIRECTIONS])


def joint_positions(skeleton: Skeleton) -> np.ndarray:
    """(16, 3) in the model's joint order; the wrist is the origin."""
    return np.concatenate([np.zeros((1, 3)), skeleton.joints[:, :3].reshape(-1, 3)])


def joint_axes(skeleton: Skeleton) -> np.ndarray:
    """(15, 3, 3) rows: flexion (to the palm), abduction (the tip to the thumb's side), twist (base to tip)."""
    side, distal, dorsal = np.moveaxis(skeleton.frames.reshape(15, 3, 3), 1, 0)
    return np.stack([-side, dorsal, distal], axis=1)


def carried_by(joint: int) -> np.ndarray:
    """(16,) 1 for the joint and those that hang from it."""
    carried = np.zeros(len(PARENTS))
    carried[joint] = 1.0
    for child in range(joint + 1, len(PARENTS)):
        carried[child] = carried[PARENTS[child]]
    return carried


def joint_transforms(joints: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """(16, 3), (15, 3) axis-angle -> (16, 3, 4) rest space to posed space, the wrist fixed."""
    local = np.concatenate([np.eye(3)[None], Rotation.from_rotvec(pose).as_matrix()])
    transforms = np.zeros((len(PARENTS), 3, 4))
    transforms[0, :, :3] = np.eye(3)
    for joint, parent in list(enumerate(PARENTS))[1:]:
        rotation = transforms[parent, :, :3] @ local[joint]
        position = transforms[parent, :, :3] @ joints[joint] + transforms[parent, :, 3]
        transforms[joint] = np.column_stack([rotation, position - rotation @ joints[joint]])
    return transforms


def posed_hand(hand: Hand, transforms: np.ndarray) -> Hand:
    """The same hand with its bones moved by (16, 3, 4) transforms."""
    joints, frames = np.zeros((5, 4, 3)), np.zeros((5, 3, 3, 3))
    for finger in range(len(FINGERS)):
        bones = transforms[1 + 3 * finger : 4 + 3 * finger]
        movers = bones[[0, 1, 2, 2]]
        joints[finger] = np.einsum("kab,kb->ka", movers[:, :, :3], hand.skeleton.joints[finger]) + movers[:, :, 3]
        frames[finger] = np.einsum("kab,krb->kra", bones[:, :, :3], hand.skeleton.frames[finger])
    return Hand(hand.size, Skeleton(joints, frames))


def skin(vertices: np.ndarray, weights: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Linear blend skinning: (V, 3), (V, 16), (16, 3, 4) -> (V, 3)."""
    blended = np.einsum("vj,jab->vab", weights, transforms)
    return np.einsum("vab,vb->va", blended[:, :, :3], vertices) + blended[:, :, 3]
