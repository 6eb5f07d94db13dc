"""DeepHandMesh's multi-view studio as TFDS: one example for each frame and camera."""

import dataclasses
import re
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from datasets import labels, manual, schema
from datasets.deephandmesh.sequences import split_of
from datasets.deephandmesh.studio_files import StudioCamera, read_cameras, read_depth, read_points
from handjax import conventions

HOMEPAGE = "https://mks0601.github.io/DeepHandMesh/"
FOLDERS = ("DeepHandMesh/data", "data")
NOMINAL_WIDTH, NOMINAL_HEIGHT = 334, 512
"""Of the pictures to which the intrinsics belong."""
COLOR_CAMERAS = "40"
SIDES = ("left", "right")
CONVENTIONS = {
    "keypoints": "tip to base, wrist last, permuted; world millimetres to camera, metres; thumb 1 is the set's thumb1",
    "pixels": "first pixel centre at (0, 0): principal points are shifted by half a pixel, then scaled to the picture; "
    "distortion is not applied",
    "splits": "the hands of the sequence by its name, ranges of motion apart; frames without keypoints are left out",
    "depth": "mm to metres, scaled to the picture by nearest pixels",
}


@dataclasses.dataclass
class StudioConfig(tfds.core.BuilderConfig):
    """cameras: only those whose name starts so."""

    cameras: str = ""


class View(NamedTuple):
    """One picture; digits are the frame's, with the zeros of the file's name."""

    subject: str
    sequence: str
    camera: str
    digits: str

    @property
    def name(self) -> str:
        return f"{self.subject}/{self.sequence}/cam{self.camera}/image{self.digits}"


class Builder(tfds.core.GeneratorBasedBuilder):
    """Slot 0 is the left hand, slot 1 the right one. Beside the labels of all sets: camera_rotation (3, 3) and
    camera_translation (3,) metres, from the studio's frame to the camera's."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        StudioConfig(name="color", description="Colour cameras", cameras=COLOR_CAMERAS),
        StudioConfig(name="all_cameras", description="Colour and grey cameras"),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Download KRT_512, the keypoints, depth maps and images from {HOMEPAGE}, join and unpack them with the scripts that
    come with them, so that manual_dir (or manual_dir/data) holds annotations/KRT_512, annotations/keypoints/subject_4,
    annotations/depthmaps/subject_4 and images/subject_4.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        pose = {
            "camera_rotation": tfds.features.Tensor(shape=(3, 3), dtype=np.float32),
            "camera_translation": tfds.features.Tensor(shape=(3,), dtype=np.float32),
        }
        features = tfds.features.FeaturesDict({**schema.features(len(SIDES), depth=True), **pose})
        return self.dataset_info_from_configs(
            features=features,
            homepage=HOMEPAGE,
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(CONVENTIONS),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        root = manual.unpacked(dl_manager.manual_dir, *FOLDERS)
        needed = {"annotations/KRT_512": "cameras", "annotations/keypoints": "keypoints", "images": "pictures"}
        manual.require_files(root, needed, HOMEPAGE)
        cameras = read_cameras(root / "annotations/KRT_512")
        assert isinstance(self.builder_config, StudioConfig)
        chosen = {name: camera for name, camera in cameras.items() if name.startswith(self.builder_config.cameras)}
        splits = labelled_views(root, chosen)
        if not splits:
            raise FileNotFoundError(
                f"{root} must hold a picture images/<subject>/<sequence>/cam{COLOR_CAMERAS}.../image<frame>.jpg with "
                f"its annotations/keypoints/<subject>/keypoints<frame>.pts, got none: get both from {HOMEPAGE}"
            )
        return {split: self._generate_examples(root, views, chosen) for split, views in splits.items()}

    def _generate_examples(
        self, root: epath.Path, views: list[View], cameras: dict[str, StudioCamera]
    ) -> Iterator[tuple[int, dict]]:
        def read(number: int) -> dict:
            view = views[number]
            return example(root, view, cameras[view.camera])

        def name(number: int) -> str:
            return views[number].name

        for number, found in manual.readable(range(len(views)), read, name=name, homepage=HOMEPAGE):
            yield manual.ordered_key(number, len(views)), found


def labelled_views(root: epath.Path, cameras: dict[str, StudioCamera]) -> dict[str, list[View]]:
    """Split -> its pictures. Frames without a file of keypoints are left out, as in the authors' code."""
    splits: dict[str, list[View]] = {}
    unlabelled = 0
    for picture in sorted((root / "images").glob("*/*/cam*/image*.jpg")):
        *_, subject, sequence, folder, file = picture.parts
        split, frame = split_of(subject, sequence), re.fullmatch(r"image(\d+)\.jpg", file)
        if split is None or frame is None or folder.removeprefix("cam") not in cameras:
            continue
        view = View(subject, sequence, folder.removeprefix("cam"), frame[1])
        if points_path(root, view).exists():
            splits.setdefault(split, []).append(view)
        else:
            unlabelled += 1
    if unlabelled:
        logging.warning("%d pictures left out: their frames have no keypoints", unlabelled)
    return splits


def points_path(root: epath.Path, view: View) -> epath.Path:
    return root / f"annotations/keypoints/{view.subject}/keypoints{int(view.digits):04d}.pts"


def example(root: epath.Path, view: View, camera: StudioCamera) -> dict:
    """One picture; a hand is there if a joint of it is labelled. Depth is scaled to the picture, nearest pixels."""
    image = manual.picture(root / f"images/{view.name}.jpg")
    height, width = manual.picture_size(image)
    matrix = labels.scale_intrinsics(camera.intrinsics, width / NOMINAL_WIDTH, height / NOMINAL_HEIGHT)
    joints = read_points(points_path(root, view)) @ camera.rotation.T + camera.translation

    found = schema.blank(len(SIDES))
    found["intrinsics"][:], found["intrinsics_valid"][()] = matrix, True
    for slot, side in enumerate(SIDES):
        # The two hands are stacked as InterHand2.6M stacks them.
        points = conventions.to_common("deephandmesh", conventions.one_hand("interhand", joints, side))
        known = np.isfinite(points).all(-1)
        if known.any():
            labels.put_points(found, slot, slot, matrix, points, known)
    depth = np.zeros((height, width), np.float32)
    stored = root / f"annotations/depthmaps/{view.subject}/{int(view.digits):06d}/depthmap{view.camera}.pkl"
    if stored.exists():
        depth = cv2.resize(read_depth(stored), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        found["depth_valid"][()] = True
    pose = {
        "camera_rotation": camera.rotation.astype(np.float32),
        "camera_translation": camera.translation.astype(np.float32),
    }
    return {"name": view.name, "image": image, "depth": depth[..., None]} | pose | found
