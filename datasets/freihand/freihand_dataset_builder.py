"""FreiHAND v2 as TFDS: one right hand a picture, with its mesh."""

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from datasets import hand_models, json_stream, labels, manual, schema
from datasets.freihand import camera_params
from handjax.checks import check_shape
from handjax.mano.types import HandModel

HOMEPAGE = "https://lmb.informatik.uni-freiburg.de/projects/freihand/"
FOLDERS = {"train": "training", "evaluation": "evaluation"}
VERSIONS = ("gs", "hom", "sample", "auto")
"""The four backgrounds of a training sample, in the order of the files: green screen, homogenised, two recoloured."""
ANNOTATED = ("K", "xyz", "verts", "mano")
CONVENTIONS = {
    "keypoints": "FreiHAND's own order, which is ours; metres, OpenCV camera; right hands only",
    "pixels": "first pixel centre at (0, 0): intrinsics are shifted by half a pixel, 2D keypoints projected with them",
    "mano": "mean-relative angles: the mean pose is added; translation from root pixel and scale of joint 9",
    "fingertips": "vertices 744, 320, 443, 555, 672 of thumb to little finger",
    "versions": "name is version/sample; the four versions of a sample have one label: keep them in one fold",
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """One slot, a right hand. Examples are stored in the order of the files, a sample's four versions together."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Download FreiHAND_pub_v2.zip and, for the labels of the evaluation pictures, FreiHAND_pub_v2_eval.zip from
    {HOMEPAGE} and unpack both into manual_dir (or into manual_dir/FreiHAND_pub_v2), so that it holds training/,
    evaluation/, training_K.json and the other lists. For MANO parameters put MANO_RIGHT.pkl into manual_dir/mano.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=schema.features(1, mask=True, vertices=True),
            homepage=HOMEPAGE,
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(CONVENTIONS),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        root = manual.unpacked(dl_manager.manual_dir, "FreiHAND_pub_v2")
        training = {f"training_{name}.json": "labels of the training samples" for name in ANNOTATED}
        training |= {"training/rgb": "training pictures", "training/mask": "hand masks"}
        evaluation = {"evaluation_K.json": "cameras of the evaluation", "evaluation/rgb": "evaluation pictures"}
        splits = manual.present_parts(root, {"train": training, "evaluation": evaluation}, HOMEPAGE)
        models = hand_models.load(dl_manager.manual_dir, [schema.RIGHT])
        assert self.info.metadata is not None
        self.info.metadata["mano_files"] = hand_models.say("FreiHAND", [schema.RIGHT], models)
        return {split: self._generate_examples(root, split, models.get(schema.RIGHT)) for split in splits}

    def _generate_examples(self, root: epath.Path, split: str, model: HandModel | None) -> Iterator[tuple[int, dict]]:
        samples = json_stream.count(root / f"{FOLDERS[split]}_K.json")
        records, total = pictures(root, split, samples)

        def read(record: dict) -> dict:
            return example(record, model)

        found = manual.readable(records, read, name=lambda record: str(record["image"]), homepage=HOMEPAGE)
        for record, one in found:
            yield manual.ordered_key(record["key"], total), one


def pictures(root: epath.Path, split: str, samples: int) -> tuple[Iterator[dict], int]:
    """The records of a split and how many there are. Each has key, name, image, mask (a path or None) and its labels.

    Of the evaluation, those labels whose files are there.
    """
    versions = VERSIONS if split == "train" else ("",)
    folder = FOLDERS[split]
    paths = {name: root / f"{folder}_{name}.json" for name in ANNOTATED}
    present = {name: path for name, path in paths.items() if path.exists()}

    def records() -> Iterator[dict]:
        for sample, known in enumerate(json_stream.rows(present)):
            for number, version in enumerate(versions):
                yield known | {
                    "key": sample * len(versions) + number,
                    "name": f"{version}/{sample:08d}".lstrip("/"),
                    "image": root / folder / "rgb" / f"{sample + samples * number:08d}.jpg",
                    "mask": root / folder / "mask" / f"{sample:08d}.jpg" if version else None,
                }

    return records(), samples * len(versions)


def example(record: dict, model: HandModel | None) -> dict:
    """One picture; MANO parameters only with `model`."""
    given = np.asarray(record["K"], np.float64)
    check_shape("K", given, (3, 3))
    image = manual.picture(record["image"])
    found = schema.blank(1, vertices=True)
    found["intrinsics"][:] = labels.intrinsics_from_opencv(given)
    found["intrinsics_valid"][()] = True
    known = {}
    if "xyz" in record:
        known["keypoints_3d"] = np.asarray(record["xyz"], np.float64)
        known["keypoints_2d"] = labels.project(labels.intrinsics_from_opencv(given), known["keypoints_3d"])
        known["keypoints_2d_valid"] = known["keypoints_3d"][:, 2] > 0
    if "verts" in record:
        known["vertices"] = np.asarray(record["verts"], np.float64)
    if "mano" in record and model is not None:
        known |= camera_params.params(model, np.asarray(record["mano"], np.float64).reshape(-1), given)
    schema.put_hand(found, 0, schema.RIGHT, **known)
    found["vertices_valid"][0] = "verts" in record
    mask = np.zeros((*manual.picture_size(image), 1), np.uint8)
    if record["mask"] is not None:
        # JPEG blurs what was 0 and 255.
        mask = (labels.read_channels(manual.picture(record["mask"]), str(record["mask"]))[..., :1] >= 128).astype(
            np.uint8
        )
        found["mask_valid"][()] = True
    return {"name": record["name"], "image": image, "mask": mask} | found
