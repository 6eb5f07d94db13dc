"""How a prediction is moved onto the truth before it is measured.

All take points and target (..., N, 3), NumPy (computed in float64) or jax arrays, and valid (..., N). Points that are
not valid are moved as well but have no say; what they hold does not matter. A nan in a valid one makes its hand nan.
"""

from typing import Any, NamedTuple

import numpy as np

from handjax.checks import check_last_axes
from handjax.metrics.arrays import length, mask_like, masked_mean, same_kind

EVALUATORS_GUARD = 1e-8
"""Metres that FreiHAND's and HO-3D's evaluators add to the size of a hand before they divide by it."""


class Similarity(NamedTuple):
    """x -> scale * rotation @ (x - source_mean) + target_mean.

    rotation (..., 3, 3), maybe with a reflection; scale (...); source_mean and target_mean (..., 3); source_size (...)
    what the points were divided by, the root of their summed squared distances from the mean.
    """

    rotation: Any
    scale: Any
    source_mean: Any
    target_mean: Any
    source_size: Any


def similarity(points, target, valid=None, *, reflections: bool = False, guard: float = 0.0) -> Similarity:
    """The similarity that brings points nearest to target in the sense of least squares.

    Generalised Procrustes as FreiHAND's evaluator has it: both centred and divided by their size, then an orthogonal
    matrix and a scale. That matrix is a rotation (Umeyama 1991, eq. 40-43), as in the "PA" of HMR, HaMeR and those
    after them; with `reflections` it may mirror, as in the evaluators of FreiHAND, HO-3D and DexYCB. Points in one
    place have the scale 0. guard: added to the sizes, EVALUATORS_GUARD for the last digits of those evaluators.
    """
    check_last_axes("points", points, (3,))
    check_last_axes("target", target, (3,))
    xp, (points, target) = same_kind(points, target)
    if points.shape != target.shape:
        raise ValueError(f"target must have the points' shape {points.shape}, got {target.shape}")
    valid = mask_like(xp, valid, points.shape[:-1])[..., None]
    source_mean, source, source_size = _normalized(xp, points, valid, guard)
    target_mean, goal, goal_size = _normalized(xp, target, valid, guard)
    # Sums of products and not matmul, which on accelerators would round to fewer digits.
    moments = xp.sum(goal[..., :, None] * source[..., None, :], axis=-3)
    # NumPy's decomposition raises for nan; without this one hand with a nan would take the whole batch with it.
    finite = xp.all(xp.isfinite(moments), axis=(-2, -1), keepdims=True)
    left, stretch, right = xp.linalg.svd(xp.where(finite, moments, 0.0))
    if not reflections:
        mirrored = xp.linalg.det(left) * xp.linalg.det(right) < 0
        last = xp.where(mirrored, -1.0, 1.0)[..., None]
        signs = xp.concatenate([xp.ones_like(last), xp.ones_like(last), last], axis=-1)
        left, stretch = left * signs[..., None, :], stretch * signs
    rotation = xp.sum(left[..., :, :, None] * right[..., None, :, :], axis=-2)
    scale = xp.sum(stretch, axis=-1) * goal_size / source_size
    return Similarity(rotation, scale, source_mean, target_mean, source_size)


def move(transform: Similarity, points):
    """(..., N, 3) moved by the similarity, which need not come from the same points."""
    xp, (points, rotation) = same_kind(points, transform.rotation)
    turned = turn(xp, rotation, points - transform.source_mean[..., None, :])
    return transform.scale[..., None, None] * turned + transform.target_mean[..., None, :]


def align_similarity(points, target, valid=None, *, reflections: bool = False, guard: float = 0.0):
    """(..., N, 3): points moved by the similarity that brings them nearest to target."""
    return move(similarity(points, target, valid, reflections=reflections, guard=guard), points)


def align_root(points, target, root: tuple[int, ...] = (0,)):
    """(..., N, 3): points shifted so that the mean of those numbered `root` is the target's."""
    xp, (points, target) = same_kind(points, target)
    return points - root_of(points, root) + root_of(target, root)


def align_scale_translation(points, target, root: tuple[int, ...] = (0,), bone: tuple[int, int] = (0, 9)):
    """(..., N, 3): the length of `bone` and the place of `root` made the target's; rotation stays as predicted.

    "With ground-truth scale" of BiHand (root and bone 9-0) and, with wrist and bone 0-9, HO-3D's "scale-translation".
    As there, points whose bone has no length are multiplied by the target's length.
    """
    xp, (points, target) = same_kind(points, target)
    own = bone_length(points, bone)
    scale = bone_length(target, bone) / xp.where(own > 0, own, 1.0)
    return scale[..., None, None] * (points - root_of(points, root)) + root_of(target, root)


def align_given_scale(points, target, root: tuple[int, ...] = (0,), bone: tuple[int, int] = (9, 10)):
    """(..., N, 3): points that are relative to the root and in lengths of `bone`, in metres and at the target's root.

    What hand3d does with the output of its network: times the true bone's length, the predicted root left as it is.
    """
    _, (points, target) = same_kind(points, target)
    return bone_length(target, bone)[..., None, None] * points + root_of(target, root)


def align_centroid_scale(points, target, valid=None):
    """(..., N, 3): the centroid and the mean distance from it made the target's; rotation stays as predicted.

    For sets with fingertips alone, after Minimal-Hand. Points in one place stay in one place, the centroid.
    """
    xp, (points, target) = same_kind(points, target)
    valid = mask_like(xp, valid, points.shape[:-1])
    own_mean, mean = (masked_mean(xp, x, valid[..., None], axis=-2)[..., None, :] for x in (points, target))
    own, size = (masked_mean(xp, length(xp, x), valid) for x in (points - own_mean, target - mean))
    scale = size / xp.where(own > 0, own, 1.0)
    return scale[..., None, None] * (points - own_mean) + mean


def root_of(points, root: tuple[int, ...]):
    """(..., N, 3) -> (..., 1, 3) the mean of the points numbered `root`."""
    return points[..., np.array(root), :].mean(axis=-2, keepdims=True)


def bone_length(points, bone: tuple[int, int]):
    """(..., N, 3) -> (...) the distance between two of the points."""
    xp, (points,) = same_kind(points)
    return length(xp, points[..., bone[0], :] - points[..., bone[1], :])


def turn(xp, rotation, points):
    """(..., 3, 3), (..., N, 3) -> (..., N, 3), in full precision on every device."""
    return xp.sum(rotation[..., None, :, :] * points[..., :, None, :], axis=-1)


def _normalized(xp, points, valid, guard: float):
    """-> mean (..., 3), centred points of size 1 with zeros where not valid, and that size (...)."""
    # Not masked_mean: the mean of nothing is here 0, so that the decomposition gets no nan.
    points = xp.where(valid, points, 0.0)
    mean = xp.sum(points, axis=-2) / xp.maximum(xp.sum(valid, axis=-2), 1)
    centred = xp.where(valid, points - mean[..., None, :], 0.0)
    size = xp.sqrt(xp.sum(centred * centred, axis=(-2, -1))) + guard
    size = xp.where(size > 0, size, 1.0)
    return mean, centred / size[..., None, None], size
