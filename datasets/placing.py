"""Labels and pictures moved to where an augmentation puts them: labels of many at once, pictures one by one."""

import math
from functools import partial
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from datasets.augment import Change
from handjax.camera import square_box, to_opencv_affine
from handjax.infer.crops import mirrored_crop
from handjax.targets.crop import LEFT, Labels, crop_labels, hand_affine, mirror_labels, one_hand, turned_affine


def place_labels(
    labels: dict[str, np.ndarray], frames: np.ndarray, slots: np.ndarray, changes: Change, size: int, per_hand: bool
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Labels of C pictures, their (width, height) (C, 2) and changes -> labels, and (C, 2, 3) affines for OpenCV.

    per_hand: of the hands in `slots` (C,) alone; `changes.mirror` then asks for right hands. On the CPU, wherever else
    JAX computes.
    """
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        moved, affines = _place(labels, frames, slots, changes, size, per_hand)
    return {name: np.array(value) for name, value in moved.items()}, np.asarray(affines)


@partial(jax.jit, static_argnames=("size", "per_hand"))
def _place(labels: Labels, frames: Array, slots: Array, changes: Change, size: int, per_hand: bool) -> Any:
    if per_hand:
        return jax.vmap(partial(place_hand, size=size))(labels, slots, changes)
    return jax.vmap(partial(place_picture, size=size))(labels, frames, changes)


def place_hand(labels: Labels, slot: Array, change: Change, *, size: int) -> tuple[dict[str, Array], Array]:
    """One hand's labels in its crop, and the affine (2, 3) that OpenCV draws it with."""
    hand = one_hand(labels, slot)
    affine = hand_affine(hand, size, margin=1 / jnp.asarray(change.fill), rotation=change.rotation, shift=change.shift)
    mirrors = jnp.asarray(change.mirror) & hand["side_valid"] & (hand["side"] == LEFT)
    return _moved(hand, affine, mirrors, size)


def place_picture(labels: Labels, frame: Array, change: Change, *, size: int) -> tuple[dict[str, Array], Array]:
    """A whole picture of `frame` (width, height) in a square one: zoom 1 shows just all of it."""
    box = square_box(jnp.concatenate([jnp.zeros(2), frame]), 1 / jnp.asarray(change.zoom))
    box = box + jnp.tile(jnp.asarray(change.shift), 2) * (box[2] - box[0])
    return _moved(labels, turned_affine(box, change.rotation, size, labels), change.mirror, size)


def _moved(labels: Labels, affine: Array, mirrors: ArrayLike, size: int) -> tuple[dict[str, Array], Array]:
    cropped = crop_labels(labels, affine, size)
    moved = jax.tree.map(lambda one, other: jnp.where(mirrors, one, other), mirror_labels(cropped, size), cropped)
    return moved, to_opencv_affine(jnp.where(mirrors, mirrored_crop(affine, size), affine))


def shrinkage(affine: np.ndarray) -> int:
    """How many pixels of the picture, along each axis, become one: at least 1, rounded down."""
    # A tenth is a tenth in spite of rounding.
    return max(int(1.001 / max(math.hypot(affine[0, 0], affine[1, 0]), 1e-3)), 1)


def stretched(affine: np.ndarray, stretch: ArrayLike) -> np.ndarray:
    """The affine of a picture that was made smaller, `stretch` times, or so many along x and along y."""
    stretch = np.broadcast_to(stretch, 2)
    # Of pixels as OpenCV counts them: the first centre stays at 0.
    shift = affine[:, :2] @ ((stretch - 1) / 2)
    return np.column_stack([affine[:, :2] * stretch, affine[:, 2] + shift])


def place_image(image: np.ndarray, affine: np.ndarray, out: np.ndarray) -> None:
    """BGR -> RGB, into `out` (size, size, 3) uint8: bilinear, black outside; what shrinks is averaged first, not to
    alias."""
    affine, shrink = affine.astype(np.float64), shrinkage(affine)
    left, top, right, bottom = _seen(affine, out.shape[0], shrink, image.shape)
    if left >= right or top >= bottom:
        out[:] = 0
        return
    image = image[top:bottom, left:right]
    affine[:, 2] += affine[:, :2] @ [left, top]
    if shrink >= 2:
        height, width = (max(side // shrink, 1) for side in image.shape[:2])
        affine = stretched(affine, np.array([image.shape[1] / width, image.shape[0] / height]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    # OpenCV warps four channels to the same bytes in half the time of three.
    warped = cv2.warpAffine(cv2.cvtColor(image, cv2.COLOR_BGR2BGRA), affine, out.shape[1::-1], flags=cv2.INTER_LINEAR)
    # Straight to where it is needed: a new array's pages cost as much as a pass over it.
    cv2.cvtColor(warped, cv2.COLOR_BGRA2RGB, dst=out)


def _seen(affine: np.ndarray, size: int, step: int, shape: tuple[int, ...]) -> list[int]:
    """left, top, right, bottom of the part of a picture that an affine shows in a square, in multiples of `step` up to
    the picture's ends."""
    inverse = cv2.invertAffineTransform(affine)
    middle = inverse @ [(size - 1) / 2, (size - 1) / 2, 1]
    reach = np.abs(inverse[:, :2]).sum(1) * (size + 1) / 2 + step
    first, last = (middle - reach) // step * step, (middle + reach) // step * step + step
    sides = [shape[1], shape[0]]
    return [*np.clip(first, 0, sides).astype(int).tolist(), *np.clip(last, 0, sides).astype(int).tolist()]


def place_map(values: np.ndarray, affine: np.ndarray, size: int) -> np.ndarray:
    """(size, size) of mask or depth: nearest, 0 outside."""
    return cv2.warpAffine(values, affine.astype(np.float64), (size, size), flags=cv2.INTER_NEAREST)
