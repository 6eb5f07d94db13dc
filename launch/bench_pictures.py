"""The test pictures of handjax-bench: drawn from fixed keys by people that no training set shows, and kept in a folder.

Training draws from `jax.random.key(seed)` with small seeds (0, 1, 2 ... of `datasets.synthetic_hands` and of launches);
these keys are folded from `SEED`, which is none of them, by part and batch.
"""

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from datasets import synthetic
from datasets.synthetic.assets import Assets, make_assets
from handjax import mano, skin
from handjax.export import write_bytes
from handjax.mano import HandModel, HandParams
from handjax.skin.texture import stack_textures

EDITION = 1
"""Raised when other pictures are drawn, by settings or by a change of the drawing: figures of two do not compare."""
SEED = 0x48414E44
AT_ONCE = 10
"""Pictures of one key and in one file."""
PEOPLE = (1000, 1001, 1002, 1003)
"""Seeds of baked skins; training has 0, 1, 2."""
TEXELS = 256
STORED = ("image", "intrinsics", "valid", "side", "keypoints_2d", "keypoints_3d", "keypoints_visible")


class Part(NamedTuple):
    """hands: how many are tested. fewest: of a picture, to be taken. alternate: right and left hands batch by batch,
    where a picture has one; others are left or right by chance."""

    settings: synthetic.Settings
    hands: int
    fewest: int = 1
    alternate: bool = False


PARTS = {
    "single": Part(synthetic.single(224, occluders=None), 1000, alternate=True),
    "occluded": Part(synthetic.single(224, occluders=synthetic.Occluders(1.0, 0.5)), 600, alternate=True),
    "two": Part(synthetic.two(256), 600, fewest=2),
    "many": Part(synthetic.many(512), 800),
}
"""3,000 hands: crops of one, with nothing or with something in front of up to half of its box; pairs that touch or are
near; up to ten in a whole picture."""


class Picture(NamedTuple):
    """One test picture and its h hands. part: its name; number: among all that are drawn for the part.

    image (H, W, 3) uint8; camera (4,) fx, fy, cx, cy px; side (h,) 0 left, 1 right; keypoints_2d (h, 21, 2) px;
    keypoints_3d (h, 21, 3) and vertices (h, V, 3) metres, camera frame; visible (h, 21).
    """

    part: str
    number: int
    image: np.ndarray
    camera: np.ndarray
    side: np.ndarray
    keypoints_2d: np.ndarray
    keypoints_3d: np.ndarray
    vertices: np.ndarray
    visible: np.ndarray

    @property
    def boxes(self) -> np.ndarray:
        """(h, 4) x0 y0 x1 y1 px, around all keypoints, also those beyond the border."""
        return np.concatenate([self.keypoints_2d.min(1), self.keypoints_2d.max(1)], axis=-1)


Draw = Callable[[str, int], dict[str, np.ndarray]]
"""(name of a part, number of a batch) -> `AT_ONCE` pictures: the arrays of `STORED` and vertices."""


def batch_key(name: str, number: int) -> jax.Array:
    """Of the pictures of one batch, whatever generator jax is set to."""
    key = jax.random.key(SEED, impl="threefry2x32")
    return jax.random.fold_in(jax.random.fold_in(key, list(PARTS).index(name)), number)


def draw_batch(name: str, number: int) -> dict[str, np.ndarray]:
    """`AT_ONCE` pictures with labels, on whatever device JAX has; half a minute or more of compiling for each part."""
    part, source = PARTS[name], test_people()
    settings = part.settings
    if part.alternate:
        settings = dataclasses.replace(settings, sides=("right", "left")[number % 2])
    drawn = synthetic.batch(batch_key(name, number), AT_ONCE, settings, source)
    params = HandParams(*(drawn[field] for field in HandParams._fields))
    vertices = vertices_of(source.model, params, drawn["side"])
    return {field: np.asarray(drawn[field]) for field in STORED} | {"vertices": np.asarray(vertices)}


@cache
def test_people() -> Assets:
    """The shipped hand with skins that training does not see; no photographs, which a rerun would need too."""
    model = mano.default()
    return make_assets(model, stack_textures([skin.bake_skin(model, TEXELS, seed) for seed in PEOPLE]))


@jax.jit
def vertices_of(model: HandModel, params: HandParams, side: jax.Array) -> jax.Array:
    """Parameters and side with leading axes (B, N), of hands of both sides -> (B, N, V, 3). model: a right hand."""

    def one(params: HandParams, side: jax.Array) -> jax.Array:
        left = side == 0
        mirrored = mano.mirror_params(params)
        own = HandParams(*(jax.numpy.where(left, *pair) for pair in zip(mirrored, params, strict=True)))
        vertices = mano.forward(model, own).vertices
        return jax.numpy.where(left, mano.mirror_points(vertices), vertices)

    return jax.vmap(jax.vmap(one))(params, side)


def fingerprint(name: str) -> str:
    """12 digits of what decides a part's pictures."""
    part = PARTS[name]
    about = [EDITION, SEED, AT_ONCE, PEOPLE, TEXELS, list(PARTS).index(name), repr(part.settings), part.alternate]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]


def pictures(name: str, hands: int, folder: Path, draw: Draw = draw_batch) -> Iterator[Picture]:
    """A part's first pictures that together have `hands` hands, or fewer by less than a picture of it has at least.

    One with more hands than are still wanted, or without enough, is passed over. What `folder` does not hold is drawn
    and kept there. Raises ValueError for a file there that is no such batch, OSError if it cannot be written.
    """
    part, left, number = PARTS[name], hands, 0
    where = folder / f"{name}-{fingerprint(name)}"
    while left >= part.fewest:
        batch = _kept(where / f"{number:04d}.npz", name, number, draw)
        for index, valid in enumerate(batch["valid"]):
            if part.fewest <= valid.sum() <= left:
                left -= int(valid.sum())
                yield _picture(name, number * AT_ONCE + index, {field: batch[field][index] for field in batch})
            if left < part.fewest:
                return
        number += 1


def _kept(path: Path, name: str, number: int, draw: Draw) -> dict[str, np.ndarray]:
    if path.exists():
        try:
            # Opened here: numpy leaves a damaged file open.
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
                return {field: stored[field] for field in (*STORED, "vertices")}
        except (KeyError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not pictures of handjax-bench, delete it: {error}") from error
    batch = draw(name, number)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **batch)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())
    return batch


def _picture(name: str, number: int, one: dict[str, np.ndarray]) -> Picture:
    valid, matrix = one["valid"], one["intrinsics"]
    return Picture(
        part=name,
        number=number,
        image=one["image"],
        camera=np.array([matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]], np.float32),
        side=one["side"][valid],
        keypoints_2d=one["keypoints_2d"][valid],
        keypoints_3d=one["keypoints_3d"][valid],
        vertices=one["vertices"][valid],
        visible=one["keypoints_visible"][valid],
    )


class Digest:
    """What two machines compare: a hash of all labels, equal only where they drew the same bits, and means of the
    keypoints for where they did not."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._hands = self._right = self._pictures = 0
        self._sum = np.zeros(2)

    def watch(self, drawn: Iterable[Picture]) -> Iterator[Picture]:
        """The same pictures, counted on their way."""
        for picture in drawn:
            self._pictures += 1
            self._hands += len(picture.side)
            self._right += int(picture.side.sum())
            self._sum += [each.astype(float).mean(-1).sum() for each in (picture.keypoints_2d, picture.keypoints_3d)]
            for label in (picture.side, picture.keypoints_2d, picture.keypoints_3d):
                self._hash.update(np.ascontiguousarray(label).tobytes())
            yield picture

    def about(self) -> dict[str, str | int | float]:
        means = self._sum / max(self._hands * 21, 1)
        return {
            "pictures": self._pictures,
            "hands": self._hands,
            "right": self._right,
            "left": self._hands - self._right,
            "labels_sha256": self._hash.hexdigest()[:16],
            "mean_keypoint_px": round(float(means[0]), 2),
            "mean_keypoint_mm": round(1000 * float(means[1]), 2),
        }
