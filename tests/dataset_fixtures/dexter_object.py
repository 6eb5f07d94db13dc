"""Writes tiny data sets in the layouts of Dexter+Object and EgoDexter.

Folders, names and fields: dataset/dexter_object.py of OlgaChernytska/3D-Hand-Pose-Estimation; 32001, the depth
camera and EgoDexter: datasets/dexter_object.py and datasets/egodexter.py of MengHao666/Minimal-Hand-pytorch.
"""

from pathlib import Path

import cv2
import numpy as np

DEPTH_FOCAL, DEPTH_CENTER = (224.502, 230.494), (160.0, 120.0)
SEQUENCES = ("Grasp1", "Grasp2", "Occlusion", "Pinch", "Rigid", "Rotate")
EGODEXTER = ("Desk", "Fruits", "Kitchen", "Rotunda")


def tips(frame: int) -> np.ndarray:
    """(5, 3) mm in the depth camera with y down, z forward: thumb, index, middle, ring, little."""
    return np.array([(30 - 25 * k + frame, 20 - 15 * k, 400 + 10 * k) for k in range(5)], np.float64)


def pixels(points: np.ndarray) -> np.ndarray:
    return points[:, :2] / points[:, 2:] * DEPTH_FOCAL + DEPTH_CENTER


def line(rows, end: str = "") -> str:
    return "; ".join(", ".join(f"{value:g}" for value in row) for row in rows) + end + "\n"


def write(root: Path) -> None:
    """Frame 2 of each sequence misses the thumb, frame 3 all tips. A sixth field is a corner of the object."""
    for sequence in SEQUENCES:
        folder = root / "dexter+object" / "data" / sequence
        (folder / "annotations").mkdir(parents=True)
        texts = {"2D": "", "3D": ""}
        for frame in (1, 2, 3):
            write_picture(folder / "color" / f"Color_{frame:04d}.bmp", 40 * frame)
            # In the files x grows to the left and y upwards, against the axes of the picture.
            raw = tips(frame) * (-1, -1, 1)
            raw[[] if frame == 1 else [0] if frame == 2 else slice(None), 2] = 32001
            texts["3D"] += line([*raw, (1, 2, 3)])
            texts["2D"] += line(pixels(tips(frame)))
        for kind, text in texts.items():
            (folder / "annotations" / f"{sequence}{kind}.txt").write_text(text)


def write_egodexter(root: Path) -> None:
    """A trailing empty field; missing are (0, 0, 0) in 3D and (-1, -1) in 2D. Frame 2 has no label at all."""
    for sequence in EGODEXTER:
        folder = root / "EgoDexter" / "data" / sequence
        (folder / "depth").mkdir(parents=True)
        flat, deep = "", ""
        for frame in (1, 2, 3):
            write_picture(folder / "color" / f"image_{frame:05d}_color.png", 40 * frame)
            known = frame != 2
            seen, points = pixels(tips(frame)), tips(frame)
            if frame == 3:
                seen[4], points[4] = -1, 0
            flat += line(seen if known else np.full((5, 2), -1), end=";")
            deep += line(points if known else np.zeros((5, 3)), end=";")
        (folder / "annotation.txt").write_text(flat)
        (folder / "annotation.txt_3D.txt").write_text(deep)


def write_picture(path: Path, shade: int) -> None:
    """Small: the real ones are 640 x 480. The upper left pixel is red."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((24, 32, 3), shade, np.uint8)
    picture[0, 0] = (0, 0, 250)
    assert cv2.imwrite(str(path), picture)
