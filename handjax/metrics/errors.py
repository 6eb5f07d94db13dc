"""Distances between predicted and true points, in the unit that they come in.

Points are (..., N, d), NumPy (computed in float64) or jax arrays; valid (..., N) says which of them count, and a hand
of which none counts gives nan. The result is one number per hand: average over hands with `mean_valid`, or hand the
`distances` of many hands to `handjax.metrics.pck`.
"""

from handjax.metrics.alignment import align_given_scale, align_root, align_scale_translation, align_similarity, root_of
from handjax.metrics.arrays import length, mask_like, masked_mean, same_kind


def distances(predicted, true):
    """(..., N, d), (..., N, d) -> (..., N) Euclidean. Raises ValueError if the shapes differ."""
    xp, (predicted, true) = same_kind(predicted, true)
    if predicted.shape != true.shape:
        raise ValueError(f"predicted must have the true points' shape {true.shape}, got {predicted.shape}")
    return length(xp, predicted - true)


def mean_valid(values, valid=None, axis: int | tuple[int, ...] | None = None):
    """The mean of the valid values, of all of them by default; nan if there is none."""
    xp, (values,) = same_kind(values)
    return masked_mean(xp, values, mask_like(xp, valid, values.shape), axis)


def mpjpe(predicted, true, valid=None):
    """(...) mean per-joint position error, of the joints as they are."""
    return mean_valid(distances(predicted, true), valid, axis=-1)


def pa_mpjpe(predicted, true, valid=None, *, reflections: bool = False):
    """(...) mean per-joint position error after the best similarity (`alignment.similarity`, of the valid joints)."""
    return mpjpe(align_similarity(predicted, true, valid, reflections=reflections), true, valid)


def mpvpe(predicted, true, valid=None):
    """(...) mean per-vertex position error: `mpjpe` of vertices."""
    return mpjpe(predicted, true, valid)


def pa_mpvpe(predicted, true, valid=None, *, reflections: bool = False):
    """(...) mean per-vertex position error after the best similarity of the vertices themselves."""
    return pa_mpjpe(predicted, true, valid, reflections=reflections)


def epe(
    predicted,
    true,
    valid=None,
    *,
    root: tuple[int, ...] = (0,),
    bone: tuple[int, int] | None = None,
    in_bones: bool = False,
):
    """(...) end-point error relative to the root, with the true scale if `bone` is given.

    root: the joints whose mean is set to the true one's; they must be valid. bone: the joints between which the length
    is made the true one. in_bones: the prediction is relative to the root and in lengths of that bone already.
    Raises ValueError for in_bones without a bone.
    """
    if in_bones and bone is None:
        raise ValueError("bone must be given for a prediction in_bones, got None")
    if bone is None:
        aligned = align_root(predicted, true, root)
    else:
        align = align_given_scale if in_bones else align_scale_translation
        aligned = align(predicted, true, root, bone)
    return mpjpe(aligned, true, valid)


def mrrpe(predicted_left, predicted_right, true_left, true_right, valid=None, *, root: tuple[int, ...] = (0,)):
    """Mean relative-root position error: of the left root as seen from the right one (InterHand2.6M).

    Joints of each hand (S, N, 3); valid (S,): both roots are. -> () over all hands, nan if none is valid.
    """
    _, hands = same_kind(predicted_left, predicted_right, true_left, true_right)
    left, right, true_left, true_right = (root_of(hand, root)[..., 0, :] for hand in hands)
    return mean_valid(distances(left - right, true_left - true_right), valid)


def pixel_error(predicted, true, valid=None):
    """(...) mean distance of 2D keypoints (..., N, 2) in pixels of the picture that they are given in: say which."""
    return mpjpe(predicted, true, valid)
