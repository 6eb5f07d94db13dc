"""PCK, the share of keypoints within a distance, and the area under it between two distances."""

import numpy as np

from handjax.metrics.arrays import mask_like, masked_mean, same_kind


def pck(errors, thresholds, valid=None):
    """(S, N) errors, (T,) thresholds, valid (S, N) -> (T,) the share of errors <= each threshold.

    First over the S samples for each keypoint, then the mean over the keypoints that have any, as FreiHAND and hand3d
    count: where all are valid that is the share of all. nan where none is valid. For shares of a box (2D PCK@0.05)
    divide the errors by the box's size.
    """
    xp, (errors, thresholds) = same_kind(errors, thresholds)
    if errors.ndim != 2:
        raise ValueError(f"errors must have shape (S, N), got {errors.shape}")
    valid = mask_like(xp, valid, errors.shape)
    within = xp.stack([masked_mean(xp, errors <= thresholds[i], valid, 0) for i in range(thresholds.shape[0])])
    return masked_mean(xp, within, valid.any(axis=0)[None], -1)


def area_under(curve, thresholds):
    """(..., T) values at rising (T,) thresholds -> (...) trapezoidal area divided by the range: 1 for a curve of 1."""
    xp, (curve, thresholds) = same_kind(curve, thresholds)
    if thresholds.ndim != 1 or thresholds.shape[0] < 2 or curve.shape[-1] != thresholds.shape[0]:
        raise ValueError(
            f"curve must have a value for each of 2 or more thresholds, got {curve.shape} for {thresholds.shape}"
        )
    steps = thresholds[1:] - thresholds[:-1]
    heights = 0.5 * (curve[..., 1:] + curve[..., :-1])
    steps = steps.reshape((1,) * (heights.ndim - 1) + steps.shape)
    return xp.sum(heights * steps, axis=-1) / (thresholds[-1] - thresholds[0])


def auc(errors, low: float, high: float, steps: int = 100, valid=None):
    """() the area under the PCK of errors (S, N) over `steps` evenly spaced thresholds from low to high.

    In the unit of the errors: 0.02, 0.05 for 20-50 mm of metres. nan where none is valid.
    Raises ValueError for a range that does not rise or has no two thresholds.
    """
    if not low < high:
        raise ValueError(f"thresholds must rise from low to high, got {low} to {high}")
    thresholds = np.linspace(low, high, steps)
    return area_under(pck(errors, thresholds, valid), thresholds)
