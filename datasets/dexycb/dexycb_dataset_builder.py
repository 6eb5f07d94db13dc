"""DexYCB as TFDS: one hand grasping an object, colour, depth and mask, in the four official setups."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from datasets import hand_models, labels, manual, schema
from datasets.dexycb import labels_file, splits
from handjax.mano.types import HandModel

HOMEPAGE = "https://dex-ycb.github.io"
MILLIMETRE = np.float32(0.001)
SIDES = {"left": schema.LEFT, "right": schema.RIGHT}
CONVENTIONS = {
    "keypoints": "DexYCB's own order, which is ours; metres, OpenCV camera; -1 where the hand is not seen",
    "pixels": "first pixel centre at (0, 0): 2D keypoints and principal points are shifted by half a pixel",
    "mano": "45 principal components about the mean pose, in the camera frame (manopth)",
    "left_betas": "of the released MANO_LEFT as it is: load it with fix_left_shapedirs=False",
    "fingertips": "vertices 745, 317, 444 (left 445), 556, 673 of thumb to little finger",
    "depth": "16-bit millimetres, aligned with the colour picture",
    "mask": "255 of seg, the hand",
}


class Frame(NamedTuple):
    """What is known of a frame before its files are read."""

    place: int
    folder: epath.Path
    number: int
    side: int
    betas: np.ndarray
    intrinsics: np.ndarray

    @property
    def name(self) -> str:
        return "/".join((*self.folder.parts[-3:], f"color_{self.number:06d}"))


class Builder(tfds.core.GeneratorBasedBuilder):
    """One slot, the hand that grasps. Examples are stored in the official order: subject, sequence, camera, frame."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name, description=what) for name, what in splits.SETUPS.items()]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Download all subjects and the calibration of DexYCB from {HOMEPAGE} and unpack them into manual_dir, so that it
    holds 20200709-subject-01/ to 20201022-subject-10/ and calibration/. For MANO parameters put MANO_LEFT.pkl and
    MANO_RIGHT.pkl into manual_dir/mano.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=schema.features(1, mask=True, depth=True),
            homepage=HOMEPAGE,
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(CONVENTIONS),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        assert self.builder_config is not None and self.info.metadata is not None
        root = manual.unpacked(dl_manager.manual_dir, "DexYCB", "dex-ycb")
        needed = dict.fromkeys(splits.SUBJECTS, "a subject's sequences")
        needed |= {intrinsics_file(serial): "a camera" for serial in splits.SERIALS}
        manual.require_files(root, needed, HOMEPAGE)
        sides = [schema.LEFT, schema.RIGHT]
        models = hand_models.load(dl_manager.manual_dir, sides)
        self.info.metadata["mano_files"] = hand_models.say("DexYCB", sides, models)
        setup = self.builder_config.name
        sequences = sequences_of(root)
        return {split: self._generate_examples(root, setup, split, sequences, models) for split in splits.SPLITS}

    def _generate_examples(
        self,
        root: epath.Path,
        setup: str,
        split: str,
        sequences: dict[str, list[epath.Path]],
        models: dict[int, HandModel],
    ) -> Iterator[tuple[int, dict]]:
        found = list(frames(root, setup, split, sequences))

        def read(frame: Frame) -> dict:
            return example(frame, models)

        for frame, one in manual.readable(found, read, name=lambda frame: frame.name, homepage=HOMEPAGE):
            yield manual.ordered_key(frame.place, len(found)), one


def intrinsics_file(serial: str) -> str:
    return f"calibration/intrinsics/{serial}_640x480.yml"


def sequences_of(root: epath.Path) -> dict[str, list[epath.Path]]:
    """Each subject's sequences, sorted. The splits go by their position, so that a part of them splits otherwise."""
    found = {name: sorted(entry for entry in (root / name).iterdir() if entry.is_dir()) for name in splits.SUBJECTS}
    counts = {name: len(sequences) for name, sequences in found.items()}
    if set(counts.values()) != {splits.SEQUENCES_OF_SUBJECT}:
        logging.warning(
            "%s: splits go by position among %d sequences a subject; with %s these are not the official ones",
            *(root, splits.SEQUENCES_OF_SUBJECT, counts),
        )
    return found


def frames(root: epath.Path, setup: str, split: str, sequences: dict[str, list[epath.Path]]) -> Iterator[Frame]:
    """Those of a split in the official order, by which result files number them."""
    part = splits.part_of(setup, split)
    serials = [splits.SERIALS[camera] for camera in part.cameras]
    cameras = {serial: labels_file.intrinsics(root / intrinsics_file(serial)) for serial in serials}
    place = 0
    for subject in part.subjects:
        for position, sequence in enumerate(sequences[splits.SUBJECTS[subject]]):
            if not splits.in_split(setup, split, position):
                continue
            path = manual.require(sequence / "meta.yml", "what a sequence shows", HOMEPAGE)
            about = labels_file.read_yaml(path, ("num_frames", "mano_sides", "mano_calib"))
            calibration = root / "calibration" / f"mano_{about['mano_calib'][0]}" / "mano.yml"
            shape = labels_file.betas(manual.require(calibration, "the shape of a subject's hand", HOMEPAGE))
            for serial, intrinsics in cameras.items():
                for number in range(about["num_frames"]):
                    side = SIDES[about["mano_sides"][0]]
                    yield Frame(place, sequence / serial, number, side, shape, intrinsics)
                    place += 1


def example(frame: Frame, models: dict[int, HandModel]) -> dict:
    """One frame. Where the hand is out of view the slot is empty."""
    stored = labels_file.read_frame(frame.folder / f"labels_{frame.number:06d}.npz")
    depth = frame.folder / f"aligned_depth_to_color_{frame.number:06d}.png"
    found = schema.blank(1)
    found["intrinsics"][:] = frame.intrinsics
    for flag in ("intrinsics_valid", "mask_valid", "depth_valid"):
        found[flag][()] = True
    seen = ~np.all(stored["joint_3d"] == labels_file.ABSENT, axis=-1)
    if seen.any():
        hand = {
            "keypoints_3d": stored["joint_3d"],
            "keypoints_3d_valid": seen,
            "keypoints_2d": labels.pixels_from_opencv(stored["joint_2d"]),
            "keypoints_2d_valid": seen & ~np.all(stored["joint_2d"] == labels_file.ABSENT, axis=-1),
        }
        if frame.side in models and stored["pose_m"].any():
            hand |= labels_file.params(models[frame.side], frame.betas, stored["pose_m"])
        schema.put_hand(found, 0, frame.side, **hand)
    pictures = {
        "image": manual.picture(frame.folder / f"color_{frame.number:06d}.jpg"),
        "mask": (stored["seg"][..., None] == labels_file.HAND_ID).astype(np.uint8),
        "depth": labels.read_channels(manual.picture(depth), str(depth))[..., :1].astype(np.float32) * MILLIMETRE,
    }
    return {"name": frame.name} | pictures | found
