"""The few TIFF and EXIF tags that a 3D reading of a photo needs: orientation, focal length, meaning of alpha."""

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

ORIENTATION = 0x0112
EXTRA_SAMPLES = 0x0152
EXIF_FOLDER = 0x8769
FOCAL_LENGTH_MM = 0x920A
PIXEL_WIDTH = 0xA002
PIXEL_HEIGHT = 0xA003
FOCAL_PLANE_PIXELS_PER_UNIT = 0xA20E
FOCAL_PLANE_UNIT = 0xA210
FOCAL_LENGTH_35MM = 0xA405

FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
TYPE_CODES = {1: "B", 3: "H", 4: "I", 5: "II", 9: "i", 10: "ii"}
MAX_ENTRIES = 1000


class Entry(NamedTuple):
    """One tag of a TIFF folder with its first value; fractions are divided out."""

    tag: int
    value: float


def read_tags(tiff: bytes) -> dict[int, float]:
    """First numeric value of each tag of a TIFF block's first folder and its EXIF folder.

    Garbage never raises: a tag that cannot be read is left out. A tag that stands twice keeps its larger value.
    """
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return {}
    tags: dict[int, float] = {}
    folders = [struct.unpack_from(order + "I", tiff, 4)[0]]
    for entry in _entries(tiff, folders[0], order):
        tags[entry.tag] = max(entry.value, tags.get(entry.tag, entry.value))
    if EXIF_FOLDER in tags:
        for entry in _entries(tiff, int(tags[EXIF_FOLDER]), order):
            tags[entry.tag] = max(entry.value, tags.get(entry.tag, entry.value))
    return tags


def orientation(tags: dict[int, float]) -> int:
    """EXIF orientation 1 to 8; 1 (as stored) where it is absent or makes no sense."""
    value = int(tags.get(ORIENTATION, 1))
    return value if 1 <= value <= 8 else 1


def focal_px(tags: dict[int, float], width: int, height: int) -> float | None:
    """Focal length in pixels of a (height, width) image, or None where the tags do not give it.

    The 35 mm equivalent is defined over the diagonal (CIPA DCG-001), so it turns with the image. Without it the
    focal length in mm and the sensor's pixels per unit are used. The tags describe the picture as taken: a
    resized copy is scaled, a copy of another aspect ratio was cropped and gives None.
    """
    taken = (tags.get(PIXEL_WIDTH, 0.0), tags.get(PIXEL_HEIGHT, 0.0))
    resized = 1.0
    if min(taken) > 0:
        if not _same_aspect(taken, (width, height)):
            return None
        resized = max(width, height) / max(taken)
    focal = _focal_from_35mm(tags, width, height) or _focal_from_sensor(tags, resized)
    sensible = focal is not None and math.isfinite(focal) and 0.2 < focal / max(width, height) < 50
    return focal if sensible else None


def is_premultiplied(tags: dict[int, float], eight_bit: bool) -> bool:
    """Whether decoded TIFF colours are already multiplied with alpha: libtiff does it to straight 8-bit ones."""
    return tags.get(EXTRA_SAMPLES) == 1 or (tags.get(EXTRA_SAMPLES) == 2 and eight_bit)


def _focal_from_35mm(tags: dict[int, float], width: int, height: int) -> float | None:
    return tags.get(FOCAL_LENGTH_35MM, 0.0) / FULL_FRAME_DIAGONAL_MM * math.hypot(width, height) or None


def _focal_from_sensor(tags: dict[int, float], resized: float) -> float | None:
    unit_mm = UNIT_MM.get(int(tags.get(FOCAL_PLANE_UNIT, 2)))
    pixels_per_unit = tags.get(FOCAL_PLANE_PIXELS_PER_UNIT, 0.0)
    if not unit_mm:
        return None
    return tags.get(FOCAL_LENGTH_MM, 0.0) * pixels_per_unit / unit_mm * resized or None


def _same_aspect(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Equal up to 2 % and to a quarter turn: editors turn pixels and leave the size tags alone."""
    return abs(max(a) / min(a) / (max(b) / min(b)) - 1) < 0.02


def _entries(tiff: bytes, offset: int, order: str) -> Iterator[Entry]:
    if not 8 <= offset <= len(tiff) - 2:
        return
    (count,) = struct.unpack_from(order + "H", tiff, offset)
    for start in range(offset + 2, offset + 2 + 12 * min(count, MAX_ENTRIES), 12):
        if start + 12 > len(tiff):
            return
        tag, kind, length = struct.unpack_from(order + "HHI", tiff, start)
        if kind not in TYPE_CODES or length == 0:
            continue
        code = order + TYPE_CODES[kind]
        size = struct.calcsize(code) * length
        position = start + 8 if size <= 4 else struct.unpack_from(order + "I", tiff, start + 8)[0]
        if position + struct.calcsize(code) > len(tiff):
            continue
        numbers = struct.unpack_from(code, tiff, position)
        if len(numbers) == 2 and numbers[1] == 0:
            continue
        yield Entry(tag, numbers[0] / numbers[1] if len(numbers) == 2 else float(numbers[0]))
