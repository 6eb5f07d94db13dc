"""InterHand2.6M's label files: what stands where, in which keys, and how the world becomes the camera's frame."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from datasets import json_stream, labels

JOINTS = 42
HAND_TYPES = {"right": ("right",), "left": ("left",), "interacting": ("left", "right")}


class Camera(NamedTuple):
    """rotation (3, 3) world to camera; position (3,) in the world, metres; intrinsics (3, 3) in our pixels."""

    rotation: np.ndarray
    position: np.ndarray
    intrinsics: np.ndarray

    def from_world(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) metres: X_cam = rotation (X_world - position)."""
        return (points - self.position) @ self.rotation.T

    @property
    def translation(self) -> np.ndarray:
        return -self.rotation @ self.position


class Picture(NamedTuple):
    """One item of `images` with its annotation; joint_valid (42,): in the picture, right hand first."""

    file_name: str
    capture: str
    frame: str
    camera: str
    hand_type: str
    hand_type_valid: bool
    joint_valid: np.ndarray


class Labels(NamedTuple):
    """The dicts of one split that go by capture and frame or camera, as they stand in the files."""

    cameras: dict
    joints: dict
    mano: dict


def read_labels(folder: epath.Path, split: str) -> Labels:
    """Raises ValueError naming a damaged file."""
    return Labels(*(_read(file_of(folder, split, kind)) for kind in ("camera", "joint_3d", "MANO_NeuralAnnot")))


def file_of(folder: epath.Path, split: str, kind: str) -> epath.Path:
    return folder / split / f"InterHand2.6M_{split}_{kind}.json"


def pictures(path: epath.Path) -> tuple[Iterator[Picture], int]:
    """Those of a data.json in its order, and how many there are; a million of them never stand in memory as objects.

    Raises ValueError naming the file and the item that lacks a field, or stands there twice or without its other half.
    """
    annotations: dict[int, tuple[str, bool, bytes]] = {}
    for item in json_stream.items(path, "annotations"):
        image, hand_type, type_valid, valid = _fields(path, item, "image_id hand_type hand_type_valid joint_valid")
        if image in annotations or hand_type not in HAND_TYPES:
            raise ValueError(
                f"{path} must have one annotation of image {image}, of a known hand_type, got {hand_type!r}"
            )
        annotations[image] = (hand_type, bool(type_valid), bytes(int(bool(flag)) for flag in np.ravel(valid)))

    def joined() -> Iterator[Picture]:
        for item in json_stream.items(path, "images"):
            image, *where = _fields(path, item, "id file_name capture frame_idx camera")
            if image not in annotations:
                raise ValueError(f"{path} has no annotation of image {image}")
            hand_type, type_valid, valid = annotations[image]
            file_name, capture, frame, camera = map(str, where)
            joint_valid = np.frombuffer(valid, np.uint8).astype(bool)
            yield Picture(file_name, capture, frame, camera, hand_type, type_valid, joint_valid)

    return joined(), len(annotations)


def _fields(path: epath.Path, item: dict, keys: str) -> list:
    try:
        return [item[key] for key in keys.split()]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: an item must have {keys}, got {str(item)[:200]}") from error


def camera_of(cameras: dict, capture: str, camera: str) -> Camera:
    """Millimetres become metres; the principal point counts from a first pixel centre at (0, 0)."""
    of_capture = cameras[capture]
    rotation, position, focal, center = (
        np.asarray(of_capture[key][camera], np.float64) for key in ("camrot", "campos", "focal", "princpt")
    )
    return Camera(rotation, position / 1000, labels.intrinsics_from_opencv(labels.pinhole(*focal, *center)))


def joints_of(joints: dict, capture: str, frame: str) -> tuple[np.ndarray, np.ndarray]:
    """(42, 3) metres in the world, and (42,) which of them are known: the others hold the placeholder (1, 1, 1) mm."""
    item = joints[capture][frame]
    points = np.asarray(item["world_coord"], np.float64)
    valid = np.ravel(item["joint_valid"]).astype(bool)
    if points.shape != (JOINTS, 3) or valid.shape != (JOINTS,):
        raise ValueError(f"world_coord must have shape ({JOINTS}, 3), got {points.shape} with {valid.shape} flags")
    return points / 1000, valid


def mano_of(mano: dict, capture: str, frame: str, side: str) -> dict[str, np.ndarray] | None:
    """pose (48,), shape (10,), trans (3,) metres, in the world; None where that hand was not fitted."""
    item: Any = (mano.get(capture) or {}).get(frame) or {}
    fitted = item.get(side)
    return None if fitted is None else {key: np.asarray(fitted[key], np.float32) for key in ("pose", "shape", "trans")}


def _read(path: epath.Path) -> dict:
    try:
        whole = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(whole, dict):
        raise ValueError(f"{path} must hold labels by capture, got {type(whole).__name__}")
    return whole
