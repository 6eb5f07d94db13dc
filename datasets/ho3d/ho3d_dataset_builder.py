"""HO-3D as TFDS: a right hand with an object, colour and depth."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from datasets import hand_models, json_stream, labels, manual, schema
from datasets.ho3d import meta
from handjax import mano
from handjax.mano.types import HandModel, HandParams

HOMEPAGE = "https://github.com/shreyashampali/ho3d"
SPLITS = ("train", "evaluation")
COLOR_SUFFIXES = (".png", ".jpg")
"""Of version 2 and 3."""
CONVENTIONS = {
    "keypoints": "MANO's 16 joints and the tips of thumb to little finger, permuted; metres, OpenGL camera turned",
    "pixels": "first pixel centre at (0, 0): intrinsics and boxes are shifted by half a pixel, 2D keypoints projected",
    "mano": "whole finger poses, flat hand at zero; turned into the camera frame about the posed root joint",
    "fingertips": "vertices 744, 333, 444, 555, 672 of thumb to little finger",
    "depth": "16 bits in red (low) and green (high), times 0.000125 m",
    "mask": "none: what is published apart is rendered from the labels, at a quarter of the size, and not read",
    "evaluation": "root joint and box alone, unless evaluation_xyz.json and evaluation_verts.json are there",
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """One slot, a right hand. Examples are stored in the order of train.txt and evaluation.txt."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="v2", description="HO-3D v2 (CVPR 2020)"),
        tfds.core.BuilderConfig(name="v3", description="HO-3D v3, re-annotated and larger"),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Download HO3D_v2.zip or HO3D_v3.zip by the links of {HOMEPAGE} and unpack it, so that manual_dir/HO3D_v2 or
    manual_dir/HO3D_v3 holds train/, evaluation/, train.txt and evaluation.txt. For the labels of the evaluation put
    evaluation_xyz.json and evaluation_verts.json of that version beside them. For meshes of the training frames put
    MANO_RIGHT.pkl into manual_dir/mano.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=schema.features(1, mask=False, depth=True, vertices=True),
            homepage=HOMEPAGE,
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(CONVENTIONS),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        assert self.builder_config is not None and self.info.metadata is not None
        root = manual.unpacked(dl_manager.manual_dir, f"HO3D_{self.builder_config.name}")
        parts = {split: {f"{split}.txt": "the frames in use", split: "their sequences"} for split in SPLITS}
        splits = manual.present_parts(root, parts, HOMEPAGE)
        model = hand_models.load(dl_manager.manual_dir, [schema.RIGHT]).get(schema.RIGHT)
        meshes = "posed by the MANO parameters" if model else "none, as there is no mano/MANO_RIGHT in manual_dir"
        self.info.metadata["vertices_of_train"] = meshes
        logging.info("HO-3D: vertices of training frames: %s", meshes)
        return {split: self._generate_examples(root, split, model) for split in splits}

    def _generate_examples(self, root: epath.Path, split: str, model: HandModel | None) -> Iterator[tuple[int, dict]]:
        names = frames(root / f"{split}.txt")
        rows = published_labels(root, split, len(names))
        records = zip(range(len(names)), names, rows, strict=True)

        def read(record: tuple[int, str, dict]) -> dict:
            return example(root / split, record[1], record[2], model)

        for record, one in manual.readable(
            records, read, name=lambda record: f"{split}/{record[1]}", homepage=HOMEPAGE
        ):
            yield manual.ordered_key(record[0], len(names)), one


def frames(path: epath.Path) -> list[str]:
    """The lines `sequence/frame`. Frames that are not listed have no labels and are not used."""
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def published_labels(root: epath.Path, split: str, frames_count: int) -> Iterator[dict]:
    """For each frame, its items of the lists evaluation_xyz.json and evaluation_verts.json that are there.

    Raises ValueError naming a list that has not one item for each frame: it is of another version.
    """
    paths = {key: path for key in ("xyz", "verts") if (path := root / f"{split}_{key}.json").exists()}
    for path in list(paths.values())[:1]:
        items = json_stream.count(path)
        if items != frames_count:
            raise ValueError(f"{path} must have an item for each of {frames_count} frames of {split}.txt, got {items}")
    return json_stream.rows(paths) if paths else iter([{}] * frames_count)


def example(folder: epath.Path, name: str, row: dict, model: HandModel | None) -> dict:
    """One frame; row: its published evaluation labels, where they are there; meshes only with `model`."""
    sequence, frame = name.split("/")
    known = meta.read((folder / sequence / "meta" / f"{frame}.pkl").read_bytes())
    intrinsics = labels.intrinsics_from_opencv(known["camMat"])
    joints = np.asarray(row["xyz"], np.float64) if "xyz" in row else known["handJoints3D"]
    keypoints, valid = meta.keypoints(joints)
    hand = {
        "keypoints_3d": keypoints,
        "keypoints_3d_valid": valid,
        "keypoints_2d": labels.project(intrinsics, keypoints),
        "keypoints_2d_valid": valid & (keypoints[:, 2] > 0),
    }
    if "handBoundingBox" in known:
        hand["box"] = labels.pixels_from_opencv(known["handBoundingBox"].reshape(2, 2)).reshape(4)
    if "handPose" in known:
        hand |= meta.params(known)
        if model is not None:
            hand["vertices"] = vertices(model, hand)
    if "verts" in row:
        hand["vertices"] = meta.points(np.asarray(row["verts"], np.float64))
    found = schema.blank(1, vertices=True)
    found["intrinsics"][:] = intrinsics
    for flag in ("intrinsics_valid", "depth_valid"):
        found[flag][()] = True
    schema.put_hand(found, 0, schema.RIGHT, **hand)
    found["vertices_valid"][0] = "vertices" in hand
    depth = folder / sequence / "depth" / f"{frame}.png"
    pictures = {
        "image": manual.picture(color_file(folder / sequence / "rgb", frame)),
        "depth": meta.depth_of_colors(labels.read_channels(manual.picture(depth), str(depth))),
    }
    return {"name": name} | pictures | found


def color_file(folder: epath.Path, frame: str) -> epath.Path:
    """Raises FileNotFoundError naming both of the file's possible names."""
    paths = [folder / f"{frame}{suffix}" for suffix in COLOR_SUFFIXES]
    for path in paths:
        if path.exists():
            return path
    raise FileNotFoundError(f"no {paths[0]} (version 2) and no {paths[1]} (version 3)")


def vertices(model: HandModel, hand: dict[str, np.ndarray]) -> np.ndarray:
    """(778, 3) metres of the hand's MANO parameters."""
    return np.asarray(_vertices(model, HandParams(*(jnp.asarray(hand[field]) for field in HandParams._fields))))


@jax.jit
def _vertices(model: HandModel, params: HandParams) -> jax.Array:
    return mano.forward(model, params).vertices
