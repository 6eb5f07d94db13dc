"""What a path given on the command line holds: images, videos, or a folder of both."""

import os
from pathlib import Path
from typing import NamedTuple

from handjax.image_header import HEAD_BYTES, image_kind
from handjax.video import video_kind

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .tif .tiff .bmp .gif .ppm .pgm .pnm .pbm .avif .heic .heif .jp2".split()
)
VIDEO_SUFFIXES = frozenset(".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ogv .flv .wmv .3gp .mjpeg".split())


class Input(NamedTuple):
    """A file to work on; kind is "image" or "video"."""

    path: Path
    kind: str


def list_inputs(path: str | os.PathLike) -> list[Input]:
    """The image or video at `path`, or those directly inside the folder `path`, sorted by name.

    The content decides; where it is unknown the file's suffix does, so that a broken `.jpg` is listed and can be
    named as broken. Hidden files, subfolders and other files of a folder are passed over. A single file that is
    neither is listed as an image, so that reading it says what is wrong.

    Raises FileNotFoundError for a missing path, ValueError for a folder without an image or video.
    """
    path = Path(path)
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        return [Input(path, input_kind(path) or "image")]
    inputs = []
    for child in sorted(path.iterdir()):
        if not child.name.startswith(".") and not child.is_dir() and (kind := input_kind(child)):
            inputs.append(Input(child, kind))
    if not inputs:
        raise ValueError(f"{path}: the folder holds no image and no video")
    return inputs


def input_kind(path: str | os.PathLike) -> str | None:
    """ "image", "video" or None, by content, or by suffix where the content is unknown or unreadable."""
    path = Path(path)
    head = _head(path)
    if image_kind(head):
        return "image"
    if video_kind(head):
        return "video"
    suffix = path.suffix.lower()
    return "image" if suffix in IMAGE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else None


def _head(path: Path) -> bytes:
    try:
        # Opening a pipe would block.
        if not path.is_file():
            return b""
        with open(path, "rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError:
        return b""
