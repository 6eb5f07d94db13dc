"""The result for one image: every hand in its camera's frame, as arrays, and as the npz file they are kept in."""

import io
import os
import zipfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from handjax.detect import SIDE_NAMES
from handjax.export import write_bytes
from handjax.mano import HandModel, HandOutput


class Hands(NamedTuple):
    """h hands of one image. Metres in the camera frame (OpenCV: x right, y down, z forward); pixels of the full image.

    The fields are the arrays of `NAME.npz`.
    """

    side: np.ndarray  # (h,) 0 left, 1 right
    score: np.ndarray  # (h,) the detector's, in [0, 1]
    betas: np.ndarray  # (h, S)
    global_orient: np.ndarray  # (h, 3) axis-angle, radians
    hand_pose: np.ndarray  # (h, 45) axis-angle, radians; flat hand = 0
    transl: np.ndarray  # (h, 3)
    vertices: np.ndarray  # (h, V, 3)
    joints: np.ndarray  # (h, 21, 3) wrist, thumb, index, middle, ring, little; base to tip
    transforms: np.ndarray  # (h, J, 3, 4) of each bone, rest to posed
    faces: np.ndarray  # (h, F, 3) counter-clockwise from outside, so a left hand's are turned round
    keypoints_2d: np.ndarray  # (h, 21, 2) observed
    reprojected: np.ndarray  # (h, 21, 2) of `joints`
    confidence: np.ndarray  # (h, 21) 0 = not observed
    error_px: np.ndarray  # (h, 21) distance of the two; NaN where not observed
    converged: np.ndarray  # (h,) bool
    ambiguous: np.ndarray  # (h,) bool: another pose, flipped in depth, explains the keypoints about as well
    camera: np.ndarray  # (4,) fx, fy, cx, cy


def no_hands(model: HandModel, camera: np.ndarray) -> Hands:
    """The result for an image without a hand: arrays of the usual shapes with h = 0."""
    sizes = {
        "betas": (model.num_betas,),
        "global_orient": (3,),
        "hand_pose": (3 * (model.num_joints - 1),),
        "transl": (3,),
        "vertices": (model.num_vertices, 3),
        "joints": (21, 3),
        "transforms": (model.num_joints, 3, 4),
        "keypoints_2d": (21, 2),
        "reprojected": (21, 2),
        "confidence": (21,),
        "error_px": (21,),
        "score": (),
    }
    fields = {field: np.zeros((0, *shape), np.float32) for field, shape in sizes.items()}
    flags = {field: np.zeros(0, bool) for field in ("converged", "ambiguous")}
    faces = np.zeros((0, *model.faces.shape), np.int32)
    return Hands(side=np.zeros(0, np.int8), faces=faces, camera=camera, **flags, **fields)


def take(hands: Hands, rows) -> Hands:
    """The chosen hands: a slice, a mask (h,) or indices."""
    chosen = {field: array[rows] for field, array in hands._asdict().items() if field != "camera"}
    return hands._replace(**chosen)


def joined(parts: Sequence[Hands]) -> Hands:
    """At least one, all of the same camera, as one."""
    fields = {field: np.concatenate([getattr(part, field) for part in parts]) for field in Hands._fields[:-1]}
    return parts[0]._replace(**fields)


def side_names(hands: Hands) -> list[str]:
    """ "left" or "right" of each hand."""
    return [SIDE_NAMES[side] for side in hands.side]


def posed(model: HandModel, hands: Hands) -> HandOutput:
    """What `mano.forward_batch` gave, with the model's joints in place of the 21 keypoints."""
    place = {joint: keypoint for keypoint, joint in enumerate(model.keypoint_ids)}
    joints = hands.joints[:, [place[joint] for joint in range(model.num_joints)]]
    arrays: Any = hands.vertices, joints, hands.transforms
    return HandOutput(*arrays)


def mean_error_px(hands: Hands) -> np.ndarray:
    """(h,) over the observed keypoints."""
    seen = np.isfinite(hands.error_px)
    return np.asarray(np.where(seen, hands.error_px, 0.0).sum(-1) / np.maximum(seen.sum(-1), 1))


def write_arrays(path: str | os.PathLike, arrays: dict[str, np.ndarray]) -> None:
    """An npz archive, whole or not at all; not compressed, since that would cost more time than the fit."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())


def read_hands(path: str | os.PathLike) -> Hands:
    """Reads an image's `NAME.npz`. Raises ValueError if it is none, OSError if it cannot be read."""
    try:
        # Opened here: numpy leaves a damaged file open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            if "found" in arrays:
                raise ValueError("holds the hands of a video, which numpy.load reads")
            return Hands(**{field: arrays[field] for field in Hands._fields})
    except (KeyError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not the hands of an image: {error}") from error
