"""Reading a video frame by frame; a damaged frame is named and the next one follows."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from handjax.images import MAX_PIXELS, quiet_opencv

# Formats whose header counts the frames; for others the count is a guess from the duration.
COUNTED_CONTAINERS = frozenset({"AVI", "MP4"})
# How many reads in a row must fail before a video counts as over: past the end it states, and before it.
READS_PAST_THE_END = 30
READS_BEFORE_THE_END = 1000


class VideoError(ValueError):
    """A file that cannot be read as a video; the message names the file and the reason."""


class VideoInfo(NamedTuple):
    """width, height pixels, upright; fps frames a second; frame_count as the file says, or None if it does not."""

    width: int
    height: int
    fps: float
    frame_count: int | None


class VideoFrame(NamedTuple):
    """Frame `number` from 0 at `time` seconds: image (H, W, 3) uint8 RGB and error None, or the other way round."""

    number: int
    time: float
    image: np.ndarray | None
    error: str | None


def video_kind(head: bytes) -> str | None:
    """Name of the video container whose signature `head` (the first 64 bytes) bears, else None."""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") and b"avif" not in head[8:64]:
        return "MP4"
    signatures = {b"\x1a\x45\xdf\xa3": "Matroska", b"OggS": "Ogg", b"FLV\x01": "FLV", b"\x00\x00\x01\xba": "MPEG"}
    return signatures.get(head[:4])


def video_info(path: str | os.PathLike) -> VideoInfo:
    """Size, rate and length of a video without decoding it. Raises VideoError if it is none."""
    capture = _open(path)
    try:
        return _info(path, capture)
    finally:
        capture.release()


def read_video(path: str | os.PathLike) -> Iterator[VideoFrame]:
    """Yields every frame in order, turned upright as the file says.

    A frame that cannot be decoded is yielded with its error in place of the image. So is, once, the first of the
    frames that an AVI or MP4 file counts but no longer holds. Damage that the decoder smooths over goes unseen.
    Raises VideoError at the first step when the file is missing or is no video.
    """
    capture = _open(path)
    try:
        info = _info(path, capture)
        counted = _container(path) in COUNTED_CONTAINERS
        expected = info.frame_count or 0 if counted else 0
        failed: list[int] = []
        index = 0
        while len(failed) < (READS_BEFORE_THE_END if index < expected else READS_PAST_THE_END):
            read, pixels = capture.read()
            if not read:
                failed.append(index)
            else:
                for lost in failed:
                    yield VideoFrame(lost, lost / info.fps, None, f"{path}: frame {lost} is damaged")
                failed.clear()
                time = max(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0, 0.0)
                yield VideoFrame(index, time, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), None)
            index += 1
        first_failed = failed[0] if failed else index
        if first_failed < expected:
            message = f"{path}: frames {first_failed} to {expected - 1} are missing or damaged; it may be cut off"
            yield VideoFrame(first_failed, first_failed / info.fps, None, message)
    finally:
        capture.release()


def _container(path: str | os.PathLike) -> str | None:
    with open(path, "rb") as stream:
        return video_kind(stream.read(64))


def _open(path: str | os.PathLike) -> cv2.VideoCapture:
    if not Path(path).is_file():
        raise VideoError(f"{path}: {'is a folder' if Path(path).is_dir() else 'no such file'}, not a video")
    # FFmpeg reads this when the first video is opened; without it every damaged frame is reported on stderr too.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with quiet_opencv():
        capture = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise VideoError(f"{path}: not a video that can be decoded (damaged, cut off, or an unknown format)")
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def _info(path: str | os.PathLike, capture: cv2.VideoCapture) -> VideoInfo:
    width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width <= 0 or height <= 0:
        raise VideoError(f"{path}: holds no pictures")
    if width * height > MAX_PIXELS:
        raise VideoError(f"{path}: {width} x {height} pixels are more than the limit of {MAX_PIXELS}")
    fps = capture.get(cv2.CAP_PROP_FPS)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    # A file without a rate says 0 or nonsense; 30 is what players assume.
    return VideoInfo(width, height, fps if 0 < fps <= 1000 else 30.0, count if count > 0 else None)
