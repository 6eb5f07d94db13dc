"""Writes a tiny data set in the layout of COCO-WholeBody beside the pictures of COCO 2017.

Fields: data_format.md and evaluation/example_gt.json of jin-s13/COCO-WholeBody.
"""

import json
from pathlib import Path

import cv2
import numpy as np

from tests.dataset_fixtures import named_hand

HEIGHT, WIDTH = 40, 56
BOX = [10.0, 20.0, 30.0, 15.5]
"""x, y, width, height."""


def keypoints(x: float, y: float) -> list[float]:
    """x, y, v 21 times: joint k at (x + k, y - k / 2); joint 4 is not labelled, v of joint 5 is a float."""
    found = []
    for joint in range(21):
        found += [0.0, 0.0, 0.0] if joint == 4 else [x + joint, y - joint / 2, 0.7 if joint == 5 else 1]
    return found


def person(number: int, image: int, *, left=None, right=None, crowd: int = 0) -> dict:
    """left, right: (box, keypoints), or None, of which the file says zeros and not valid."""
    found = {"id": number, "image_id": image, "category_id": 1, "iscrowd": crowd, "bbox": [1, 2, 50, 35], "area": 900}
    for side, hand in (("left", left), ("right", right)):
        box, points = hand or ([0.0] * 4, [0.0] * 63)
        found |= {f"{side}hand_box": box, f"{side}hand_kpts": points, f"{side}hand_valid": hand is not None}
    return found


def write(root: Path) -> None:
    """Train: picture 9 of two persons, 25 of a crowd and a person without hands. Val: picture 139, grey."""
    small = [5.0, 6.0, 7.0, 8.0]
    persons = [
        person(1, 9, left=(small, keypoints(5, 14)), right=(BOX, keypoints(12.5, 30))),
        person(2, 25),
        person(3, 25, left=(BOX, keypoints(1, 20)), crowd=1),
        person(4, 9, right=([30.0, 4.0, 9.0, 9.0], keypoints(30, 12))),
    ]
    write_split(root, "train", [9, 25], persons)
    write_split(root, "val", [139], [person(5, 139, left=(BOX, keypoints(12.5, 30)))])


def write_split(root: Path, split: str, pictures: list[int], persons: list[dict]) -> None:
    images = []
    for picture in pictures:
        name = f"{picture:012d}.jpg"
        write_picture(root / f"{split}2017" / name, shade=picture)
        images.append({"id": picture, "file_name": name, "height": HEIGHT, "width": WIDTH, "license": 1})
    whole = {"info": {"description": "a fixture"}, "licenses": [], "images": images, "annotations": persons}
    whole["categories"] = [{"id": 1, "name": "person"}]
    path = root / "annotations" / f"coco_wholebody_{split}_v1.0.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole))


def write_picture(path: Path, shade: int) -> None:
    """COCO has some grey pictures, of one channel."""
    named_hand.write_color(path, HEIGHT, WIDTH, shade)
    if shade == 139:
        assert cv2.imwrite(str(path), np.full((HEIGHT, WIDTH), shade, np.uint8))
