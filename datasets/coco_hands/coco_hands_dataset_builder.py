"""COCO-WholeBody's hands as TFDS: all labelled hands of a photograph, in 2D."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from datasets import json_stream, labels, manual, schema

HOMEPAGE = "https://github.com/jin-s13/COCO-WholeBody (annotations) and https://cocodataset.org (pictures of 2017)"
MAX_HANDS = 40
"""Slots of a picture. If there are more hands, the largest are kept, and how many were not is logged."""
SPLITS = ("train", "val")
SIDES = {"left": schema.LEFT, "right": schema.RIGHT}
CONVENTIONS = {
    "keypoints": "COCO-WholeBody's own order, which is ours; valid where its third number is above 0; no 3D",
    "pixels": "keypoints count pixels from 0 at a centre and are shifted by half a pixel; boxes are corners already",
    "side": "the person's own left and right",
    "slots": f"labelled hands of all persons, at most {MAX_HANDS}, largest box first",
    "unlabelled": "crowds and hands that are not marked valid have no slot, though they may be seen",
}


class Hand(NamedTuple):
    """side; box (4,) x0 y0 x1 y1; keypoints (21, 3) x, y, reliability, all as in the file's pixels."""

    side: int
    box: np.ndarray
    keypoints: np.ndarray

    @property
    def area(self) -> float:
        return float(np.prod(self.box[2:] - self.box[:2]))


class Builder(tfds.core.GeneratorBasedBuilder):
    """One example a photograph with at least one labelled hand."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Download coco_wholebody_train_v1.0.json and coco_wholebody_val_v1.0.json, and train2017.zip and val2017.zip, from
    {HOMEPAGE}. manual_dir must hold train2017/ and val2017/ with the pictures and annotations/ with both lists.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=schema.features(MAX_HANDS),
            homepage=HOMEPAGE,
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(CONVENTIONS),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        root = manual.unpacked(dl_manager.manual_dir, "coco")
        parts = {split: {list_of(split): "labels", f"{split}2017": "pictures"} for split in SPLITS}
        splits = manual.present_parts(root, parts, HOMEPAGE)
        return {split: self._generate_examples(root, split) for split in splits}

    def _generate_examples(self, root: epath.Path, split: str) -> Iterator[tuple[int, dict]]:
        hands = hands_of(root / list_of(split))
        pictures = json_stream.items(root / list_of(split), "images")
        records = (image for image in pictures if image["id"] in hands)

        def read(image: dict) -> dict:
            return example(root / f"{split}2017", image, hands[image["id"]])

        found = manual.readable(records, read, name=lambda image: str(image.get("file_name")), homepage=HOMEPAGE)
        for place, (_, one) in enumerate(found):
            yield manual.ordered_key(place, len(hands)), one


def list_of(split: str) -> str:
    return f"annotations/coco_wholebody_{split}_v1.0.json"


def hands_of(path: epath.Path) -> dict[int, list[Hand]]:
    """The labelled hands of each picture by its id; crowds, which have none, are left out. Logs what was."""
    found: dict[int, list[Hand]] = {}
    count = Counter()
    persons = (person for person in json_stream.items(path, "annotations") if not count_crowd(person, count))
    readable = manual.readable(
        persons, hands_of_person, name=lambda one: f"{path.name}, {one.get('id')}", homepage=HOMEPAGE
    )
    for person, hands in readable:
        count.update(persons=1, unlabelled=len(SIDES) - len(hands))
        if hands:
            found.setdefault(person["image_id"], []).extend(hands)
    logging.info(
        "%s: %d persons, %d of their hands without labels, %d crowds left out",
        *(path, count["persons"], count["unlabelled"], count["crowds"]),
    )
    return found


def count_crowd(person: dict, count: Counter) -> bool:
    crowd = bool(person.get("iscrowd"))
    count.update(crowds=int(crowd))
    return crowd


def hands_of_person(person: dict) -> list[Hand]:
    """The hands that are marked valid and have a box or a keypoint."""
    found = []
    for side, number in SIDES.items():
        x, y, width, height = person[f"{side}hand_box"]
        keypoints = np.asarray(person[f"{side}hand_kpts"], np.float32).reshape(21, 3)
        hand = Hand(number, np.array([x, y, x + width, y + height], np.float32), keypoints)
        if person[f"{side}hand_valid"] and (hand.area > 0 or (keypoints[:, 2] > 0).any()):
            found.append(hand)
    return found


def example(folder: epath.Path, image: dict, hands: list[Hand]) -> dict:
    """One photograph."""
    found = schema.blank(MAX_HANDS)
    largest = sorted(hands, key=lambda hand: -hand.area)
    if len(largest) > MAX_HANDS:
        logging.warning(
            "%s: the smallest %d of %d hands are left out", image["file_name"], len(hands) - MAX_HANDS, len(hands)
        )
    for slot, hand in enumerate(largest[:MAX_HANDS]):
        schema.put_hand(
            found,
            slot,
            hand.side,
            box=hand.box,
            keypoints_2d=labels.pixels_from_opencv(hand.keypoints[:, :2]),
            keypoints_2d_valid=hand.keypoints[:, 2] > 0,
        )
    return {"name": image["file_name"], "image": manual.picture(folder / image["file_name"])} | found
