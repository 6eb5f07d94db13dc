"""EgoHands as TFDS: boxes and masks of up to four hands of two people."""

import json
from collections.abc import Iterator, Mapping

import cv2
import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from datasets import manual, schema
from datasets.egohands.metadata import HANDS, Frame, box_of_polygon, pixels_of_matlab, read_videos
from handjax.camera import to_opencv_pixels

HOMEPAGE = "http://vision.soic.indiana.edu/projects/egohands/"
FOLDER = "egohands"
SAMPLES = "_LABELLED_SAMPLES"
SPLITS_FILE = "splits.json"
UNSPLIT, REST = "labelled", "rest"
SIDES = tuple(schema.LEFT if hand.endswith("left") else schema.RIGHT for hand in HANDS)
CONVENTIONS = {
    "slots": "the viewer's own left and right hand, then the partner's left and right",
    "pixels": "polygons count from 1, as MATLAB does: shifted by half a pixel",
    "boxes": "rounded and cut as by the set's own getBoundingBoxes, then from edge to edge of the pixels",
    "mask": "filled polygons, the viewer's own hands in front",
}
_SUBPIXEL_BITS = 4


class Builder(tfds.core.GeneratorBasedBuilder):
    """Slots 0 and 1 are the viewer's own left and right hand, 2 and 3 the partner's."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Download egohands_data.zip from {HOMEPAGE} and unpack it into manual_dir (or manual_dir/{FOLDER}), so that
    it holds metadata.mat and the folder {SAMPLES}. All videos are then in one split, {UNSPLIT}. For others write
    {SPLITS_FILE} beside metadata.mat, as {{"train": ["CARDS_COURTYARD_B_T", ...], "test": [...]}}: the published ids
    are in getMetaBy.m of the archive.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        features = schema.features(len(HANDS), mask=True)
        return self.dataset_info_from_configs(
            features=features,
            homepage=HOMEPAGE,
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(CONVENTIONS),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        root = manual.unpacked(dl_manager.manual_dir, FOLDER)
        manual.require_files(root, {"metadata.mat": "polygons of all frames", SAMPLES: "pictures"}, HOMEPAGE)
        videos = read_videos(root / "metadata.mat")
        manual.require_files(root / SAMPLES, dict.fromkeys(videos, "pictures of a video"), HOMEPAGE)
        splits = read_splits(root / SPLITS_FILE, videos)
        return {
            split: self._generate_examples(root / SAMPLES, {video: videos[video] for video in chosen})
            for split, chosen in splits.items()
        }

    def _generate_examples(self, root: epath.Path, videos: Mapping[str, list[Frame]]) -> Iterator[tuple[int, dict]]:
        records = [(video, frame) for video, frames in videos.items() for frame in frames]

        def read(number: int) -> dict:
            return {"name": name(number)} | example(root / f"{name(number)}.jpg", records[number][1])

        def name(number: int) -> str:
            video, frame = records[number]
            return f"{video}/frame_{frame.number:04d}"

        for number, found in manual.readable(range(len(records)), read, name=name, homepage=HOMEPAGE):
            yield manual.ordered_key(number, len(records)), found


def read_splits(path: epath.Path, videos: Mapping[str, list[Frame]]) -> dict[str, list[str]]:
    """{split: video ids} of a user's file with the others as `rest`; without a file all are `labelled`.

    Raises ValueError for ids that no video has, or that are listed twice.
    """
    if not path.exists():
        return {UNSPLIT: list(videos)}
    splits = json.loads(path.read_text())
    if not isinstance(splits, dict) or not all(isinstance(chosen, list) for chosen in splits.values()):
        raise ValueError(f"{path} must be a dict of lists of video ids")
    listed = [video for chosen in splits.values() for video in chosen]
    wrong = sorted({str(video) for video in listed if video not in videos or listed.count(video) > 1})
    if wrong:
        raise ValueError(f"{path} must list videos of metadata.mat, each once, got {', '.join(wrong)}")
    rest = [video for video in videos if video not in listed]
    return splits | ({REST: rest} if rest else {})


def example(picture: epath.Path, frame: Frame) -> dict:
    """One picture: a hand is there if it has a polygon."""
    image = manual.picture(picture)
    height, width = manual.picture_size(image)
    found = schema.blank(len(HANDS))
    mask = np.zeros((height, width), np.uint8)
    # The viewer's own hands are nearer, so they are painted last.
    for slot in reversed(range(len(HANDS))):
        polygon = frame.polygons[slot]
        if len(polygon):
            schema.put_hand(found, slot, SIDES[slot], box=box_of_polygon(polygon, width, height))
            paint(mask, pixels_of_matlab(polygon), slot + 1)
    found["mask_valid"][()] = True
    return found | {"image": image, "mask": mask[..., None]}


def paint(mask: np.ndarray, polygon: np.ndarray, value: int) -> None:
    """Sets the pixels inside and on the border of a polygon (n, 2) in our pixels."""
    corners = np.round(np.asarray(to_opencv_pixels(polygon)) * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [corners], value, shift=_SUBPIXEL_BITS)
