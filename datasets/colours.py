"""Colours, blur and noise of one picture, by OpenCV on bytes."""

from functools import lru_cache

import cv2
import numpy as np

from datasets.augment import Augmentation

GREY = np.array([0.299, 0.587, 0.114])
"""Red, green and blue in luminance (ITU-R BT.601)."""
HUE_PLANE = np.array([GREY, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""YIQ: luminance, and the plane in which hue turns."""
HUE_PLANE_BACK = np.linalg.inv(HUE_PLANE)
TO_GREY = np.tile(GREY, (3, 1))
BGR_TO_RGB = np.eye(3)[::-1]
NOISE_STRETCHES = 16
"""The noise is drawn once, as much as so many pictures take."""
LEAST_BLUR = 0.2
"""Pixels: a Gaussian this narrow changes no byte."""


def recolour(image: np.ndarray, augmentation: Augmentation, random: np.random.Generator) -> None:
    """(H, W, 3) uint8 BGR -> RGB, changed, in place.

    Brightness, contrast (from the mean grey), saturation (from each pixel's grey) and hue (a turn of YIQ's plane) in an
    order of their own, then gains and offsets: one affine map of colours, clipped once at the end.
    """
    matrix, offset = BGR_TO_RGB, np.zeros(3)
    changes = ("brightness", "contrast", "saturation", "hue")
    changed = random.random() < augmentation.colour_share
    if changed:
        mean = np.array(cv2.mean(image)[:3]) if augmentation.contrast is not None else np.zeros(3)
        for name in random.permutation(changes):
            if (bounds := getattr(augmentation, name)) is not None:
                step, added = _step(name, random.uniform(*bounds), float(GREY @ (matrix @ mean + offset)))
                matrix, offset = step @ matrix, step @ offset + added
        if augmentation.gain is not None or augmentation.offset:
            gain = random.uniform(*(augmentation.gain or (1.0, 1.0)), 3)
            matrix = gain[:, None] * matrix
            offset = gain * offset + 255 * augmentation.offset * random.uniform(-1, 1, 3)
    if matrix is BGR_TO_RGB:
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    else:
        cv2.transform(image, np.concatenate([matrix, offset[:, None]], 1), dst=image)
    if changed and augmentation.hue_factor is not None:
        _multiply_hue(image, random.uniform(*augmentation.hue_factor))
    if augmentation.blur is not None:
        sigma = random.uniform(*augmentation.blur)
        if sigma > LEAST_BLUR:
            cv2.GaussianBlur(image, (0, 0), sigma, dst=image)
    if augmentation.noise:
        noise = _noise(255 * augmentation.noise, image.size)
        start = int(random.integers(len(noise) - image.size))
        cv2.add(image, noise[start : start + image.size].reshape(image.shape), dst=image, dtype=cv2.CV_8U)


def _step(name: str, factor: float, mean_grey: float) -> tuple[np.ndarray, np.ndarray]:
    """One change as matrix (3, 3) and offset (3,) of RGB."""
    if name == "brightness":
        return factor * np.eye(3), np.zeros(3)
    if name == "contrast":
        return factor * np.eye(3), np.full(3, (1 - factor) * mean_grey)
    if name == "saturation":
        return factor * np.eye(3) + (1 - factor) * TO_GREY, np.zeros(3)
    cosine, sine = np.cos(2 * np.pi * factor), np.sin(2 * np.pi * factor)
    turn = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    return HUE_PLANE_BACK @ turn @ HUE_PLANE, np.zeros(3)


def _multiply_hue(image: np.ndarray, factor: float) -> None:
    levels = np.arange(256)
    tables = np.stack([np.mod(np.rint(levels * factor), 256), levels, levels], -1).astype(np.uint8)[None]
    # The full coding: 256 steps around the circle, where the usual one has 180.
    coded = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    cv2.cvtColor(cv2.LUT(coded, tables, dst=coded), cv2.COLOR_HSV2RGB_FULL, dst=image)


@lru_cache(maxsize=4)
def _noise(deviation: float, length: int) -> np.ndarray:
    """Drawn once: a picture takes a stretch of it from a random place, for a tenth of the time that drawing takes."""
    drawn = np.random.default_rng(0).standard_normal(NOISE_STRETCHES * length, np.float32)
    return np.rint(deviation * drawn).astype(np.int16)
