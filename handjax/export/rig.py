"""A hand as animation software holds it: a mesh at rest, a skeleton, and the skeleton's motion."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from handjax.checks import check_shape
from handjax.export.mesh import checked_colors, checked_faces
from handjax.export.texture import MeshTexture, checked_texture
from handjax.mano.types import MANO_PARENTS, HandModel, HandOutput

SKIN_COLOR = (0.87, 0.67, 0.56)
MANO_JOINT_NAMES = (
    "wrist",
    *(f"{finger}{joint}" for finger in ("index", "middle", "little", "ring", "thumb") for joint in (1, 2, 3)),
)


class RiggedHand(NamedTuple):
    """A skinned mesh and its motion over T frames, camera space (OpenCV axes), metres. `rigged_hand` makes one.

    rest_vertices (V, 3), rest_joints (J, 3): the bind pose. faces (F, 3): counter-clockwise from outside.
    lbs_weights (V, J): rows sum to 1. parents: J numbers, -1 first, each below its own index.
    local_rotations (T, J, 3, 3): of each joint against its parent, identity at rest.
    root_positions (T, 3): of joint 0.
    times (T,): seconds from the start, rising; None: the writer's `fps` counts the frames.
    colors (V, 3): sRGB, uint8 or floats in [0, 1]; None: `base_color`, sRGB, all over.
    texture: a picture on the mesh instead of `colors`; None: none.
    joint_names: J names; empty: the hand's own where parents are MANO's, else joint0, joint1, ...
    """

    name: str
    rest_vertices: np.ndarray
    faces: np.ndarray
    lbs_weights: np.ndarray
    parents: Sequence[int]
    rest_joints: np.ndarray
    local_rotations: np.ndarray
    root_positions: np.ndarray
    times: np.ndarray | None = None
    colors: np.ndarray | None = None
    base_color: np.ndarray | tuple[float, float, float] = SKIN_COLOR
    joint_names: Sequence[str] = ()
    texture: MeshTexture | None = None


def rigged_hand(
    name: str,
    model: HandModel,
    output: HandOutput,
    max_influences: int = 4,
    times: ArrayLike | None = None,
    colors: ArrayLike | None = None,
    base_color: tuple[float, float, float] = SKIN_COLOR,
    texture: MeshTexture | None = None,
) -> RiggedHand:
    """A rig out of posed hands.

    Animation software has no pose correctives. So the rest mesh is the one that plain skinning carries closest (least
    squares) to the given vertices: one frame is reproduced exactly (to float32), by 4 influences as well as by 16;
    over a motion, the correctives and the rest joints are averaged. From an open hand to a fist, that costs the free
    hand 0.25 mm on average and 2.3 mm at most (2.1 mm with 8 influences).

    Args:
      name: what the file calls the hand, such as "hand_0_right".
      model: the posed model; its faces, lbs_weights and parents are read.
      output: `mano.forward(model, params)` in the camera frame, metres, or T of them stacked along a first axis.
      max_influences: joints that may move one vertex. Many viewers read 4 only; files hold any number.
      times: (T,) seconds from the start, rising; None: the writer's `fps` counts the frames.
      colors: (V, 3) sRGB, uint8 or floats in [0, 1]; None: `base_color` all over.
      base_color: sRGB in [0, 1].
      texture: a picture on the mesh; then `colors` must be None.

    Raises:
      ValueError: a shape does not fit the model, or a value is not finite.
    """
    vertices, joints, transforms = (np.asarray(array, np.float64) for array in output)
    if vertices.ndim == 2:
        vertices, joints, transforms = vertices[None], joints[None], transforms[None]
    num_frames, num_joints = len(vertices), len(model.parents)
    check_shape("output.vertices", vertices, ("T", len(model.lbs_weights), 3))
    check_shape("output.joints", joints, (num_frames, num_joints, 3))
    check_shape("output.transforms", transforms, (num_frames, num_joints, 3, 4))
    if not np.isfinite(vertices).all():
        raise ValueError("output.vertices must be finite")
    rotations, offsets = transforms[..., :3], transforms[..., 3]
    from_root = rotations[:, list(model.parents[1:])]
    hand = RiggedHand(
        name,
        rest_vertices=np.zeros(vertices.shape[1:]),
        faces=np.asarray(model.faces),
        lbs_weights=_strongest(np.asarray(model.lbs_weights, np.float64), max_influences),
        parents=model.parents,
        rest_joints=np.einsum("tjba,tjb->ja", rotations, joints - offsets) / max(num_frames, 1),
        local_rotations=np.concatenate(
            [rotations[:, :1], np.einsum("tjba,tjbc->tjac", from_root, rotations[:, 1:])], axis=1
        ),
        root_positions=joints[:, 0],
        times=None if times is None else np.asarray(times),
        colors=None if colors is None else np.asarray(colors),
        base_color=base_color,
        texture=texture,
    )
    hand = checked_rig(hand)
    return hand._replace(rest_vertices=_closest_rest_vertices(hand, vertices))


def posed_vertices(hand: RiggedHand) -> np.ndarray:
    """(T, V, 3) float64: the mesh at each frame as a viewer shows it, by linear blend skinning."""
    hand = checked_rig(hand)
    frames = []
    for frame in range(len(hand.local_rotations)):
        rotations, offsets = _blended_transforms(hand, frame)
        frames.append(np.einsum("vab,vb->va", rotations, hand.rest_vertices) + offsets)
    return np.stack(frames)


def checked_rig(hand: RiggedHand) -> RiggedHand:
    """The same hand as float64, int32 and uint8 arrays; ValueError or TypeError names what is wrong."""
    num_vertices, num_joints = len(np.asarray(hand.rest_vertices)), len(hand.parents)
    num_frames = len(np.asarray(hand.local_rotations))
    if not (num_vertices and num_joints and num_frames):
        raise ValueError(
            f"a rigged hand must have vertices, joints and frames, got {num_vertices}, {num_joints} and {num_frames}"
        )
    shapes = {
        "rest_vertices": (num_vertices, 3),
        "lbs_weights": (num_vertices, num_joints),
        "rest_joints": (num_joints, 3),
        "local_rotations": (num_frames, num_joints, 3, 3),
        "root_positions": (num_frames, 3),
        "base_color": (3,),
    } | ({} if hand.times is None else {"times": (num_frames,)})
    arrays = {}
    for field, shape in shapes.items():
        check_shape(field, getattr(hand, field), shape)
        arrays[field] = np.asarray(getattr(hand, field), np.float64)
        if not np.isfinite(arrays[field]).all():
            raise ValueError(f"{field} must be finite")
    hand = hand._replace(
        **arrays,
        faces=checked_faces(hand.faces, num_vertices),
        parents=tuple(int(parent) for parent in hand.parents),
        colors=checked_colors(hand.colors, num_vertices),
        joint_names=_joint_names(hand),
    )
    _check_values(hand)
    if hand.texture is not None:
        hand = hand._replace(texture=checked_texture(hand.texture, hand.faces)[0])
    return hand


def _check_values(hand: RiggedHand) -> None:
    if hand.parents[0] != -1 or not all(0 <= p < joint for joint, p in enumerate(hand.parents) if joint):
        raise ValueError(f"parents must be -1, then indices of earlier joints, got {hand.parents}")
    if (hand.lbs_weights < 0).any() or np.abs(hand.lbs_weights.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError("lbs_weights must be at least 0 and sum to 1 for each vertex")
    square = np.einsum("tjab,tjac->tjbc", hand.local_rotations, hand.local_rotations)
    if np.abs(square - np.eye(3)).max() > 1e-3 or (np.linalg.det(hand.local_rotations) < 0).any():
        raise ValueError("local_rotations must be rotation matrices")
    if not all(0 <= channel <= 1 for channel in hand.base_color):
        raise ValueError(f"base_color must lie in [0, 1], got {hand.base_color}")
    if hand.texture is not None and hand.colors is not None:
        raise ValueError("colors must be None for a hand with a texture")
    if hand.times is not None and ((np.diff(hand.times) <= 0).any() or hand.times[0] < 0):
        raise ValueError("times must rise from 0 or later")


def _joint_names(hand: RiggedHand) -> tuple[str, ...]:
    if hand.joint_names:
        if len(hand.joint_names) != len(hand.parents):
            raise ValueError(f"joint_names must be {len(hand.parents)} names, got {len(hand.joint_names)}")
        return tuple(hand.joint_names)
    if tuple(hand.parents) == MANO_PARENTS:
        return MANO_JOINT_NAMES
    return tuple(f"joint{joint}" for joint in range(len(hand.parents)))


def _strongest(lbs_weights: np.ndarray, max_influences: int) -> np.ndarray:
    """(V, J) -> (V, J): each vertex keeps its strongest joints and sums to 1."""
    if max_influences < 1:
        raise ValueError(f"max_influences must be at least 1, got {max_influences}")
    weakest = np.argsort(-lbs_weights, axis=1, kind="stable")[:, max_influences:]
    kept = lbs_weights.copy()
    np.put_along_axis(kept, weakest, 0.0, axis=1)
    return kept / kept.sum(axis=1, keepdims=True)


def _blended_transforms(hand: RiggedHand, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """The skinning transform of each vertex at one frame: rotations (V, 3, 3), offsets (V, 3)."""
    rotations, positions = [hand.local_rotations[frame, 0]], [hand.root_positions[frame]]
    for joint, parent in enumerate(hand.parents[1:], start=1):
        bone = hand.rest_joints[joint] - hand.rest_joints[parent]
        positions.append(positions[parent] + rotations[parent] @ bone)
        rotations.append(rotations[parent] @ hand.local_rotations[frame, joint])
    rotations = np.stack(rotations)
    offsets = np.stack(positions) - np.einsum("jab,jb->ja", rotations, hand.rest_joints)
    blended = hand.lbs_weights @ rotations.reshape(len(rotations), 9)
    return blended.reshape(-1, 3, 3), hand.lbs_weights @ offsets


def _closest_rest_vertices(hand: RiggedHand, vertices: np.ndarray) -> np.ndarray:
    """(T, V, 3) -> (V, 3): minimises the sum over frames of |skinned - vertices|^2, a 3x3 system a vertex."""
    # A tiny pull to the joints: a vertex between two joints half a turn apart has no other answer.
    ridge = 1e-9
    normal = np.broadcast_to(ridge * np.eye(3), (vertices.shape[1], 3, 3)).copy()
    right = ridge * (hand.lbs_weights @ hand.rest_joints)
    for frame, target in enumerate(vertices):
        rotations, offsets = _blended_transforms(hand, frame)
        normal += np.einsum("vab,vac->vbc", rotations, rotations)
        right += np.einsum("vab,va->vb", rotations, target - offsets)
    return np.linalg.solve(normal, right[..., None])[..., 0]
