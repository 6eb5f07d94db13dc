"""Checks at the public edge: errors that name the argument, what was expected and what came."""

from collections.abc import Sequence

import numpy as np


def check_shape(name: str, array, shape: Sequence[int | str | None]) -> None:
    """Raises ValueError unless `array` has `shape`; None and letters stand for any length. Free under jit."""
    actual = np.shape(array)
    matches = len(actual) == len(shape) and all(
        not isinstance(want, int) or want == got for want, got in zip(shape, actual, strict=True)
    )
    if not matches:
        wanted = ", ".join("?" if want is None else str(want) for want in shape)
        raise ValueError(f"{name} must have shape ({wanted}{',' if len(shape) == 1 else ''}), got {tuple(actual)}")


def check_last_axes(name: str, array, axes: Sequence[int]) -> None:
    """Raises ValueError unless the last axes of `array` are `axes`; any axes may lead."""
    actual = np.shape(array)
    if len(actual) < len(axes) or tuple(actual[len(actual) - len(axes) :]) != tuple(axes):
        wanted = ", ".join(["...", *map(str, axes)])
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(actual)}")


def check_choice(name: str, value, choices: Sequence) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
