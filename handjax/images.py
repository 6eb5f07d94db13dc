"""Reading a photo from any common file as upright 8-bit RGB, with the focal length that its EXIF gives."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from handjax import exif
from handjax.image_header import exif_tags, image_kind, image_size, is_whole

MAX_PIXELS = 100_000_000
# Uncompressed 16-bit RGBA takes 8 bytes a pixel; no smaller image needs a larger file.
MAX_BYTES_PER_PIXEL = 8
BACKGROUND = 255
"""What shows through transparent pixels: white, as in a browser."""


class ImageError(ValueError):
    """A file that cannot be read as an image; the message names the file and the reason."""


class Photo(NamedTuple):
    """image (H, W, 3) uint8 RGB, upright; focal_px the EXIF focal length in pixels of this image, or None."""

    image: np.ndarray
    focal_px: float | None


def read_image(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright. As `read_photo` without the focal length."""
    return read_photo(path, max_pixels).image


def read_photo(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> Photo:
    """Reads JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000 or PNM; the content decides, not the file's name.

    EXIF orientation is applied. 16-bit values are rounded to 8 bits, grey is repeated, transparent pixels are
    laid over white, colour profiles are ignored; of several frames or pages the first is read.

    Raises ImageError when the file is missing, empty, cut off, damaged, no image, or larger than `max_pixels`.
    """
    data = _read_bytes(path, max_pixels)
    kind = _checked_kind(path, data, max_pixels)
    tags = exif_tags(kind, data)
    pixels = _decode(path, kind, data)
    if kind != "TIFF":  # the decoder turns a TIFF itself
        pixels = _upright(pixels, exif.orientation(tags))
    height, width = pixels.shape[:2]
    if height * width > max_pixels:
        raise ImageError(_too_large(path, width, height, max_pixels))
    premultiplied = kind == "TIFF" and exif.is_premultiplied(tags, pixels.dtype == np.uint8)
    return Photo(_to_rgb8(path, pixels, premultiplied), exif.focal_px(tags, width, height))


def exif_focal_px(path: str | os.PathLike) -> float | None:
    """Focal length in pixels from a photo's EXIF (see `exif.focal_px`) without decoding it; None where not given.

    Raises ImageError as `read_photo` does, save for faults that only decoding shows.
    """
    data = _read_bytes(path, MAX_PIXELS)
    kind = _checked_kind(path, data, MAX_PIXELS)
    width, height = image_size(kind, data) or (0, 0)
    return exif.focal_px(exif_tags(kind, data), width, height)


def _read_bytes(path: str | os.PathLike, max_pixels: int) -> bytes:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{path}: is a folder, not an image file")
        # A pipe or a device could block for ever or never end.
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path}: is not a regular file")
        limit = MAX_BYTES_PER_PIXEL * max_pixels + (1 << 24)
        if status.st_size > limit:
            raise ImageError(f"{path}: the file is larger than {limit >> 20} MiB ({status.st_size >> 20} MiB)")
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{str(path)!r}: {error}") from error
    if not data:
        raise ImageError(f"{path}: the file is empty")
    return data


def _checked_kind(path: str | os.PathLike, data: bytes, max_pixels: int) -> str:
    kind = image_kind(data[:64])
    if kind is None:
        raise ImageError(f"{path}: not an image of a known format (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, ...)")
    if kind == "HEIC":
        raise ImageError(f"{path}: HEIC images cannot be decoded here; convert it to JPEG or PNG")
    size = image_size(kind, data)
    if size is None or min(size) <= 0:
        raise ImageError(f"{path}: the {kind} header is cut off or damaged")
    if size[0] * size[1] > max_pixels:
        raise ImageError(_too_large(path, *size, max_pixels))
    if not is_whole(kind, data):
        raise ImageError(f"{path}: the {kind} file is truncated or damaged")
    return kind


def _too_large(path: str | os.PathLike, width: int, height: int, max_pixels: int) -> str:
    return f"{path}: {width} x {height} pixels are more than the limit of {max_pixels}"


def _decode(path: str | os.PathLike, kind: str, data: bytes) -> np.ndarray:
    try:
        with quiet_opencv():
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError) as error:
        raise ImageError(f"{path}: the {kind} data cannot be decoded: {error}") from error
    if pixels is None:
        raise ImageError(f"{path}: the {kind} data is truncated, damaged or of an unsupported variant")
    return pixels


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """OpenCV logs every broken file to stderr; the caller raises instead."""
    # Before OpenCV 4.13 the two functions stood at its top.
    log: Any = getattr(cv2.utils, "logging", cv2)
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF 2.32, tag 274: where the stored first row and first column lie in the upright picture."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _to_rgb8(path: str | os.PathLike, pixels: np.ndarray, premultiplied: bool) -> np.ndarray:
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ImageError(f"{path}: pixels must be 8 or 16-bit integers, got {pixels.dtype}")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    channels = pixels.shape[2]
    if channels not in (1, 2, 3, 4):
        raise ImageError(f"{path}: must have 1 to 4 channels, got {channels}")
    colour = np.broadcast_to(pixels[..., :1], (*pixels.shape[:2], 3)) if channels < 3 else pixels[..., 2::-1]
    if channels in (2, 4):
        colour = _over_background(colour, pixels[..., -1:], premultiplied)
    return np.ascontiguousarray(colour)


def _over_background(colour: np.ndarray, alpha: np.ndarray, premultiplied: bool) -> np.ndarray:
    alpha = alpha.astype(np.uint32)
    foreground = colour.astype(np.uint32) * (255 if premultiplied else alpha)
    return np.minimum((foreground + BACKGROUND * (255 - alpha) + 127) // 255, 255).astype(np.uint8)
