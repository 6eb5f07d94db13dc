"""What every network asks of its picture."""

import jax.numpy as jnp
from jax import Array

from handjax.checks import check_shape


def check_image(image: Array, multiple: int = 1, size: int | None = None) -> None:
    """Raises ValueError unless `image` is (N, H, W, 3) floating point with sides that are multiples, or `size` each."""
    check_shape("image", image, ("N", "H" if size is None else size, "W" if size is None else size, 3))
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f"image must be floating point, scaled as the network's docstring says, got {image.dtype}")
    if image.shape[1] % multiple or image.shape[2] % multiple:
        raise ValueError(f"image must have sides that are multiples of {multiple}, got {image.shape[1:3]}")
