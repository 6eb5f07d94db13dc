"""All parts of the free hand at each resolution, in the model's axes and metres."""

from typing import NamedTuple

import numpy as np

from handjax.mano.sparse_posedirs import to_sparse
from launch.freehand.anatomy import FINGERS, PARENTS
from launch.freehand.calibrate import calibrated_hand, mean_measures
from launch.freehand.correctives import fit_correctives
from launch.freehand.limits import LIMITS
from launch.freehand.poses import pose_space
from launch.freehand.shapes import ShapeDirections, carry, regress_joints, shape_directions
from launch.freehand.skeleton import Hand, joint_axes
from launch.freehand.skinning import skin_weights
from launch.freehand.template import template_mesh

VERSION = "2.0"
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
SHAPED = "medium"
"""The resolution whose mesh the shape space is found on; the others read it off there."""


class SkinnedMesh(NamedTuple):
    """A mesh of the mean flat hand in mm and the generator's axes, and its skinning weights."""

    vertices: np.ndarray
    faces: np.ndarray
    weights: np.ndarray


def mean_hand() -> Hand:
    """The implicit hand that measures what the survey says."""
    return calibrated_hand(mean_measures())


def skinned_mesh(hand: Hand, resolution: str) -> SkinnedMesh:
    vertices, faces = template_mesh(hand, resolution)
    return SkinnedMesh(vertices, faces, skin_weights(vertices, faces, hand))


def shape_space(hand: Hand, shaped: SkinnedMesh) -> ShapeDirections:
    """Found once, on the mesh of `SHAPED`."""
    return shape_directions(*shaped, hand)


def pose_arrays(hand: Hand, shaped: SkinnedMesh, space: ShapeDirections, seed: int) -> dict[str, np.ndarray]:
    """`hands_mean`, `hands_components` and `pose_std`, the same at each resolution. The seed is of the poses drawn."""
    return pose_space(rest_arrays(hand, shaped, space), seed)


def free_hand(
    hand: Hand, mesh: SkinnedMesh, space: ShapeDirections, poses: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Every array of a shipped file, by its name there."""
    correctives = turn_correctives(fit_correctives(*mesh, hand), TO_MODEL)
    shapedirs = np.einsum("xy,vys->vxs", TO_MODEL, carry(space, mesh.vertices))
    return {
        **rest_arrays(hand, mesh, space),
        **poses,
        **to_sparse(in_metres(correctives)),
        "shapedirs": in_metres(shapedirs).astype(np.float16),
        "parents": np.array(PARENTS, np.int32),
        "region": mesh.weights.argmax(axis=1).astype(np.uint8),
        "region_names": np.array(REGION_NAMES),
        "joint_names": np.array(JOINT_NAMES),
        "side": np.array("right"),
        "units": np.array("metre"),
        "version": np.array(VERSION),
        "licence": np.array(LICENCE),
    }


def rest_arrays(hand: Hand, mesh: SkinnedMesh, space: ShapeDirections) -> dict[str, np.ndarray]:
    """Those of the flat hand and its joints."""
    shapedirs = carry(space, mesh.vertices)
    return {
        "v_template": in_metres(mesh.vertices @ TO_MODEL.T),
        "J_regressor": as_rows_of_one(regress_joints(mesh.vertices, shapedirs, space)),
        "lbs_weights": as_rows_of_one(mesh.weights),
        "faces": mesh.faces.astype(np.int32),
        "joint_axes": (joint_axes(hand.skeleton) @ TO_MODEL.T).astype(np.float32),
        "joint_limits": np.deg2rad(LIMITS).reshape(15, 3, 2).astype(np.float32),
        "fingertip_ids": fingertips(mesh.vertices, hand),
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
