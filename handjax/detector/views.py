"""Square parts of a picture as a network sees them, upright or mirrored, and points on the way there and back."""

from typing import NamedTuple

import cv2
import numpy as np


class View(NamedTuple):
    """center (2,) and side, px of the picture, of the square that fills a network's input; whether it is mirrored."""

    center: np.ndarray
    side: float
    mirrored: bool = False


def whole(width: int, height: int) -> View:
    """All of a picture in the middle of a square, as it is shown in training; what is left over is black."""
    return View(np.array([width, height]) / 2, float(max(width, height)))


def affine_of(view: View, size: int) -> np.ndarray:
    """(2, 3): px of the picture -> px of the network's input of `size` x `size`."""
    zoom = size / view.side
    linear = np.diag([-zoom if view.mirrored else zoom, zoom])
    return np.column_stack([linear, size / 2 - linear @ view.center])


def to_picture(points: np.ndarray, view: View, size: int) -> np.ndarray:
    """(..., 2) px of the network's input -> px of the picture."""
    from_middle = (points - size / 2) * (view.side / size)
    return view.center + from_middle * ([-1, 1] if view.mirrored else [1, 1])


def cut_out(image: np.ndarray, view: View, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (size, size, 3) uint8: bilinear, black outside.

    As the training pipeline cuts: what shrinks to a half or less is first averaged over whole pixels, not to alias.
    """
    affine, shrink = affine_of(view, size), max(int(1.001 * view.side / size), 1)
    left, top, right, bottom = _seen(view, shrink, image.shape)
    if left >= right or top >= bottom:
        return np.zeros((size, size, 3), np.uint8)
    part = image[top:bottom, left:right]
    affine[:, 2] += affine[:, :2] @ [left, top]
    if shrink >= 2:
        height, width = (max(length // shrink, 1) for length in part.shape[:2])
        affine[:, :2] *= [part.shape[1] / width, part.shape[0] / height]
        part = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    # OpenCV counts pixels from their centres, and warps four channels in half the time of three.
    affine[:, 2] += affine[:, :2].sum(1) / 2 - 0.5
    warped = cv2.warpAffine(cv2.cvtColor(part, cv2.COLOR_RGB2RGBA), affine, (size, size), flags=cv2.INTER_LINEAR)
    return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)


def _seen(view: View, step: int, shape: tuple[int, ...]) -> list[int]:
    """left, top, right, bottom of the pixels that a view shows and those beside them, in multiples of `step` up to the
    picture's ends."""
    sides = [shape[1], shape[0]]
    reach = view.side / 2 + 2 * step
    first, last = (view.center - reach) // step * step, (view.center + reach) // step * step + step
    return [*np.clip(first, 0, sides).astype(int).tolist(), *np.clip(last, 0, sides).astype(int).tolist()]
