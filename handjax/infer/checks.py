"""What inference asks of its images, cameras and sizes."""

from collections.abc import Sequence

import numpy as np

from handjax.camera import Camera
from handjax.checks import check_shape


def check_picture(name: str, image: np.ndarray) -> None:
    """Raises ValueError unless `image` is (H, W, 3) uint8 with a pixel at least."""
    shape = np.shape(image)
    if len(shape) != 3 or shape[2] != 3:
        raise ValueError(f"{name} must have shape (H, W, 3), got {shape}{_kind_of(shape)}")
    if np.asarray(image).dtype != np.uint8:
        raise ValueError(f"{name} must be uint8 RGB, got {np.asarray(image).dtype}")
    if 0 in shape:
        raise ValueError(f"{name} must have pixels, got shape {shape}")


def _kind_of(shape: tuple[int, ...]) -> str:
    """What a picture of a wrong shape looks like."""
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        return ": grey, repeat it three times"
    if len(shape) == 3 and shape[2] == 4:
        return ": has an alpha channel, leave it out"
    if len(shape) == 3 and shape[0] == 3:
        return ": channels come last"
    return ""


def check_one_camera(name: str, camera: Camera) -> None:
    """Raises ValueError unless `camera` is a Camera of one image, finite and with positive focal lengths."""
    if not isinstance(camera, Camera):
        raise ValueError(f"{name} must be a handjax.camera.Camera or None, got {type(camera).__name__}")
    for field, values in zip(Camera._fields, camera, strict=True):
        check_shape(f"{name}.{field}", values, (2,))
        check_numbers(f"{name}.{field}", np.asarray(values))
    if not (np.asarray(camera.focal) > 0).all():
        raise ValueError(f"{name}.focal must be positive, got {np.asarray(camera.focal).tolist()}")


def check_numbers(name: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got {values.tolist()}")


def check_count(name: str, value: int, multiple: int = 1) -> None:
    """Raises ValueError unless `value` is a positive whole multiple."""
    if not isinstance(value, int | np.integer) or value < 1 or value % multiple:
        kind = "a positive whole number" if multiple == 1 else f"a positive multiple of {multiple}"
        raise ValueError(f"{name} must be {kind}, got {value!r}")


def check_all(name: str, values: Sequence, count: int) -> None:
    if len(values) != count:
        raise ValueError(f"{name} must have {count} entries, one for each image, got {len(values)}")
