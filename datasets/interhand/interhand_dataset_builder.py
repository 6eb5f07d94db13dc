"""InterHand2.6M as TFDS: the left hand in slot 0 and the right one in slot 1, or one of them alone."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from datasets import hand_models, labels, manual, schema
from datasets.interhand import annotations
from handjax import conventions
from handjax.mano.types import HandModel, HandParams

HOMEPAGE = "https://mks0601.github.io/InterHand2.6M/"
FOLDERS = ("InterHand2.6M_5fps", "InterHand2.6M_5fps_batch1", "InterHand2.6M_5fps_batch0")
SPLITS = ("train", "val", "test")
SLOTS = {side: slot for slot, side in hand_models.SIDES.items()}
CONVENTIONS = {
    "keypoints": "tip to base, wrist last, right hand first, permuted; world millimetres to camera, metres",
    "keypoints_2d": "the 3D joints projected; valid where both joint_3d.json and data.json (in the picture) say so",
    "pixels": "first pixel centre at (0, 0): principal points are shifted by half a pixel",
    "boxes": "around each hand's valid 2D keypoints; the published ones go around both hands, 1.2 times as large",
    "mano": "mean-relative angles in the world: the mean pose is added, and the hand turned about its own root joint",
    "left_betas": "fitted with mirrored shape components: load MANO_LEFT with fix_left_shapedirs=True",
    "side_valid": "hand_type_valid of the file",
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Two slots: 0 the left hand, 1 the right one. Examples are stored in the order of data.json."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Download the 5 fps pictures and the annotations of InterHand2.6M v1.0 from {HOMEPAGE} and unpack them, so that
    manual_dir (or manual_dir/InterHand2.6M_5fps) holds images/<split>/Capture<k>/... and
    annotations/<split>/InterHand2.6M_<split>_{{data,camera,joint_3d,MANO_NeuralAnnot}}.json, for the splits you want of
    train, val and test. For MANO parameters put MANO_LEFT.pkl and MANO_RIGHT.pkl into manual_dir/mano.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=schema.features(2),
            homepage=HOMEPAGE,
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(CONVENTIONS),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        root = manual.unpacked(dl_manager.manual_dir, *FOLDERS)
        splits = manual.present_parts(root, {split: files_of(split) for split in SPLITS}, HOMEPAGE)
        sides = [schema.LEFT, schema.RIGHT]
        models = hand_models.load(dl_manager.manual_dir, sides, mirror_left_shapes=True)
        assert self.info.metadata is not None
        self.info.metadata["mano_files"] = hand_models.say("InterHand2.6M", sides, models)
        return {split: self._generate_examples(root, split, models) for split in splits}

    def _generate_examples(
        self, root: epath.Path, split: str, models: dict[int, HandModel]
    ) -> Iterator[tuple[int, dict]]:
        known = annotations.read_labels(root / "annotations", split)
        pictures, count = annotations.pictures(annotations.file_of(root / "annotations", split, "data"))

        def read(record: tuple[int, annotations.Picture]) -> dict:
            return example(root / "images" / split, record[1], known, models)

        def name(record: tuple[int, annotations.Picture]) -> str:
            return f"{split}/{record[1].file_name}"

        for (index, _), one in manual.readable(enumerate(pictures), read, name=name, homepage=HOMEPAGE):
            yield manual.ordered_key(index, count), one


def files_of(split: str) -> dict[str, str]:
    """What a split needs, below the set's folder."""
    kinds = {"data": "the list of pictures", "camera": "cameras", "joint_3d": "joints", "MANO_NeuralAnnot": "MANO fits"}
    lists = {str(annotations.file_of(epath.Path("annotations"), split, kind)): what for kind, what in kinds.items()}
    return {f"images/{split}": "pictures"} | lists


def example(
    folder: epath.Path, picture: annotations.Picture, known: annotations.Labels, models: dict[int, HandModel]
) -> dict:
    """One picture. MANO parameters of the sides that have a model."""
    camera = annotations.camera_of(known.cameras, picture.capture, picture.camera)
    points, point_valid = annotations.joints_of(known.joints, picture.capture, picture.frame)
    found = schema.blank(2)
    found["intrinsics"][:] = camera.intrinsics
    found["intrinsics_valid"][()] = True
    for side in annotations.HAND_TYPES[picture.hand_type]:
        slot = SLOTS[side]
        # Points and both kinds of flags in one table: they are permuted together.
        table = np.column_stack([points, point_valid, picture.joint_valid])
        table = conventions.to_common("interhand", conventions.one_hand("interhand", table, side))
        keypoints, (valid_3d, in_picture) = camera.from_world(table[:, :3]), table[:, 3:].T.astype(bool)
        hand = {
            "keypoints_3d": keypoints,
            "keypoints_3d_valid": valid_3d,
            "keypoints_2d": labels.project(camera.intrinsics, keypoints),
            "keypoints_2d_valid": valid_3d & in_picture & (keypoints[:, 2] > 0),
        }
        fitted = annotations.mano_of(known.mano, picture.capture, picture.frame, side)
        if fitted is not None and slot in models:
            hand |= camera_params(models[slot], fitted, camera)
        schema.put_hand(found, slot, slot, **hand)
        found["side_valid"][slot] = picture.hand_type_valid
    return {"name": picture.file_name, "image": manual.picture(folder / picture.file_name)} | found


def camera_params(model: HandModel, fitted: dict[str, np.ndarray], camera: annotations.Camera) -> dict[str, np.ndarray]:
    """betas, global_orient, hand_pose, transl in the camera frame, fingers from the flat hand."""
    moved = _camera_params(model, fitted, jnp.asarray(camera.rotation), jnp.asarray(camera.translation))
    return hand_models.params_dict(moved)


@jax.jit
def _camera_params(model: HandModel, fitted: dict, rotation: jax.Array, translation: jax.Array) -> HandParams:
    pose = fitted["pose"]
    fingers = conventions.convert_pose(model, pose[3:], source="mean_relative", target="axis_angle")
    world = HandParams(fitted["shape"], pose[:3], fingers, fitted["trans"])
    return conventions.move_params(model, world, rotation, translation)
