"""What both pipelines ask of their crops and cameras."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from handjax.camera import Camera
from handjax.checks import check_shape
from handjax.models.check_image import check_image

HALF_RANGE = 0.5
"""Pictures lie in [-0.5, 0.5]: uint8 over 255, less a half."""

LONGEST_BONE = 1.0
"""Metres. A longer reference bone was given in another unit."""


def check_crops(image: Array) -> None:
    """Raises ValueError unless `image` is (N, S, S, 3), floating point and, where its values are known, in range."""
    check_image(image)
    if image.shape[1] != image.shape[2]:
        raise ValueError(f"image must be square, got {image.shape[1]} x {image.shape[2]}")
    if isinstance(image, Tracer) or not image.size:
        return
    least, most = float(jnp.min(image)), float(jnp.max(image))
    # Also false for NaN.
    if not (least >= -HALF_RANGE - 1e-3 and most <= HALF_RANGE + 1e-3):
        raise ValueError(f"image must lie in [-0.5, 0.5], got [{least:g}, {most:g}]")


def check_camera(camera: Camera, count: int) -> None:
    """Raises ValueError unless `camera` has focal and center (count, 2), where known finite, focal positive."""
    for name, values in zip(Camera._fields, camera, strict=True):
        check_shape(f"camera.{name}", values, (count, 2))
        check_finite(f"camera.{name}", values)
    if not isinstance(camera.focal, Tracer) and not (np.asarray(camera.focal) > 0).all():
        raise ValueError(f"camera.focal must be positive, got {np.asarray(camera.focal).tolist()}")


def check_bone(bone: ArrayLike, count: int) -> None:
    """Raises ValueError unless `bone` is (count,), where known in metres and positive."""
    check_shape("bone", bone, (count,))
    if isinstance(bone, Tracer):
        return
    values = np.asarray(bone)
    if not ((values > 0) & (values < LONGEST_BONE)).all():
        raise ValueError(f"bone must be in metres, above 0 and below {LONGEST_BONE:g}, got {values.tolist()}")


def check_finite(name: str, values: ArrayLike) -> None:
    if not isinstance(values, Tracer) and not np.isfinite(np.asarray(values)).all():
        raise ValueError(f"{name} must be finite, got {np.asarray(values).tolist()}")
