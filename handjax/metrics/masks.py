"""Overlap of silhouettes."""

from handjax.metrics.arrays import masked_mean, same_kind


def mask_iou(predicted, true, threshold: float = 0.5):
    """(..., H, W), (..., H, W) -> (...): pixels in both divided by pixels in either; nan where neither has any.

    A pixel is in a mask if its value is above the threshold.
    """
    xp, (predicted, true) = same_kind(predicted, true)
    if predicted.shape != true.shape or predicted.ndim < 2:
        raise ValueError(f"predicted must have the true masks' shape {true.shape}, got {predicted.shape}")
    ours, theirs = predicted > threshold, true > threshold
    either = xp.sum(ours | theirs, axis=(-2, -1))
    both = xp.sum(ours & theirs, axis=(-2, -1))
    return xp.where(either > 0, both / xp.where(either > 0, either, 1), xp.nan)


def mean_iou(predicted, true, threshold: float = 0.5):
    """() mean of `mask_iou` over the pictures (S, H, W) where either mask has a pixel; nan if there is no such."""
    iou = mask_iou(predicted, true, threshold)
    xp, (iou,) = same_kind(iou)
    return masked_mean(xp, iou, ~xp.isnan(iou), None)
