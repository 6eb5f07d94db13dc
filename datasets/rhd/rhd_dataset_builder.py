"""The Rendered Hand Dataset as TFDS: two hands a picture, with masks and depth."""

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from datasets import labels, manual, schema
from datasets.rhd.annotations import arrays, read_annotations
from handjax import conventions

HOMEPAGE = "https://lmb.informatik.uni-freiburg.de/resources/datasets/RenderedHandposeDataset.en.html"
FOLDER = "RHD_published_v2"
SPLITS = {"train": "training", "test": "evaluation"}
MASK_IDS = {schema.LEFT: (2, 17), schema.RIGHT: (18, 33)}
"""First and last part id of each hand; 0 is the background, 1 the person."""
SIDES = ("left", "right")
FAR_M = 5.0
"""Depth of the largest 16-bit number."""
CONVENTIONS = {
    "keypoints": "tip to base, left hand first, permuted; metres, OpenCV camera, as in the files",
    "pixels": "the principal point is the middle of the picture: continuous already, not shifted",
    "valid": "a hand of which a keypoint is visible or a pixel is in the mask; labels of the others are left out",
    "mask": "part ids 2 to 17 are slot 0, the left hand, 18 to 33 slot 1; arms and the person are background",
    "depth": "(256 red + green) / 65535 x 5 m, of the whole picture",
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Slot 0 is the left hand, slot 1 the right one. Examples are stored in the order of their numbers."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Download RHD_v1-1.zip from {HOMEPAGE} and unpack it, so that manual_dir (or manual_dir/{FOLDER}) holds
    training and evaluation, each with an annotation pickle and the folders color, depth and mask.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        features = schema.features(len(SIDES), mask=True, depth=True)
        return self.dataset_info_from_configs(
            features=features,
            homepage=HOMEPAGE,
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(CONVENTIONS),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        root = manual.unpacked(dl_manager.manual_dir, FOLDER)
        needed = {}
        for folder in SPLITS.values():
            needed[f"{folder}/anno_{folder}.pickle"] = "keypoints and cameras"
            needed |= {f"{folder}/{kind}": f"{kind} pictures" for kind in ("color", "depth", "mask")}
        manual.require_files(root, needed, HOMEPAGE)
        return {split: self._generate_examples(root / folder) for split, folder in SPLITS.items()}

    def _generate_examples(self, folder: epath.Path) -> Iterator[tuple[int, dict]]:
        pickle = folder / f"anno_{folder.name}.pickle"
        records = read_annotations(pickle.read_bytes(), str(pickle))

        def read(number: int) -> dict:
            return example(folder, number, arrays(records[number]))

        def name(number: int) -> str:
            return name_of(folder, number)

        for number, found in manual.readable(sorted(records), read, name=name, homepage=HOMEPAGE):
            yield manual.ordered_key(number, max(records) + 1), found


def name_of(folder: epath.Path, number: int) -> str:
    return f"{folder.name}/{number:05d}"


def example(folder: epath.Path, number: int, record: dict[str, np.ndarray]) -> dict:
    """One picture. A hand is there if a keypoint of it is seen or a pixel of the mask is its."""
    color, depth, parts = (folder / kind / f"{number:05d}.png" for kind in ("color", "depth", "mask"))
    mask = slots_of_parts(labels.read_channels(parts.read_bytes(), str(parts))[..., :1])
    found = schema.blank(len(SIDES))
    # The principal point of a rendered picture is its middle, (160, 160) of 320: pixels are continuous already.
    found["intrinsics"][:] = record["K"]
    for flag in ("intrinsics_valid", "mask_valid", "depth_valid"):
        found[flag][()] = True
    for slot, side in enumerate(SIDES):
        uv_vis, points = (
            conventions.to_common("rhd", conventions.one_hand("rhd", record[key], side)) for key in ("uv_vis", "xyz")
        )
        visible = uv_vis[:, 2] == 1
        if visible.any() or (mask == slot + 1).any():
            in_front = points[:, 2] > 0
            schema.put_hand(
                found,
                slot,
                slot,
                keypoints_2d=uv_vis[:, :2],
                keypoints_2d_valid=in_front,
                keypoints_3d=points,
                keypoints_visible=visible,
            )
    pictures = {
        "image": manual.picture(color),
        "mask": mask,
        "depth": depth_of_colors(labels.read_channels(depth.read_bytes(), str(depth))),
    }
    return {"name": name_of(folder, number)} | pictures | found


def slots_of_parts(parts: np.ndarray) -> np.ndarray:
    """Part ids -> 0, 1 for the left hand, 2 for the right one."""
    slots = np.zeros(parts.shape, np.uint8)
    for side, (first, last) in MASK_IDS.items():
        slots[(parts >= first) & (parts <= last)] = side + 1
    return slots


def depth_of_colors(colors: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W, 1) metres: red is the high byte, green the low one, 65535 stands for 5 m."""
    high, low = colors[..., :1].astype(np.float32), colors[..., 1:2].astype(np.float32)
    return (high * 256 + low) * np.float32(FAR_M / 65535)
