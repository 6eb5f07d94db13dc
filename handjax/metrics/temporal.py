"""How smoothly points move: differences over frames of (T, N, 3), in metres per second to that power.

frame_rate 1 gives the same per frame. valid (T, N): a difference counts where all its frames do; nan where none does,
and for fewer frames than it needs.
"""

from handjax.metrics.arrays import length, mask_like, masked_mean, same_kind


def acceleration_error(predicted, true, frame_rate: float, valid=None):
    """() mean distance of predicted and true acceleration (Kanazawa et al. 2019, "accel error"), m / s^2."""
    xp, (predicted, true) = same_kind(predicted, true)
    if predicted.shape != true.shape:
        raise ValueError(f"predicted must have the true points' shape {true.shape}, got {predicted.shape}")
    return _mean_difference(xp, predicted - true, 2, frame_rate, valid)


def acceleration(points, frame_rate: float, valid=None):
    """() mean length of the acceleration, m / s^2: what a motion shows that should stand still."""
    xp, (points,) = same_kind(points)
    return _mean_difference(xp, points, 2, frame_rate, valid)


def jitter(points, frame_rate: float, valid=None):
    """() mean length of the jerk, the change of acceleration (Flash and Hogan 1985), m / s^3."""
    xp, (points,) = same_kind(points)
    return _mean_difference(xp, points, 3, frame_rate, valid)


def _mean_difference(xp, points, order: int, frame_rate: float, valid):
    if points.ndim != 3:
        raise ValueError(f"points must have shape (T, N, 3), got {points.shape}")
    if not frame_rate > 0:
        raise ValueError(f"frame_rate must be above 0, got {frame_rate}")
    valid = mask_like(xp, valid, points.shape[:-1])
    points = xp.where(valid[..., None], points, 0.0)
    for _ in range(order):
        points, valid = points[1:] - points[:-1], valid[1:] & valid[:-1]
    return masked_mean(xp, length(xp, points) * frame_rate**order, valid, None)
