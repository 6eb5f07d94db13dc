"""Files of 21 hand keypoints, made by any detector and kept beside the images.

JSON, written by `write_keypoints` and read by `read_keypoints`. One image is an entry

    {"width": 640, "height": 480, "hands": [{
        "side": "left",                     or "right": as seen by the hand's owner, in an unmirrored photo
        "score": 0.98,                      optional, 0 to 1
        "keypoints_2d": [[x, y], ... 21],   pixels
        "confidence": [c, ... 21],          optional, 0 to 1; 0: not seen, the numbers are ignored
        "keypoints_3d": [[x, y, z], ... 21],   optional, metres, camera axes, any origin
        "check": "good"                     optional, free text: what a reader of the result thought of it
    }]}

several images are {"images": {"a.jpg": entry, "b.jpg": entry}}, and a video is {"frames": [entry, ...]}, one for
each frame. The order is wrist, thumb, index, middle, ring, little, base to tip. Pixels are continuous, of the
upright image (after EXIF rotation), which spans [0, width] x [0, height]: a detector's normalised coordinates
times width and height are that already; one whose first pixel has its centre at (0, 0) adds 0.5.

Also read: MediaPipe-style entries (`keypoints_px`, `keypoints_world_m`, `handedness`, `handedness_score`, and
`handedness_checked`, which corrects it), plain nested lists (21, 2) or (N, 21, 2), a folder of NAME.json files
with an entry each, and npz files with `keypoints_px` (T, 21, 2 or 3) and `right` (T,), with `keypoints_world_m`
(T, 21, 3), `found` (T,) and `score` (T,) where present: a hand a video frame, or with `name` (T,) a hand an image.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handjax.detect import SIDE_NAMES, Detection
from handjax.export.files import write_bytes
from handjax.keypoint_entries import EntryReader, ImageHands, KeypointError
from handjax.keypoint_npz import read_npz

# A relative difference of aspect ratio that rounding a resized image to whole pixels does not explain.
ASPECT_TOLERANCE = 0.01
MAX_FILE_BYTES = 1 << 30


class Keypoints(NamedTuple):
    """A whole file: hands by image name, or by video frame; of the two the other is empty.

    A file with a single entry that names no image has it under the name "".
    """

    images: Mapping[str, ImageHands]
    frames: Sequence[ImageHands]


def read_keypoints(path: str | os.PathLike, side: str | None = None) -> Keypoints:
    """Reads any of the forms above. `side` "left" or "right" is that of hands which name none.

    Raises KeypointError, a ValueError, that names the file and the field: missing, of a wrong count, not finite.
    """
    path = Path(path)
    if side is not None and side not in SIDE_NAMES:
        raise ValueError(f"side must be 'left' or 'right', got {side!r}")
    if path.is_dir():
        return _read_folder(path, side)
    if not path.is_file():
        raise KeypointError(f"{path}: no such file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise KeypointError(f"{path}: the file is larger than {MAX_FILE_BYTES >> 20} MiB")
    if path.suffix.lower() == ".npz":
        images, frames = read_npz(path, side)
        return Keypoints(images, frames)
    return _from_json(EntryReader(path, side), _parse(path))


def hands_of_image(keypoints: Keypoints, image_path: str | os.PathLike, width: int, height: int) -> ImageHands | None:
    """The hands stored for an image, scaled to its size; None if the file has no entry for it.

    An entry's name is the end of the image's path, of any number of folders, with or without the suffix; the
    longest that fits wins. An entry without a name fits any image. Raises KeypointError when the stored size has
    another aspect ratio than (width, height): a crop, or EXIF rotation left out.
    """
    image = Path(image_path)
    names = [
        "/".join(parts[start:])
        for parts in (image.parts, image.parts[:-1] + (image.stem,))
        for start in range(len(parts))
    ]
    match = next((name for name in [*names, ""] if name in keypoints.images), None)
    return None if match is None else resized(keypoints.images[match], width, height, str(image_path))


def resized(hands: ImageHands, width: int, height: int, name: str) -> ImageHands:
    """The same hands in an image of another size but the same content; unchanged where no size was stored."""
    if hands.size is None or hands.size == (width, height):
        return hands
    old_width, old_height = hands.size
    scale = np.array([width / old_width, height / old_height], np.float32)
    if abs(scale[0] / scale[1] - 1) > ASPECT_TOLERANCE:
        raise KeypointError(
            f"{name}: the keypoints are for an image of {old_width} x {old_height} pixels, "
            f"this one has {width} x {height}, which is not the same picture resized"
        )
    detections = [
        hand._replace(box=hand.box * np.tile(scale, 2), keypoints_2d=hand.keypoints_2d * scale)
        for hand in hands.detections
    ]
    return hands._replace(detections=detections, size=(width, height))


def write_keypoints(path: str | os.PathLike, keypoints: Keypoints) -> None:
    """Writes the JSON form above, whole or not at all. Raises ValueError if it has images and frames, or NaN."""
    if keypoints.images and keypoints.frames:
        raise ValueError("keypoints must have images or frames, got both")
    if keypoints.frames:
        document = {"frames": [_entry(hands) for hands in keypoints.frames]}
    elif set(keypoints.images) == {""}:
        document = _entry(keypoints.images[""])
    else:
        document = {"images": {name: _entry(hands) for name, hands in keypoints.images.items()}}
    write_bytes(path, (json.dumps(document, allow_nan=False) + "\n").encode())


def _entry(hands: ImageHands) -> dict:
    entry = {} if hands.size is None else {"width": hands.size[0], "height": hands.size[1]}
    checks = hands.checks or [None] * len(hands.detections)
    stored = [_hand(hand, check) for hand, check in zip(hands.detections, checks, strict=True)]
    return entry | {"hands": stored}


def _hand(hand: Detection, check: str | None) -> dict:
    entry = {
        "side": SIDE_NAMES[int(hand.side)],
        "score": float(hand.score),
        "keypoints_2d": np.asarray(hand.keypoints_2d, np.float64).round(3).tolist(),
        "confidence": np.asarray(hand.confidence, np.float64).round(4).tolist(),
    }
    if hand.keypoints_3d is not None:
        entry["keypoints_3d"] = np.asarray(hand.keypoints_3d, np.float64).round(6).tolist()
    return entry if check is None else entry | {"check": check}


def _read_folder(folder: Path, side: str | None) -> Keypoints:
    images: dict[str, ImageHands] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("."):
            continue
        found = _from_json(EntryReader(path, side), _parse(path))
        if found.frames:
            raise KeypointError(f"{path}: holds video frames; give the file itself, not its folder")
        for name, hands in found.images.items():
            name = name or path.stem
            if name in images:
                raise KeypointError(f"{path}: a second entry for the image {name!r}")
            images[name] = hands
    if not images:
        raise KeypointError(f"{folder}: the folder holds no .json keypoint files")
    return Keypoints(images, ())


def _parse(path: Path):
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise KeypointError(f"{path}: not valid JSON: {error}") from error
    except OSError as error:
        raise KeypointError(f"{path}: {error.strerror or error}") from error


def _from_json(reader: EntryReader, document) -> Keypoints:
    if isinstance(document, dict) and "images" in document:
        entries = reader.mapping(document["images"], "images")
        return Keypoints({name: reader.entry(entry, f"images[{name!r}]") for name, entry in entries.items()}, ())
    if isinstance(document, dict) and "frames" in document:
        entries = reader.sequence(document["frames"], "frames")
        return Keypoints({}, [reader.entry(entry, f"frames[{i}]") for i, entry in enumerate(entries)])
    if isinstance(document, dict):
        name = reader.text(document.get("image"), "image") or ""
        return Keypoints({name: reader.entry(document, "")}, ())
    return Keypoints({"": reader.plain_lists(document)}, ())
