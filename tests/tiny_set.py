"""A small built set of drawn hands, for what reads sets: the schema's fields, a dot at each keypoint."""

import io

import cv2
import numpy as np
import tensorflow_datasets as tfds

from datasets import schema

FOCAL = np.array([180.0, 186.0], np.float32)


def labels_of(index, slots, size, sides):
    """Slots of hands in front of the camera of a (height, width) picture; `sides` of them, the rest empty."""
    height, width = size
    random = np.random.default_rng(index)
    labels = schema.blank(slots)
    center = np.array([width / 2 + 3, height / 2 - 2], np.float32)
    labels["intrinsics"][:] = [[FOCAL[0], 0, center[0]], [0, FOCAL[1], center[1]], [0, 0, 1]]
    labels["intrinsics_valid"][...] = True
    for slot, side in enumerate(sides):
        points = random.uniform(-0.05, 0.05, (21, 3)) + [random.uniform(-0.05, 0.05), random.uniform(-0.05, 0.05), 0.5]
        points = points.astype(np.float32)
        pixels = FOCAL * points[:, :2] / points[:, 2:] + center
        schema.put_hand(
            labels,
            slot,
            side,
            keypoints_2d=pixels,
            keypoints_3d=points,
            keypoints_visible=np.ones(21, bool),
            betas=np.zeros(10),
            global_orient=random.normal(size=3),
            hand_pose=random.normal(size=45) * 0.2,
            transl=points[0] - [0.09, 0.005, 0.002],
        )
    return labels


def mesh_of(labels):
    """(N, 778, 3): vertices about the keypoints, of the hands in even slots."""
    vertices = np.zeros((len(labels["valid"]), 778, 3), np.float32)
    vertices[::2] = np.resize(labels["keypoints_3d"][::2], vertices[::2].shape)
    return vertices


def drawn(labels, size):
    """(H, W, 3) uint8, (H, W) uint8 and (H, W) float32: a disc around each keypoint, with its slot and its depth."""
    image = np.full((*size, 3), 40, np.uint8)
    mask, depth = np.zeros(size, np.uint8), np.zeros(size, np.float32)
    for slot in np.flatnonzero(labels["valid"]):
        for (x, y), z in zip(labels["keypoints_2d"][slot], labels["keypoints_3d"][slot, :, 2], strict=True):
            # OpenCV counts from the first pixel's centre.
            center = (round(float(x) - 0.5), round(float(y) - 0.5))
            cv2.circle(image, center, 2, (250, 250, 250), -1)
            cv2.circle(mask, center, 2, int(slot) + 1, -1)
            cv2.circle(depth, center, 2, float(z), -1)
    return image, mask, depth


class Tiny(tfds.core.GeneratorBasedBuilder):
    """`count` pictures with one hand, right and left in turn, or with two, every third time one; `cut_off`: numbers of
    those of which half the file is there."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, count=16, slots=1, size=(96, 128), pixelwise=True, vertices=False, cut_off=(), **kwargs):
        self.count, self.slots, self.size, self.pixelwise, self.cut_off = count, slots, size, pixelwise, cut_off
        self.vertices = vertices
        super().__init__(**kwargs)

    def _info(self):
        features = schema.features(self.slots, mask=self.pixelwise, depth=self.pixelwise, vertices=self.vertices)
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index in range(self.count):
            sides = [index % 2] if self.slots == 1 else [index % 2] * (self.slots - (index % 3 == 0))
            labels = labels_of(index, self.slots, self.size, sides)
            image, mask, depth = drawn(labels, self.size)
            data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
            example = labels | {"name": f"picture/{index:03d}"}
            example["image"] = io.BytesIO(data[: len(data) // 2] if index in self.cut_off else data)
            if self.vertices:
                example["vertices"] = mesh_of(labels)
            if self.pixelwise:
                example |= {"mask": mask[..., None], "depth": depth[..., None]}
                example |= {"mask_valid": True, "depth_valid": True}
            yield index, example


def build(folder, file_format="array_record", **options):
    """Builds it below `folder` and returns where."""
    builder = Tiny(data_dir=folder, file_format=file_format, **options)
    builder.download_and_prepare()
    return str(builder.data_path)
