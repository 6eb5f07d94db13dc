"""`python -m launch.real_sets --real_hands=DIR --data_dir=DIR`: photographs with 2D landmarks as sets to train on.

TFDS sets landmarked/digits (photos that one hand fills), landmarked/hands (all others) and landmarked/whole (of these,
pictures of which every hand is known, for detection): images, 2D keypoints and sides, and nothing else.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import tensorflow_datasets as tfds
from absl import app, flags

from datasets import manual, schema
from handjax.images import read_image
from launch import real_hands

LONGEST = 512
"""Pixels: larger pictures are shrunk."""
FILLED = ("sign_digits",)
MARGIN = 0.5
"""Of the longer side, by which a picture that its hand fills is continued with its own border, on each side."""
SLOTS = 2


class Landmarked(tfds.core.GeneratorBasedBuilder):
    """Pictures of `real_hands.pictures`, given when it is made."""

    VERSION = tfds.core.Version("1.0.0")
    name = "landmarked"

    def __init__(self, *, pictures: Sequence[real_hands.Picture] = (), **options):
        self._pictures = pictures
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Photographs of real hands with 2D landmarks that a tool made.",
            features=schema.features(SLOTS),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict]]:
        for number, picture in enumerate(self._pictures):
            image, keypoints = fitted(picture)
            labels = schema.blank(SLOTS)
            for slot, (hand, points) in enumerate(zip(picture.hands[:SLOTS], keypoints, strict=False)):
                side = schema.RIGHT if hand.right else schema.LEFT
                schema.put_hand(labels, slot, side, keypoints_2d=points)
            example = labels | {"image": image, "name": "/".join(picture.path.parts[-3:])}
            yield manual.ordered_key(number, len(self._pictures)), example


def fitted(picture: real_hands.Picture) -> tuple[np.ndarray, list[np.ndarray]]:
    """The picture (H, W, 3) RGB, shrunk or continued, and each hand's keypoints (21, 2) px in it."""
    image = read_image(picture.path)
    keypoints = [hand.keypoints_px for hand in picture.hands]
    if picture.hands[0].set_name in FILLED:
        margin = int(MARGIN * max(image.shape[:2]))
        image = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        keypoints = [points + margin for points in keypoints]
    factor = LONGEST / max(image.shape[:2])
    if factor < 1:
        size = (round(factor * image.shape[1]), round(factor * image.shape[0]))
        across, down = size[0] / image.shape[1], size[1] / image.shape[0]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        keypoints = [points * np.array([across, down], np.float32) for points in keypoints]
    return image, keypoints


def build(folder: str, data_dir: str) -> list[Path]:
    """-> the folders of the sets that are not empty, built unless they are there. What `real_hands` holds out is not in
    them."""
    every = real_hands.pictures(real_hands.read(folder, part="training"))
    filled = [one for one in every if one.hands[0].set_name in FILLED]
    others = [one for one in every if one.hands[0].set_name not in FILLED]
    kinds = {"digits": filled, "hands": others, "whole": [one for one in others if one.complete]}
    built = []
    for kind, pictures in kinds.items():
        if not pictures:
            continue
        config = tfds.core.BuilderConfig(name=kind)
        builder = Landmarked(pictures=pictures, config=config, data_dir=data_dir, file_format="array_record")
        if not builder.is_prepared():
            builder.download_and_prepare(file_format="array_record")
        built.append(Path(builder.data_path))
    return built


def main(arguments: list[str]) -> None:
    for folder in build(FLAGS.real_hands, FLAGS.data_dir):
        print(folder)


FLAGS = flags.FLAGS

if __name__ == "__main__":
    flags.DEFINE_string("real_hands", None, "Folder as `launch.real_hands` reads it.", required=True)
    flags.DEFINE_string("data_dir", "data", "Where the sets are put.")
    app.run(main)
