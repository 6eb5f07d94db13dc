"""Writes a tiny data set in the layout of EgoHands.

Folders and names: get_frame_path.py of shondle/EgoHands_Dataset and the set's README; fields of metadata.mat and their
order: get_meta_by.py and get_bounding_boxes.py there, which follow the set's own MATLAB functions.
"""

from pathlib import Path

import cv2
import numpy as np
import scipy.io

WIDTH, HEIGHT = 1280, 720
VIDEOS = ("CARDS_COURTYARD_B_T", "CHESS_OFFICE_S_B")
VIDEO_FIELDS = ("video_id", "partner_video_id", "ego_viewer_id", "partner_id", "location_id", "activity_id")
NONE = np.zeros((0, 0))
"""How a hand that is not to be seen is stored."""


def frames(video: int) -> list[dict]:
    """x, y counted from 1, as MATLAB does."""
    triangle = np.array([(10.2, 20.4), (50.7, 20.4), (50.7, 80.6)])
    beyond = np.array([(1200.0, 600.0), (1290.0, 600.0), (1290.0, 725.0), (1200.0, 725.0)])
    square = np.array([(101.0, 201.0), (110.0, 201.0), (110.0, 210.0), (101.0, 210.0)])
    nearer = square + 5
    alone = {"frame_num": 11.0 + video, "myleft": triangle, "myright": NONE, "yourleft": NONE, "yourright": NONE}
    more = {"frame_num": 345.0, "myleft": NONE, "myright": nearer, "yourleft": beyond, "yourright": square}
    nobody = {"frame_num": 2345.0, "myleft": NONE, "myright": NONE, "yourleft": NONE, "yourright": NONE}
    return [alone, more, nobody]


def write(root: Path) -> None:
    folder = root / "egohands"
    fields = [(name, object) for name in (*VIDEO_FIELDS, "labelled_frames")]
    metadata = np.zeros((1, len(VIDEOS)), fields)
    for number, video in enumerate(VIDEOS):
        labelled = frames(number)
        stored = np.zeros((1, len(labelled)), [(name, object) for name in labelled[0]])
        for place, frame in enumerate(labelled):
            stored[0, place] = tuple(frame.values())
            write_picture(folder / "_LABELLED_SAMPLES" / video / f"frame_{int(frame['frame_num']):04d}.jpg", 30 * place)
        activity, location, viewer, partner = video.split("_")
        other = f"{activity}_{location}_{partner}_{viewer}"
        metadata[0, number] = (video, other, viewer, partner, location, activity, stored)
    scipy.io.savemat(folder / "metadata.mat", {"video": metadata})


def write_picture(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), shade, np.uint8))
