"""What networks and fits are trained on. Terms on rendered pictures are here, by name; each system's own in a module.

`bihand`, `hamr`, `multihand`, `handtailor`, `deephandmesh`: every term of a paper as a function of one hand or one
picture (`jax.vmap` for more), which returns a `CountedSum`, and its weights: the paper's are the defaults, the released
code's a preset beside them.

    terms = {"joint": jax.vmap(bihand.joint)(joints, target), "depth": jax.vmap(bihand.depth)(depth, depth_target)}
    means = losses.means_of(terms)
    loss = losses.weighted(means, bihand.PAPER)

A term counts what is valid; where nothing is, it is 0 and so is its gradient, whatever stands there. Released code that
leaves invalid entries in the denominator divides `total` by the number of all.
"""

from handjax.losses.image import (
    DEPTH_STEP,
    MEANS,
    SMALLEST_SIDE,
    depth_smooth_l1,
    depth_sums,
    has_depth,
    photometric,
    photometric_sums,
    silhouette_l1,
    silhouette_pyramid,
)
from handjax.losses.sums import CountedSum, PixelSum, mean_of, means_of, weighted

__all__ = [
    "DEPTH_STEP",
    "MEANS",
    "SMALLEST_SIDE",
    "CountedSum",
    "PixelSum",
    "depth_smooth_l1",
    "depth_sums",
    "has_depth",
    "mean_of",
    "means_of",
    "photometric",
    "photometric_sums",
    "silhouette_l1",
    "silhouette_pyramid",
    "weighted",
]
