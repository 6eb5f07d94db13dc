"""Terms that several systems share, of one hand: keypoints, bones, quaternions, heat-maps, priors.

`valid` is what may be compared, True or False or a weight in [0, 1]; None stands for all of it. What is not valid may
hold anything, NaN too.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.checks import check_last_axes, check_shape
from handjax.losses.sums import CountedSum
from handjax.mano import KEYPOINT_PARENTS

KEYPOINTS = 21
WRIST, KNUCKLE = 0, 9
"""The reference bone leads from the wrist to the middle finger's base."""

LEAST_LENGTH = 1e-6
"""No unit of length is shorter."""


def floats(name: str, array: ArrayLike, shape: Sequence[int | str]) -> Array:
    """Floating point of at least 32 bits. Raises ValueError for another shape; letters stand for any length."""
    check_shape(name, array, shape)
    array = jnp.asarray(array)
    return array.astype(jnp.result_type(array, jnp.float32))


def flags(valid: ArrayLike | None, shape: Sequence[int]) -> Array:
    """`valid` as numbers of that shape, ones for None. Raises ValueError for another shape."""
    return jnp.ones(tuple(shape)) if valid is None else floats("valid", valid, shape)


def difference(values: Array, target: Array, valid: Array) -> Array:
    """values - target, 0 where not valid; `valid` has their first axes. What is left out has no gradient either."""
    known = jnp.broadcast_to(valid.reshape(valid.shape + (1,) * (values.ndim - valid.ndim)) > 0, values.shape)
    return jnp.where(known, values - target, 0.0)


def length(vectors: Array) -> Array:
    """(..., d) -> (...), with gradient 0 where it is 0."""
    squared = (vectors * vectors).sum(-1)
    vanishing = squared == 0
    return jnp.where(vanishing, 0.0, jnp.sqrt(jnp.where(vanishing, 1.0, squared)))


def unit(vectors: Array) -> Array:
    """(..., d) -> (..., d) of length 1; one of length 0 stays, with gradient 0."""
    squared = (vectors * vectors).sum(-1, keepdims=True)
    vanishing = squared == 0
    return jnp.where(vanishing, 0.0, vectors / jnp.sqrt(jnp.where(vanishing, 1.0, squared)))


def bones(points: Array) -> Array:
    """(..., 21, d) -> (..., 20, d), from each keypoint's parent to it."""
    return points[..., 1:, :] - points[..., np.array(KEYPOINT_PARENTS), :]


def valid_bones(valid: Array) -> Array:
    """(..., 21) -> (..., 20): both of its ends are."""
    return valid[..., 1:] * valid[..., np.array(KEYPOINT_PARENTS)]


def reference_length(joints: Array) -> Array:
    """(..., 21, 3) -> (...): of the bone from the wrist to the middle finger's base, kept above `LEAST_LENGTH`."""
    return jnp.maximum(length(joints[..., WRIST, :] - joints[..., KNUCKLE, :]), LEAST_LENGTH)


def point_squares(points: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """sum_k |x_k - x*_k|^2 over valid points; counts points. points, target (K, d); valid (K,)."""
    points = floats("points", points, ("K", "d"))
    target = floats("target", target, points.shape)
    valid = flags(valid, points.shape[:1])
    squares = (difference(points, target, valid) ** 2).sum(-1)
    return CountedSum((valid * squares).sum(), valid.sum())


def heatmap_squares(heatmaps: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """sum over stacks, pixels and valid keypoints of (H - H*)^2; counts pixels and keypoints, not stacks.

    heatmaps (S, H, W, K) as the stacks of a network put them out; target (H, W, K); valid (K,).
    """
    heatmaps = floats("heatmaps", heatmaps, ("S", "H", "W", "K"))
    _, height, width, keypoints = heatmaps.shape
    target = floats("target", target, (height, width, keypoints))
    valid = flags(valid, (keypoints,))
    known = jnp.broadcast_to(valid > 0, heatmaps.shape)
    squares = jnp.where(known, heatmaps - target[None], 0.0) ** 2
    return CountedSum((squares.sum((0, 1, 2)) * valid).sum(), height * width * valid.sum())


def quaternion_cosine(quaternions: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """sum_j |1 - Re(q*_j q_j^-1)|, q_j of unit length; counts joints.

    Zhou et al. 2020 ("Monocular Real-time Hand Shape and Motion Capture"), the cosine term, taken over by BiHand and
    HandTailor. quaternions (J, 4) (w, x, y, z) of any length; target (J, 4) of unit length; valid (). q and -q are
    not alike: targets need one sign throughout, w >= 0.
    """
    quaternions, target, valid = _quaternions(quaternions, target, valid)
    cosine = (unit(quaternions) * jnp.where(valid > 0, target, 0.0)).sum(-1)
    away = jnp.where(valid > 0, jnp.abs(1 - cosine), 0.0)
    return CountedSum((valid * away).sum(), len(target) * valid)


def quaternion_l2(quaternions: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """sum_j |q_j - q*_j|^2, q_j of unit length; counts entries, four a joint. Arguments of `quaternion_cosine`."""
    quaternions, target, valid = _quaternions(quaternions, target, valid)
    squares = difference(unit(quaternions), target, valid) ** 2
    return CountedSum(valid * squares.sum(), target.size * valid)


def quaternion_norm(quaternions: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """sum_j (|q_j| - 1)^2 of raw quaternions (J, 4), valid (); counts joints. At length 0 no gradient."""
    quaternions = floats("quaternions", quaternions, ("J", 4))
    valid = flags(valid, ())
    return CountedSum(valid * ((length(quaternions) - 1) ** 2).sum(), len(quaternions) * valid)


def squared_norm(values: ArrayLike, valid: ArrayLike | None = None, name: str = "values") -> CountedSum:
    """|x|^2 of (n,); counts hands. A prior that pulls to 0: betas to the mean shape, coefficients to the mean pose."""
    values = floats(name, values, ("n",))
    valid = flags(valid, ())
    return CountedSum(valid * (difference(values, jnp.zeros_like(values), valid) ** 2).sum(), valid)


def aligned_entries(points: Array, joints: Array) -> Array:
    """points (..., N, 3) from the middle finger's base of joints (..., 21, 3), in their own reference bones."""
    check_last_axes("joints", joints, (KEYPOINTS, 3))
    unit_length = reference_length(joints)[..., None, None]
    return (points - joints[..., KNUCKLE : KNUCKLE + 1, :]) / unit_length


def _quaternions(quaternions: ArrayLike, target: ArrayLike, valid: ArrayLike | None) -> tuple[Array, Array, Array]:
    quaternions = floats("quaternions", quaternions, ("J", 4))
    return quaternions, floats("target", target, quaternions.shape), flags(valid, ())
