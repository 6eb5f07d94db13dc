"""Videos are read frame by frame; damaged frames are named, and those after them keep their numbers."""

import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from handjax.inputs import input_kind
from handjax.video import VideoError, read_video, video_info

FRAMES = 12
ROOT = Path(__file__).resolve().parents[1]


def shade(number: int) -> int:
    return 20 * number + 10


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Twelve frames of 64 x 48, red level `shade(number)`, as Motion JPEG in AVI and as MPEG-4 in MP4."""
    folder = tmp_path_factory.mktemp("videos")
    for name, code in (("whole.avi", "MJPG"), ("whole.mp4", "mp4v")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*code), 10, (64, 48))
        if not writer.isOpened():
            pytest.skip(f"this OpenCV cannot write {name}")
        for number in range(FRAMES):
            writer.write(np.full((48, 64, 3), (0, 0, shade(number)), np.uint8))
        writer.release()
    return folder


def frame_starts(avi: bytes) -> list[tuple[int, int]]:
    """(start, length) of each frame's data, from the chunk headers between `movi` and the index."""
    spans, position = [], avi.find(b"00dc", avi.find(b"movi"))
    while avi[position : position + 4] == b"00dc":
        (length,) = struct.unpack_from("<I", avi, position + 4)
        spans.append((position + 8, length))
        position += 8 + length + length % 2
    return spans


def overwrite(avi: bytes, number: int) -> bytes:
    start, length = frame_starts(avi)[number]
    return avi[:start] + bytes(length) + avi[start + length :]


@pytest.mark.parametrize("name", ["whole.avi", "whole.mp4"])
def test_every_frame_comes_in_order_as_rgb_with_its_time(videos, name):
    frames = list(read_video(videos / name))
    assert [frame.number for frame in frames] == list(range(FRAMES))
    assert all(frame.error is None for frame in frames)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(FRAMES) / 10, atol=1e-3)
    for frame in frames:
        assert frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8
        np.testing.assert_allclose(frame.image[24, 32], [shade(frame.number), 0, 0], atol=8)


def test_info_says_size_rate_and_length(videos):
    assert video_info(videos / "whole.avi") == (64, 48, 10.0, FRAMES)


@pytest.mark.parametrize("damaged", [[0], [4], [4, 5, 9]])
def test_damaged_frame_is_named_and_the_rest_keep_their_numbers(videos, damaged, tmp_path):
    avi = (videos / "whole.avi").read_bytes()
    for number in damaged:
        avi = overwrite(avi, number)
    path = tmp_path / "damaged.avi"
    path.write_bytes(avi)
    frames = list(read_video(path))
    assert [frame.number for frame in frames] == list(range(FRAMES))
    for frame in frames:
        if frame.number in damaged:
            assert frame.image is None and frame.error == f"{path}: frame {frame.number} is damaged"
        else:
            np.testing.assert_allclose(frame.image[24, 32], [shade(frame.number), 0, 0], atol=8)


def test_nothing_is_printed_about_broken_videos(videos, tmp_path):
    (tmp_path / "damaged.avi").write_bytes(overwrite((videos / "whole.avi").read_bytes(), 4))
    (tmp_path / "none.mp4").write_bytes(b"hello")
    # In a process of its own, since FFmpeg takes its verbosity from the first video that a process opens.
    script = f"""
from handjax.video import VideoError, read_video
assert sum(frame.image is None for frame in read_video({str(tmp_path / "damaged.avi")!r})) == 1
try:
    next(read_video({str(tmp_path / "none.mp4")!r}))
except VideoError:
    print("refused")
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (result.stdout, result.stderr) == ("refused\n", "")


def test_cut_off_video_gives_its_frames_and_says_which_are_missing(videos, tmp_path):
    avi = (videos / "whole.avi").read_bytes()
    start, length = frame_starts(avi)[7]
    path = tmp_path / "cut.avi"
    path.write_bytes(avi[: start + length // 4])
    *whole, last = read_video(path)
    assert [frame.number for frame in whole] == list(range(7))
    assert last.image is None and "frames 7 to 11 are missing or damaged" in last.error


def test_rotation_of_the_file_is_honoured(videos, tmp_path):
    mp4 = bytearray((videos / "whole.mp4").read_bytes())
    matrix = mp4.find(b"tkhd") + 4 + 40
    assert struct.unpack_from(">9i", mp4, matrix)[0] == 1 << 16
    struct.pack_into(">4i", mp4, matrix, 0, 1 << 16, 0, -(1 << 16))
    struct.pack_into(">i", mp4, matrix + 16, 0)
    path = tmp_path / "turned.mp4"
    path.write_bytes(mp4)
    assert video_info(path)[:2] == (48, 64)
    assert next(read_video(path)).image.shape == (64, 48, 3)


def test_stopping_early_is_allowed(videos):
    frames = read_video(videos / "whole.avi")
    assert next(frames).number == 0
    frames.close()


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"RIFF\xff\xff\xff\xffAVI LIST", b"\x00\x00\x00\x18ftypmp42" + bytes(90)]
)
def test_file_that_is_no_video_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match="clip.mp4: not a video that can be decoded"):
        next(read_video(path))
    with pytest.raises(VideoError, match="clip.mp4"):
        video_info(path)


def test_missing_file_and_folder_are_errors(tmp_path):
    with pytest.raises(VideoError, match="no such file"):
        video_info(tmp_path / "missing.mp4")
    with pytest.raises(VideoError, match="is a folder"):
        video_info(tmp_path)


@pytest.mark.parametrize("name", ["whole.avi", "whole.mp4"])
def test_video_is_known_by_its_content(videos, tmp_path, name):
    path = tmp_path / "clip.jpg"
    path.write_bytes((videos / name).read_bytes())
    assert input_kind(path) == "video"
