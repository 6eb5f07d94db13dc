"""From a record's bytes to labels and pictures of the schema."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from datasets.schema import HAND, IMAGE, VERTICES
from handjax.image_header import HEAD_BYTES, image_kind, image_size, is_whole

PICTURES = ("image", "mask", "depth")
JPEG_END = b"\xff\xd9"
REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""How many times smaller an image is decoded, in OpenCV's flags."""


class Record(NamedTuple):
    """name; labels of its slots of hands; pictures as they were encoded; frame: (width, height) of the image."""

    name: str
    labels: dict[str, np.ndarray]
    pictures: Mapping[str, bytes]
    frame: tuple[int, int]


def read_record(features: Any, data: bytes, slots: int, vertices: bool) -> Record:
    """Labels padded to `slots`, pictures as they are. Raises ValueError for more hands than slots, or a bad record.

    TFDS's own `deserialize_example_np` does the same for any features, in three times the time.
    """
    stored = tf.train.Example.FromString(data).features.feature
    labels = {name: _label(stored[name], (-1, *shape), kind) for name, (shape, kind) in HAND.items()}
    if vertices and "vertices" in features:
        labels["vertices"] = features["vertices"].decode_example_np(stored["vertices"].bytes_list.value[0])
    hands = len(labels["valid"])
    if len({len(value) for value in labels.values()}) > 1:
        raise ValueError(f"labels must all be of {hands} hands, got { ({name: len(v) for name, v in labels.items()}) }")
    if hands > slots:
        raise ValueError(f"slots must be at least {hands}, got {slots}")
    if hands < slots:
        labels = {
            name: np.pad(value, [(0, slots - hands), *[(0, 0)] * (value.ndim - 1)]) for name, value in labels.items()
        }
    if vertices:
        found = labels.setdefault("vertices", np.zeros((slots, *VERTICES), np.float32))
        # Of a set that stores them not, the mesh may be known from MANO parameters only.
        labels["vertices_valid"] &= found.any((1, 2))
    labels |= {name: _label(stored[name], shape, kind) for name, (shape, kind) in IMAGE.items()}
    pictures = {name: stored[name].bytes_list.value[0] for name in PICTURES if name in stored}
    frame = image_size(image_kind(pictures["image"][:HEAD_BYTES]) or "", pictures["image"])
    if frame is None:
        raise ValueError(f"image must be a picture, got {len(pictures['image'])} bytes that are none")
    return Record(stored["name"].bytes_list.value[0].decode("utf-8", "replace"), labels, pictures, frame)


def reduction(record: Record, shrink: int) -> int:
    """How much smaller, 1, 2, 4 or 8 times, the image can be decoded if it is to shrink as much: JPEG files can."""
    if image_kind(record.pictures["image"][:HEAD_BYTES]) != "JPEG":
        return 1
    return max(times for times in REDUCED if times <= shrink)


def read_picture(record: Record, name: str, reduced: int = 1) -> np.ndarray | None:
    """image (H, W, 3) uint8 BGR, as OpenCV wants it; mask (H, W) uint8, depth (H, W) float32; None where not valid.

    reduced: of an image, a `reduction`: its sides become so many times shorter, rounded up. Raises ValueError for a
    picture that is damaged, cut off, or not of the image's size.
    """
    if name not in record.pictures or (name != "image" and not record.labels[f"{name}_valid"]):
        return None
    picture = _decode(name, record.pictures[name], reduced)
    frame = tuple(-(-side // reduced) for side in record.frame)
    if picture.shape[1::-1] != frame:
        raise ValueError(f"{name} must be {frame} px wide and high, got {picture.shape[1::-1]}")
    return picture


def _decode(name: str, data: bytes, reduced: int) -> np.ndarray:
    kind = image_kind(data[:HEAD_BYTES])
    # A file that ends as JPEG files do need not be walked through.
    if kind is None or not (kind == "JPEG" and data.endswith(JPEG_END) or is_whole(kind, data)):
        raise ValueError(f"{name} must be a whole picture, got {len(data)} bytes that are not one")
    flags = REDUCED[reduced] | cv2.IMREAD_IGNORE_ORIENTATION if name == "image" else cv2.IMREAD_UNCHANGED
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if picture is None:
        raise ValueError(f"{name} must be a picture, got {kind} that cannot be decoded")
    if name == "depth":
        # TFDS keeps the four bytes of a float in four channels, which OpenCV reads as blue, green, red, alpha.
        return np.ascontiguousarray(picture[..., [2, 1, 0, 3]]).view(np.float32)[..., 0]
    return picture


def _label(feature: Any, shape: tuple[int, ...], kind: type) -> np.ndarray:
    values = feature.float_list.value if kind is np.float32 else feature.int64_list.value
    # A slice is a list, which NumPy reads faster than what it is cut from.
    return np.array(values[:], kind).reshape(shape)
