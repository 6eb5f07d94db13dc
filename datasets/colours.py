"""Colours, blur and noise of one picture, by OpenCV on bytes."""

import math
from functools import lru_cache

import cv2
import numpy as np

from datasets.augment import Augmentation

GREY = np.array([0.299, 0.587, 0.114])
"""Red, green and blue in luminance (ITU-R BT.601)."""
HUE_PLANE = np.array([GREY, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""YIQ: luminance, and the plane in which hue turns."""
HUE_PLANE_BACK = np.linalg.inv(HUE_PLANE)
STEPS = ("brightness", "contrast", "saturation", "hue")
LEVELS = np.arange(256)
NOISE_STRETCHES = 16
"""The noise is drawn once, as much as so many pictures take."""
LEAST_BLUR, NARROW_BLUR = 0.28, 0.5
"""Pixels: a Gaussian no wider than the first changes no byte; than the second, none beyond the next pixel."""


def recolour(image: np.ndarray, augmentation: Augmentation, random: np.random.Generator) -> None:
    """(H, W, 3) uint8 RGB, changed in place.

    Brightness, contrast (from the mean grey), saturation (from each pixel's grey) and hue (a turn of YIQ's plane) in an
    order of their own, then gains and offsets: one affine map of colours, clipped once at the end.
    """
    if random.random() < augmentation.colour_share:
        if (colours := _drawn_map(image, augmentation, random)) is not None:
            cv2.transform(image, colours, dst=image)
        if augmentation.hue_factor is not None:
            _multiply_hue(image, random.uniform(*augmentation.hue_factor))
    if augmentation.blur is not None:
        sigma = random.uniform(*augmentation.blur)
        if sigma > LEAST_BLUR:
            cv2.GaussianBlur(image, (3, 3) if sigma <= NARROW_BLUR else (0, 0), sigma, dst=image)
    if augmentation.noise:
        lighter, darker = _noise(255 * augmentation.noise, image.size)
        start = int(random.integers(len(lighter) - image.size))
        # One of them is 0 everywhere: bytes that saturate, in a fifth of the time of adding numbers with signs.
        cv2.add(image, lighter[start : start + image.size].reshape(image.shape), dst=image)
        cv2.subtract(image, darker[start : start + image.size].reshape(image.shape), dst=image)


def _drawn_map(image: np.ndarray, augmentation: Augmentation, random: np.random.Generator) -> np.ndarray | None:
    """(3, 4): RGB and 1 -> RGB; None where nothing is to be changed."""
    colours, touched = np.eye(3, 4), False
    mean = np.ones(4)
    if augmentation.contrast is not None:
        mean[:3] = cv2.mean(image)[:3]
    for step in random.permutation(len(STEPS)).tolist():
        if (bounds := getattr(augmentation, STEPS[step])) is not None:
            colours, touched = _changed(STEPS[step], random.uniform(*bounds), colours, mean), True
    if augmentation.gain is not None or augmentation.offset:
        colours, touched = random.uniform(*(augmentation.gain or (1.0, 1.0)), 3)[:, None] * colours, True
        colours[:, 3] += 255 * augmentation.offset * random.uniform(-1, 1, 3)
    return colours if touched else None


def _changed(name: str, factor: float, colours: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A map of colours (3, 4) with one change after it; mean (4,) of the picture before them, and 1."""
    if name == "hue":
        cosine, sine = math.cos(2 * math.pi * factor), math.sin(2 * math.pi * factor)
        turn = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
        return HUE_PLANE_BACK @ turn @ HUE_PLANE @ colours
    changed = factor * colours
    if name == "contrast":
        changed[:, 3] += (1 - factor) * (GREY @ colours @ mean)
    if name == "saturation":
        changed += (1 - factor) * (GREY @ colours)
    return changed


def _multiply_hue(image: np.ndarray, factor: float) -> None:
    # The full coding: 256 steps around the circle, where the usual one has 180.
    coded = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    table = np.mod(np.rint(LEVELS * factor), 256).astype(np.uint8)
    # A table for each channel would take twice as long.
    cv2.insertChannel(cv2.LUT(cv2.extractChannel(coded, 0), table), coded, 0)
    cv2.cvtColor(coded, cv2.COLOR_HSV2RGB_FULL, dst=image)


@lru_cache(maxsize=4)
def _noise(deviation: float, length: int) -> tuple[np.ndarray, np.ndarray]:
    """What is added and what is taken away, uint8, drawn once: a picture takes a stretch from a random place, for a
    tenth of the time that drawing takes."""
    drawn = np.random.default_rng(0).standard_normal(NOISE_STRETCHES * length, np.float32)
    drawn = np.rint(deviation * drawn)
    return np.clip(drawn, 0, 255).astype(np.uint8), np.clip(-drawn, 0, 255).astype(np.uint8)
