"""Checks of what the functions of this folder take: sizes of images, dataclasses of chances and ranges."""

import dataclasses
import math

from handjax.checks import check_shape


def check_size(size: tuple[int, int]) -> None:
    """Raises ValueError unless `size` is (H, W), whole numbers of at least 8 pixels."""
    whole = isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(side, int) for side in size)
    if not whole or min(size) < 8:
        raise ValueError(f"size must be (H, W), each at least 8 pixels, got {size!r}")


def check_image(name: str, image) -> None:
    """Raises ValueError unless `image` is (H, W, 3) with sides of at least 8 pixels."""
    check_shape(name, image, ("H", "W", 3))
    if min(image.shape[:2]) < 8:
        raise ValueError(f"{name} must be at least 8 pixels wide and high, got {image.shape}")


def check_chances(settings, but: tuple[str, ...] = ()) -> None:
    """Raises ValueError unless every number of a dataclass, `but` those named, lies in [0, 1]."""
    for name, value in _fields(settings, but):
        if isinstance(value, tuple):
            continue
        if not (isinstance(value, float | int) and 0.0 <= value <= 1.0):
            raise ValueError(f"{name} must lie in [0, 1], got {value!r}")


def check_ranges(settings, lowest: float, but: tuple[str, ...] = ()) -> None:
    """Raises ValueError unless every pair of a dataclass rises, is finite and begins at `lowest` or above."""
    for name, value in _fields(settings, but):
        if not isinstance(value, tuple):
            continue
        pair = len(value) == 2 and all(isinstance(end, float | int) and math.isfinite(end) for end in value)
        if not (pair and lowest <= value[0] <= value[1]):
            raise ValueError(f"{name} must be (low, high) with {lowest:g} <= low <= high, got {value!r}")


def _fields(settings, but: tuple[str, ...]):
    return [
        (field.name, getattr(settings, field.name)) for field in dataclasses.fields(settings) if field.name not in but
    ]
