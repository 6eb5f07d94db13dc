"""Dexter+Object and EgoDexter as TFDS: fingertips of a left hand, for tests only."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from datasets import labels, manual, schema
from datasets.dexter_object.annotations import axis_signs, known_points, read_tips
from handjax import conventions

MM = 1e-3
CONVENTIONS = {
    "keypoints": "tips of thumb to little finger only; mm to metres, to the colour camera by the published matrix",
    "keypoints_2d": "the 3D tips projected into the colour picture: approximate, as that calibration is",
    "pixels": "first pixel centre at (0, 0): principal points are shifted by half a pixel",
    "sides": "left hands only",
    "frames": "those without any fingertip are left out",
}


@dataclasses.dataclass
class DexterConfig(tfds.core.BuilderConfig):
    """Where one of the two keeps what, below `folder`/<sequence>, and its colour camera as published.

    from_depth: (3, 4) rotation and millimetres from the depth camera's OpenCV axes to the colour camera's.
    """

    homepage: str = ""
    folder: str = ""
    sequences: tuple[str, ...] = ()
    tips_2d: str = ""
    tips_3d: str = ""
    color: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))
    from_depth: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3, 4))


DEXTER_OBJECT = DexterConfig(
    name="dexter_object",
    description="Dexter+Object (Sridhar et al., ECCV 2016)",
    homepage="https://handtracker.mpi-inf.mpg.de/projects/RealtimeHO/dexter+object.htm",
    folder="dexter+object/data",
    sequences=("Grasp1", "Grasp2", "Occlusion", "Pinch", "Rigid", "Rotate"),
    tips_2d="annotations/{}2D.txt",
    tips_3d="annotations/{}3D.txt",
    color=labels.pinhole(587.45209, 600.67456, 325, 249),
    from_depth=np.array(
        [
            [0.9999, 0.0034, 0.0161, 19.0473],
            [-0.0033, 1.0000, -0.0079, -1.8514],
            [-0.0162, 0.0079, 0.9998, -4.7501],
        ]
    ),
)
EGODEXTER = DexterConfig(
    name="egodexter",
    description="EgoDexter (Mueller et al., ICCV 2017)",
    homepage="https://handtracker.mpi-inf.mpg.de/projects/OccludedHands/EgoDexter.htm",
    folder="EgoDexter/data",
    sequences=("Desk", "Fruits", "Kitchen", "Rotunda"),
    tips_2d="annotation.txt",
    tips_3d="annotation.txt_3D.txt",
    color=labels.pinhole(617.173, 617.173, 315.453, 242.259),
    from_depth=np.array(
        [
            [1.0, 0.00090442, -0.0074, 20.2365],
            [-0.00071933, 0.9997, 0.0248, 1.2846],
            [0.0075, -0.0248, 0.9997, 5.7360],
        ]
    ),
)


Record = tuple[epath.Path, np.ndarray]
"""A colour picture and (5, 3) metres in the depth camera's OpenCV axes, NaN where unknown."""


class Builder(tfds.core.GeneratorBasedBuilder):
    """One left hand a picture, of which at most the five fingertips are known."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [DEXTER_OBJECT, EGODEXTER]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    dexter_object: unpack the archive of {DEXTER_OBJECT.homepage},
    so that manual_dir (or manual_dir/{DEXTER_OBJECT.folder}) holds Grasp1/color, Grasp1/annotations/Grasp13D.txt ...
    egodexter: unpack the archive of {EGODEXTER.homepage},
    so that manual_dir (or manual_dir/{EGODEXTER.folder}) holds Desk/color, Desk/annotation.txt_3D.txt ...
    """

    @property
    def config(self) -> DexterConfig:
        assert isinstance(self.builder_config, DexterConfig)
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=schema.features(1),
            homepage=self.config.homepage,
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(CONVENTIONS),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        config, needed = self.config, {}
        root = manual.unpacked(dl_manager.manual_dir, config.folder)
        for sequence in config.sequences:
            needed[f"{sequence}/color"] = "pictures"
            needed[f"{sequence}/{config.tips_2d.format(sequence)}"] = "fingertips in the depth picture"
            needed[f"{sequence}/{config.tips_3d.format(sequence)}"] = "fingertips in millimetres"
        manual.require_files(root, needed, config.homepage)
        found = {sequence: labelled_pictures(root / sequence, config) for sequence in config.sequences}
        assert self.info.metadata is not None
        self.info.metadata["axis_signs"] = {sequence: labelled.signs for sequence, labelled in found.items()}
        return {"test": self._generate_examples([record for labelled in found.values() for record in labelled.records])}

    def _generate_examples(self, records: list[Record]) -> Iterator[tuple[int, dict]]:
        def read(number: int) -> dict:
            return {"name": name(number)} | example(*records[number], self.config)

        def name(number: int) -> str:
            picture = records[number][0]
            return f"{picture.parent.parent.name}/{picture.name}"

        for number, found in manual.readable(range(len(records)), read, name=name, homepage=self.config.homepage):
            yield manual.ordered_key(number, len(records)), found


class Labelled(NamedTuple):
    """The pictures of a sequence that have a fingertip, and the signs by which x and y of its files were taken."""

    signs: list[int]
    records: list[Record]


def labelled_pictures(folder: epath.Path, config: DexterConfig) -> Labelled:
    """A sequence's fingertips. Lines of labels go with the pictures in the order of their names.

    Raises ValueError naming the sequence where its 2D and 3D labels do not belong together.
    """
    pictures = sorted((folder / "color").iterdir(), key=lambda path: path.name)
    points, pixels = (
        read_tips(folder / file.format(folder.name), axes) for file, axes in ((config.tips_3d, 3), (config.tips_2d, 2))
    )
    if len(points) != len(pixels):
        raise ValueError(f"{folder} must have as many lines of 2D as of 3D labels, got {len(pixels)} and {len(points)}")
    if len(points) != len(pictures):
        logging.warning("%s: %d pictures but %d lines of labels", folder, len(pictures), len(points))
    signs = axis_signs(pixels, points, str(folder))
    logging.warning("%s: x and y of the labels taken by %+d and %+d", folder, *signs)
    known = known_points(points)
    points = np.where(known[..., None], points * [*signs, 1] * MM, np.nan)
    found = [(picture, tips) for picture, tips, there in zip(pictures, points, known, strict=False) if there.any()]
    return Labelled(signs.astype(int).tolist(), found)


def example(picture: epath.Path, tips: np.ndarray, config: DexterConfig) -> dict:
    """One picture with (5, 3) fingertips, taken to the colour camera and projected into its picture."""
    turn, shift = config.from_depth[:, :3], config.from_depth[:, 3] * MM
    points = conventions.to_common("dexter_object", tips @ turn.T + shift)
    known = conventions.common_valid("dexter_object") & np.isfinite(points).all(-1)
    matrix = labels.intrinsics_from_opencv(config.color)
    found = schema.blank(1)
    found["intrinsics"][:], found["intrinsics_valid"][()] = matrix, True
    labels.put_points(found, 0, schema.LEFT, matrix, points, known)
    # Bitmaps, which TFDS does not decode: stored as PNG.
    return found | {"image": labels.read_rgb(picture.read_bytes(), str(picture))}
