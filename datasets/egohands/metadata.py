"""EgoHands' metadata.mat: videos, their labelled frames, and a polygon for each hand."""

from typing import NamedTuple

import numpy as np
from etils import epath

from datasets.matlab_files import read_mat

HANDS = ("myleft", "myright", "yourleft", "yourright")
"""The viewer's own hands, then the partner's."""


class Frame(NamedTuple):
    """number: of the file. polygons: for each of `HANDS` (n, 2) float64 x, y counted from 1 as MATLAB does; n = 0
    where the hand is not to be seen."""

    number: int
    polygons: tuple[np.ndarray, ...]


def read_videos(path: epath.Path) -> dict[str, list[Frame]]:
    """Video id -> its labelled frames. Raises ValueError naming the file if it is not EgoHands' metadata.mat."""
    videos = read_mat(path, "video").ravel()
    try:
        return {
            str(video["video_id"].item()): [_frame(frame) for frame in video["labelled_frames"].ravel()]
            for video in videos
        }
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"{path} must hold the videos and labelled frames of EgoHands: {error}") from error


def pixels_of_matlab(polygon: np.ndarray) -> np.ndarray:
    """x, y whose first pixel centre is (1, 1), as MATLAB counts -> ours, where it is (0.5, 0.5)."""
    return polygon - 0.5


def box_of_polygon(polygon: np.ndarray, width: int, height: int) -> np.ndarray:
    """(4,) x0 y0 x1 y1 px: from the near edge of the first pixel to the far edge of the last.

    The pixels are those of EgoHands' own getBoundingBoxes: corners rounded and cut to [1, width] x [1, height].
    """
    corners = np.floor(np.stack([polygon.min(0), polygon.max(0)]) + 0.5)
    first, last = np.clip(corners, 1, [width, height])
    return np.concatenate([first - 1, last]).astype(np.float32)


def _frame(stored: np.void) -> Frame:
    polygons = [np.asarray(stored[hand], np.float64) for hand in HANDS]
    return Frame(
        int(stored["frame_num"].item()),
        tuple(polygon.reshape(-1, 2) if polygon.size else np.zeros((0, 2)) for polygon in polygons),
    )
