"""What the default model's finder of hands is trained on, beside `losses.multihand.center`: see `models.hand_finder`.

Each term is of one hand.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike

from handjax.losses import terms
from handjax.losses.crop_hand import scale, side
from handjax.losses.sums import CountedSum

__all__ = ["USUAL", "HandFinderWeights", "offset", "scale", "side"]


class HandFinderWeights(NamedTuple):
    """Of the terms' means."""

    center: float = 1.0
    offset: float = 0.3
    scale: float = 1.0
    side: float = 0.3


USUAL = HandFinderWeights()


def offset(offsets: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """|x - x*| + |y - y*| of (2,), in cells; counts hands. Raises ValueError for other shapes, as all terms here."""
    offsets, valid = terms.floats("offsets", offsets, (2,)), terms.flags(valid, ())
    return CountedSum(valid * jnp.abs(terms.difference(offsets, jnp.asarray(target), valid)).sum(), valid)
