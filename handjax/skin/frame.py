"""The rest hand in its own axes and in millimetres of the mean adult: where each finger's bones lie."""

from typing import NamedTuple

import numpy as np

from handjax.mano import HandModel, mirror
from handjax.render import vertex_normals

LENGTH_MM = 187.2
"""Wrist crease to middle fingertip of the mean adult; every hand is measured in units that give it this length."""

KNUCKLE_SPAN_MM, WRIST_TO_KNUCKLE_MM = 54.3, 83.5
"""Index to little knuckle and wrist to middle knuckle of the hand on which the palm's lines were drawn."""

THUMB, INDEX, MIDDLE, RING, LITTLE = range(5)


class HandFrame(NamedTuple):
    """A right hand's axes (rows: ulnar, distal, dorsal), and its bones in them, thumb first.

    origin (3,) metres; axes (3, 3); scale: units per metre; joints (5, 4, 3) base to tip; bones (5, 3, 3, 3) rows
    side (ulnar), distal, dorsal; lengths (5, 3) of the bones; palm_scale (2,): across and along the palm, to the hand
    on which its lines were drawn.
    """

    origin: np.ndarray
    axes: np.ndarray
    scale: float
    joints: np.ndarray
    bones: np.ndarray
    lengths: np.ndarray
    palm_scale: np.ndarray


def hand_frame(model: HandModel) -> HandFrame:
    """The frame of the mean hand; a left hand's is that of its mirror image.

    Raises ValueError for a tree other than MANO's: its fingers are not known.
    """
    if model.num_joints != 16 or len(model.fingertip_ids) != 5:
        raise ValueError(f"model must have 16 joints and 5 fingertips, got {model.num_joints}")
    if model.side == "left":
        model = mirror(model)
    template = np.asarray(model.v_template, np.float64)
    landmarks = np.concatenate([np.asarray(model.joint_template, np.float64), template[list(model.fingertip_ids)]])
    points = landmarks[list(model.keypoint_ids)]
    wrist, fingers = points[0], points[1:].reshape(5, 4, 3)
    dorsal = _unit(np.cross(fingers[LITTLE, 0] - wrist, fingers[INDEX, 0] - wrist))
    distal = fingers[MIDDLE, 0] - wrist
    distal = _unit(distal - dorsal * (dorsal @ distal))
    axes = np.stack([np.cross(distal, dorsal), distal, dorsal])
    scale = LENGTH_MM / float((fingers[MIDDLE, 3] - wrist) @ distal)
    joints = (fingers - wrist) @ axes.T * scale
    flexion, back, along = np.moveaxis(np.asarray(model.joint_axes, np.float64), 1, 0) @ axes.T
    order = np.array(model.keypoint_ids[1:]).reshape(5, 4)[:, :3] - 1
    bones = np.stack([-flexion, along, back], axis=1)[order]
    span = np.linalg.norm(joints[LITTLE, 0, :2] - joints[INDEX, 0, :2])
    palm_scale = np.array([KNUCKLE_SPAN_MM / span, WRIST_TO_KNUCKLE_MM / joints[MIDDLE, 0, 1]])
    lengths = np.linalg.norm(np.diff(joints, axis=1), axis=-1)
    return HandFrame(wrist, axes, scale, joints, bones, lengths, palm_scale)


def rest_surface(model: HandModel, frame: HandFrame) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) vertices and (V, 3) normals of the mean hand in the frame's axes and millimetres."""
    if model.side == "left":
        model = mirror(model)
    normals = np.asarray(vertex_normals(model.v_template, model.faces), np.float64)
    return (np.asarray(model.v_template) - frame.origin) @ frame.axes.T * frame.scale, normals @ frame.axes.T


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
