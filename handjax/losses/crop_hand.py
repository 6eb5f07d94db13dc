"""What the default model's network for crops is trained on; see `models.crop_hand`. Each term is of one hand."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from handjax.losses import terms
from handjax.losses.sums import CountedSum


class CropHandWeights(NamedTuple):
    """Of the terms' means."""

    heatmap: float = 0.5
    place: float = 6.0
    depth: float = 0.5
    scale: float = 0.3
    side: float = 0.3


USUAL = CropHandWeights()


def heatmap(logits: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """Cross-entropy of (h, w, 21) under target (h, w, 21), of any sum; counts the valid keypoints whose target is not
    empty. Raises ValueError for shapes that do not go together, as all terms here."""
    logits = terms.floats("logits", logits, ("h", "w", terms.KEYPOINTS)).reshape(-1, terms.KEYPOINTS)
    target = terms.floats("target", target, ("h", "w", terms.KEYPOINTS)).reshape(-1, terms.KEYPOINTS)
    mass = target.sum(0)
    valid = terms.flags(valid, (terms.KEYPOINTS,)) * (mass > 0)
    shares = target / jnp.where(mass > 0, mass, 1.0)[None]
    entropies = -(shares * jax.nn.log_softmax(logits, axis=0)).sum(0)
    return CountedSum((valid * entropies).sum(), valid.sum())


def place(keypoints_2d: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """|x - x*| + |y - y*| of (21, 2), in shares of the crop's side; counts keypoints."""
    found = terms.floats("keypoints_2d", keypoints_2d, (terms.KEYPOINTS, 2))
    valid = terms.flags(valid, (terms.KEYPOINTS,))
    return CountedSum(
        (valid[:, None] * jnp.abs(terms.difference(found, jnp.asarray(target), valid))).sum(), valid.sum()
    )


def depth(depths: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """|d - d*| of (21,), in reference bones from the root; counts keypoints."""
    depths = terms.floats("depths", depths, (terms.KEYPOINTS,))
    valid = terms.flags(valid, (terms.KEYPOINTS,))
    return CountedSum((valid * jnp.abs(terms.difference(depths, jnp.asarray(target), valid))).sum(), valid.sum())


def scale(scale: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """|log s - log s*| of (), both positive; counts hands."""
    valid = terms.flags(valid, ())
    found = jnp.log(terms.floats("scale", scale, ()))
    true = jnp.log(jnp.where(valid > 0, terms.floats("target", target, ()), 1.0))
    return CountedSum(valid * jnp.abs(terms.difference(found, true, valid)), valid)


def side(right: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """Cross-entropy of the logit (): target 1 for a right hand, 0 for a left one; counts hands."""
    right, target = terms.floats("right", right, ()), terms.floats("target", target, ())
    valid = terms.flags(valid, ())
    return CountedSum(valid * (jax.nn.softplus(right) - target * right), valid)
