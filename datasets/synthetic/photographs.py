"""A bank of photographs as backgrounds: read once on the host, cut at random on the device."""

import os
from pathlib import Path
from typing import NamedTuple

import cv2
import jax.numpy as jnp
import numpy as np
from jax import Array

from datasets.synthetic.checks import check_size
from datasets.synthetic.draws import Draws
from handjax.checks import check_shape
from handjax.images import ImageError, read_image


class PhotoBank(NamedTuple):
    """photos (P, h, w, 3) uint8; unreadable: what is wrong with each file of the folder that was left out."""

    photos: np.ndarray
    unreadable: tuple[str, ...]


def read_photos(folder: str | os.PathLike, size: tuple[int, int] = (256, 256), limit: int = 2000) -> PhotoBank:
    """The first `limit` images of a folder (hidden files aside, in order of their names), scaled and cut to `size`.

    Memory: 3 h w bytes a photograph, 400 MB for 2000 of 256 px. Choose photographs without hands: what they show has
    no labels. Raises ValueError for no folder, a folder without a readable image or a limit below 1.
    """
    check_size(size)
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    if not Path(folder).is_dir():
        raise ValueError(f"folder must be a folder of images, got {os.fspath(folder)!r}")
    photos, unreadable = [], []
    for path in sorted(Path(folder).iterdir()):
        if path.name.startswith(".") or path.is_dir():
            continue
        if len(photos) == limit:
            break
        try:
            photos.append(_covering(read_image(path), size))
        except ImageError as error:
            unreadable.append(str(error))
    if not photos:
        raise ValueError(f"folder must hold at least one readable image, got {os.fspath(folder)!r}: {unreadable[:3]}")
    return PhotoBank(np.stack(photos), tuple(unreadable))


def photograph(key: Array, size: tuple[int, int], photos: Array) -> Array:
    """(H, W, 3) in [0, 1]: a random part, between a third of a photograph and all of it, perhaps mirrored.

    photos (P, h, w, 3) uint8. Raises ValueError for another shape or type, or none.
    """
    check_shape("photos", photos, ("P", "h", "w", 3))
    if photos.dtype != jnp.uint8 or 0 in photos.shape:
        raise ValueError(f"photos must be uint8 and at least one, got {photos.dtype} {photos.shape}")
    draws = Draws.of(key, 6)
    photos = jnp.asarray(photos)
    photo = photos[(draws.uniform() * photos.shape[0]).astype(jnp.int32)]
    # As much of the photograph as has the image's shape.
    longest = min(photo.shape[0] / size[0], photo.shape[1] / size[1])
    step = longest * draws.between(0.35, 1.0)
    place = draws.uniform(2)
    rows, columns = (
        place[axis] * (photo.shape[axis] - step * size[axis]) + (jnp.arange(size[axis]) + 0.5) * step - 0.5
        for axis in range(2)
    )
    columns = jnp.where(draws.chance(0.5), columns[::-1], columns)
    picture = photo.astype(jnp.float32) / 255.0
    return _between(_between(picture, rows, 0), columns, 1)


def _between(picture: Array, place: Array, axis: int) -> Array:
    """Linear interpolation along an axis at fractional pixels."""
    below = jnp.clip(jnp.floor(place), 0, picture.shape[axis] - 2).astype(jnp.int32)
    share = jnp.clip(place - below, 0.0, 1.0)
    share = share[:, None, None] if axis == 0 else share[None, :, None]
    low, high = jnp.take(picture, below, axis=axis), jnp.take(picture, below + 1, axis=axis)
    return low + share * (high - low)


def _covering(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scaled so that it just covers `size`, and cut in the middle."""
    scale = max(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(want, round(side * scale)) for want, side in zip(size, image.shape[:2], strict=True))
    method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    scaled = cv2.resize(image, (width, height), interpolation=method)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return np.ascontiguousarray(scaled[top : top + size[0], left : left + size[1]])
