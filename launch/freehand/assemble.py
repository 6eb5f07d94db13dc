"""All parts of the free hand, in the model's axes and metres."""

from typing import NamedTuple

import numpy as np

from launch.freehand.anatomy import FINGERS, PARENTS, POPULATION_MEAN, hand_size
from launch.freehand.calibrate import calibrate
from launch.freehand.correctives import fit_correctives
from launch.freehand.poses import LIMITS, pose_space
from launch.freehand.shapes import principal_shapes, regress_joints, sample_shapes
from launch.freehand.skeleton import Hand, joint_axes, rest_hand
from launch.freehand.skinning import heat_weights
from launch.freehand.template import template_mesh

VERSION = "1.0"
LICENCE = "Apache-2.0"
TO_MODEL = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
"""Generator axes (X ulnar, Y distal, Z dorsal) to MANO's (fingers -x, back of the hand y, thumb z)."""
JOINT_NAMES = ("wrist", *(f"{finger}{number}" for finger in FINGERS for number in (1, 2, 3)))
REGION_NAMES = (
    "palm",
    *(f"{finger}_{bone}" for finger in FINGERS[:4] for bone in ("proximal", "middle", "distal")),
    *(f"thumb_{bone}" for bone in ("metacarpal", "proximal", "distal")),
)
TIP_ORDER = ("thumb", "index", "middle", "ring", "little")


class MeanHand(NamedTuple):
    """The calibrated mesh in mm and the generator's axes, and the implicit hand it lies on."""

    vertices: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    hand: Hand


def mean_hand() -> MeanHand:
    """Draws no random numbers: mesh, weights and size are the same for every seed."""
    hand = rest_hand(hand_size(POPULATION_MEAN[0], POPULATION_MEAN[1]))
    vertices, faces = template_mesh(hand)
    vertices, hand = calibrate(vertices, faces, heat_weights(vertices, faces, hand.skeleton), hand)
    return MeanHand(vertices, faces, heat_weights(vertices, faces, hand.skeleton), hand)


def free_hand(template: MeanHand, seed: int) -> dict[str, np.ndarray]:
    """Every array of the shipped file, by its name there."""
    vertices, faces, weights, hand = template
    meshes, joints = sample_shapes(vertices, faces, weights, hand, seed)
    mean, shapedirs, _ = principal_shapes(meshes)
    correctives = fit_correctives(vertices, faces, weights, hand, seed + 1)
    axes = joint_axes(hand.skeleton) @ TO_MODEL.T
    hands_mean, components, pose_std = pose_space(axes, seed + 2)
    return {
        "v_template": in_metres(mean @ TO_MODEL.T),
        "shapedirs": in_metres(np.einsum("xy,vys->vxs", TO_MODEL, shapedirs)),
        "posedirs": in_metres(turn_correctives(correctives, TO_MODEL)).astype(np.float16),
        "J_regressor": as_rows_of_one(regress_joints(meshes, joints)),
        "lbs_weights": as_rows_of_one(weights),
        "faces": faces.astype(np.int32),
        "parents": np.array(PARENTS, np.int32),
        "hands_mean": hands_mean.astype(np.float32),
        "hands_components": components.astype(np.float32),
        "pose_std": pose_std.astype(np.float32),
        "joint_axes": axes.astype(np.float32),
        "joint_limits": np.deg2rad(LIMITS).reshape(15, 3, 2).astype(np.float32),
        "fingertip_ids": fingertips(vertices, hand),
        "region": weights.argmax(axis=1).astype(np.uint8),
        "region_names": np.array(REGION_NAMES),
        "joint_names": np.array(JOINT_NAMES),
        "side": np.array("right"),
        "units": np.array("metre"),
        "version": np.array(VERSION),
        "licence": np.array(LICENCE),
    }


def in_metres(millimetres: np.ndarray) -> np.ndarray:
    return (millimetres / 1000.0).astype(np.float32)


def as_rows_of_one(rows: np.ndarray) -> np.ndarray:
    """float32 rows whose sum in float64 is 1 to a few 1e-8: the largest entry takes up the rounding."""
    rounded = rows.astype(np.float32)
    largest = rounded.argmax(axis=1)
    rounded[np.arange(len(rows)), largest] += (1.0 - rounded.astype(np.float64).sum(axis=1)).astype(np.float32)
    return rounded


def turn_correctives(correctives: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(V, 3, 135) in other axes: the displacement turns, and so do both sides of each rotation matrix."""
    by_entry = correctives.reshape(len(correctives), 3, 15, 3, 3)
    turned = np.einsum("xy,vyjab,ca,db->vxjcd", rotation, by_entry, rotation, rotation, optimize=True)
    return turned.reshape(correctives.shape)


def fingertips(vertices: np.ndarray, hand: Hand) -> np.ndarray:
    """(5,) the vertex furthest along each finger, a little to its pulp: what people mark as a fingertip."""
    ids = []
    for name in TIP_ORDER:
        finger = FINGERS.index(name)
        _, distal, dorsal = hand.skeleton.frames[finger, 2]
        offset = vertices - hand.skeleton.joints[finger, 3]
        near = np.linalg.norm(offset, axis=1) < hand.size.sections[finger, 3, 0]
        ids.append(np.where(near, offset @ (distal - 0.3 * dorsal), -np.inf).argmax())
    return np.array(ids, np.int32)
