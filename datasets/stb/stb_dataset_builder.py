"""The Stereo Hand Pose Benchmark as TFDS: left hands, three cameras, three rules for the wrist."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from datasets import labels, manual, schema
from datasets.matlab_files import read_mat
from datasets.stb import cameras
from datasets.stb.wrist import WRIST_RULES, wrist_of_palm
from handjax import conventions

HOMEPAGE = "https://github.com/zhjwustc/icip17_stereo_hand_pose_dataset"
FOLDER = "STB"
SEQUENCES = {
    "train": [f"B{number}{kind}" for number in (2, 3, 4, 5, 6) for kind in ("Counting", "Random")],
    "test": ["B1Counting", "B1Random"],
}
IMAGES = {"sk": "SK_color", "bb_left": "BB_left", "bb_right": "BB_right"}
MM = 1e-3
CONVENTIONS = {
    "keypoints": "palm first, little finger to thumb, permuted; mm to metres; labels taken to the picture's camera",
    "pixels": "first pixel centre at (0, 0): principal points are shifted by half a pixel, 2D keypoints projected",
    "sides": "left hands only, kept left",
    "depth": "(red + 256 green) mm of the depth camera, moved to the colour camera's picture; 0 where nothing falls",
}


@dataclasses.dataclass
class StbConfig(tfds.core.BuilderConfig):
    """camera: whose pictures, of `IMAGES`. wrist: what stands in keypoint 0, of `WRIST_RULES`."""

    camera: str = "sk"
    wrist: str = "wrist_mid2.2"


def _config(camera: str, wrist: str) -> StbConfig:
    rule = "keypoint 0 is not labelled" if wrist == "palm" else f"keypoint 0 made of the palm by {wrist}"
    return StbConfig(name=f"{camera}_{wrist}", description=f"{IMAGES[camera]}, {rule}", camera=camera, wrist=wrist)


class Builder(tfds.core.GeneratorBasedBuilder):
    """One left hand a picture. Beside the labels of all sets: palm_2d (1, 2) px and palm_3d (1, 3) metres."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [_config(camera, wrist) for camera in IMAGES for wrist in WRIST_RULES]
    DEFAULT_BUILDER_CONFIG_NAME = "sk_wrist_mid2.2"
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Follow the links of {HOMEPAGE} and unpack, so that manual_dir (or manual_dir/{FOLDER}) holds images/B1Counting ...
    B6Random and labels/B1Counting_BB.mat, B1Counting_SK.mat ... B6Random_SK.mat.
    """

    @property
    def config(self) -> StbConfig:
        assert isinstance(self.builder_config, StbConfig)
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        features = schema.features(1, depth=self.config.camera == "sk")
        palm = {f"palm_{axes}d": tfds.features.Tensor(shape=(1, axes), dtype=np.float32) for axes in (2, 3)}
        metadata = CONVENTIONS | {"camera": self.config.camera, "keypoint_0": self.config.wrist}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({**features, **palm}),
            homepage=HOMEPAGE,
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(metadata),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        root = manual.unpacked(dl_manager.manual_dir, FOLDER)
        needed = {}
        for sequence in SEQUENCES["test"] + SEQUENCES["train"]:
            needed[f"images/{sequence}"] = "pictures"
            needed[f"labels/{sequence}_{self._labels}.mat"] = "keypoints"
        manual.require_files(root, needed, HOMEPAGE)
        logging.warning("stb/%s: %s", self.config.name, self.config.description)
        return {split: self._generate_examples(root, sequences) for split, sequences in SEQUENCES.items()}

    @property
    def _labels(self) -> str:
        return "SK" if self.config.camera == "sk" else "BB"

    def _generate_examples(self, root: epath.Path, sequences: list[str]) -> Iterator[tuple[int, dict]]:
        points = {sequence: read_points(root / f"labels/{sequence}_{self._labels}.mat") for sequence in sequences}
        frames = [(sequence, frame) for sequence in sequences for frame in range(len(points[sequence]))]

        def read(number: int) -> dict:
            sequence, frame = frames[number]
            found = example(root / "images" / sequence, frame, points[sequence][frame], self.config)
            return {"name": name(number)} | found

        def name(number: int) -> str:
            sequence, frame = frames[number]
            return f"{sequence}/{IMAGES[self.config.camera]}_{frame}"

        for number, found in manual.readable(range(len(frames)), read, name=name, homepage=HOMEPAGE):
            yield manual.ordered_key(number, len(frames)), found


def read_points(path: epath.Path) -> np.ndarray:
    """(frames, 21, 3) metres, in STB's order and the frame of its labels. Raises ValueError naming the file."""
    points = read_mat(path, "handPara")
    if points.ndim != 3 or points.shape[:2] != (3, 21):
        raise ValueError(f"{path} must hold handPara of shape (3, 21, frames), got {points.shape}")
    return points.transpose(2, 1, 0).astype(np.float64) * MM


def example(folder: epath.Path, frame: int, labelled: np.ndarray, config: StbConfig) -> dict:
    """One picture: the labels taken to its camera, the palm apart, and the wrist made by the config's rule."""
    points, matrix = in_camera(labelled, config.camera)
    points = conventions.to_common("stb", points)
    palm, wrist = points[0].copy(), wrist_of_palm(points, config.wrist)
    known = np.ones(21, bool) if wrist is not None else conventions.common_valid("stb")
    points[0] = palm if wrist is None else wrist
    found = schema.blank(1)
    found["intrinsics"][:], found["intrinsics_valid"][()] = matrix, True
    labels.put_points(found, 0, schema.LEFT, matrix, points, known)
    found["palm_2d"] = labels.project(matrix, palm[None]).astype(np.float32)
    found["palm_3d"] = palm[None].astype(np.float32)
    pictures: dict = {"image": manual.picture(folder / f"{IMAGES[config.camera]}_{frame}.png")}
    if config.camera == "sk":
        depth = folder / f"SK_depth_{frame}.png"
        metres = depth_of_colors(labels.read_channels(depth.read_bytes(), str(depth)))
        pictures["depth"] = cameras.depth_in_color(metres)[..., None]
        found["depth_valid"][()] = True
    return found | pictures


def in_camera(points: np.ndarray, camera: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (21, 3) of the camera's file -> metres in its own frame, and its intrinsics."""
    if camera == "sk":
        return cameras.color_from_depth(points), cameras.COLOR
    return points if camera == "bb_left" else cameras.right_from_left(points), cameras.BUMBLEBEE


def depth_of_colors(colors: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) metres of the depth camera: red is the low byte of millimetres, green the high one."""
    low, high = colors[..., 0].astype(np.float64), colors[..., 1].astype(np.float64)
    return (low + 256 * high) * MM
