"""Blendable implicit solids: negative inside, about the distance in mm near the surface."""

import numpy as np


def smooth_min(first: np.ndarray, second: np.ndarray, radius: float) -> np.ndarray:
    """The union of two solids with a fillet of about `radius` mm (polynomial smooth minimum, Quilez)."""
    blend = np.clip(0.5 + 0.5 * (second - first) / radius, 0.0, 1.0)
    return second * (1.0 - blend) + first * blend - radius * blend * (1.0 - blend)


def smooth_max(first: np.ndarray, second: np.ndarray, radius: float) -> np.ndarray:
    return -smooth_min(-first, -second, radius)


def ellipsoid(points: np.ndarray, centre, axes, radii) -> np.ndarray:
    """(N, 3), centre (3,), axes (3, 3) rows, radii (3,) -> (N,)."""
    local = (points - centre) @ np.asarray(axes).T
    radii = np.asarray(radii, float)
    return first_order_distance(local, radii, exponent=2.0)


def elliptic_cone(points: np.ndarray, start, end, axes, start_size, end_size) -> np.ndarray:
    """A round cone of elliptic section from `start` to `end`, of (breadth, depth) along rows 0 and 2 of `axes`."""
    axes = np.asarray(axes)
    length = np.linalg.norm(np.subtract(end, start))
    local = (points - start) @ axes.T
    along = np.clip(local[:, 1] / length, 0.0, 1.0)[:, None]
    half = (np.asarray(start_size) * (1.0 - along) + np.asarray(end_size) * along) / 2.0
    local[:, 1] -= np.clip(local[:, 1], 0.0, length)
    radii = np.stack([half[:, 0], half.mean(axis=1), half[:, 1]], axis=1)
    return first_order_distance(local, radii, exponent=2.0)


def first_order_distance(local: np.ndarray, radii: np.ndarray, exponent: float) -> np.ndarray:
    """Distance to a super-ellipsoid in its own axes, exact to first order at the surface (Taubin 1991)."""
    ratio = np.abs(local) / radii
    level = (ratio**exponent).sum(axis=1) ** (1.0 / exponent)
    slope = np.linalg.norm(local / radii**2, axis=1)
    distance = level * (level - 1.0) / np.maximum(slope, 1e-6)
    # At the axis the slope vanishes and the quotient means nothing; only its sign is used there.
    return np.where(level < 0.22, -np.min(np.broadcast_to(radii, local.shape), axis=1), distance)


def gradient(field, points: np.ndarray, step: float = 0.25) -> np.ndarray:
    """(N, 3) central differences of `field: (N, 3) -> (N,)`."""
    offsets = step * np.concatenate([np.eye(3), -np.eye(3)])
    values = field((points[None] + offsets[:, None]).reshape(-1, 3)).reshape(6, -1)
    return ((values[:3] - values[3:]) / (2.0 * step)).T


def project(field, points: np.ndarray, iterations: int = 4, limit: float = 3.0, damping: float = 1.0) -> np.ndarray:
    """Moves (N, 3) points onto the zero level by Newton steps, none further than `limit` mm from where it began."""
    moved = points
    for _ in range(iterations):
        slope = gradient(field, moved)
        step = field(moved) / np.maximum((slope**2).sum(axis=1), 0.25)
        offset = moved - damping * step[:, None] * slope - points
        length = np.linalg.norm(offset, axis=1, keepdims=True)
        moved = points + offset * np.minimum(1.0, limit / np.maximum(length, 1e-9))
    return moved
