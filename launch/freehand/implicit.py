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
    if exponent == 2.0:
        level = np.sqrt(np.einsum("nx,nx->n", ratio, ratio))
    else:
        level = (ratio**exponent).sum(axis=1) ** (1.0 / exponent)
    slope = ratio / radii
    slope = np.sqrt(np.einsum("nx,nx->n", slope, slope))
    distance = level * (level - 1.0) / np.maximum(slope, 1e-6)
    # At the axis the slope vanishes and the quotient means nothing; only its sign is used there.
    return np.where(level < 0.22, -np.min(np.broadcast_to(radii, local.shape), axis=1), distance)


def triangle_sheet(points: np.ndarray, corners: np.ndarray, thickness) -> np.ndarray:
    """A rounded sheet over a triangle: (N, 3), corners (3, 3), half thickness at each corner (3,) -> (N,)."""
    first, second = corners[1] - corners[0], corners[2] - corners[0]
    local = points - corners[0]
    gram = np.array([[first @ first, first @ second], [first @ second, second @ second]])
    shares = np.linalg.solve(gram, np.stack([local @ first, local @ second]))
    inside = (shares >= 0.0).all(axis=0) & (shares.sum(axis=0) <= 1.0)
    best = np.where(inside, np.linalg.norm(local - shares.T @ np.stack([first, second]), axis=1), np.inf)
    half = np.stack([1.0 - shares.sum(axis=0), *shares]).T @ np.asarray(thickness)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        side = corners[end] - corners[start]
        along = np.clip((points - corners[start]) @ side / (side @ side), 0.0, 1.0)
        distance = np.linalg.norm(points - corners[start] - along[:, None] * side, axis=1)
        closer = distance < best
        best = np.where(closer, distance, best)
        half = np.where(closer, thickness[start] + along * (thickness[end] - thickness[start]), half)
    return best - half


def nearby(points: np.ndarray, centre, radius: float, solid, margin: float) -> np.ndarray:
    """`solid: (N, 3) -> (N,)` up to `margin` mm from the ball that holds it; further out the distance to the ball."""
    offset = points - centre
    distance = np.sqrt(np.einsum("nx,nx->n", offset, offset)) - radius
    close = np.flatnonzero(distance < margin)
    distance[close] = solid(points[close])
    return distance


def bump(points: np.ndarray, centre, axes, radii) -> np.ndarray:
    """(N,) 1 at the centre, falling off as a Gaussian of standard deviations `radii` along the rows of `axes`."""
    local = ((points - centre) @ np.asarray(axes).T) / radii
    return np.exp(-0.5 * np.einsum("nx,nx->n", local, local))


def ridge(points: np.ndarray, path: np.ndarray, width: float, ends: float) -> np.ndarray:
    """(N,) 1 on the polyline `path` (P, 3), a Gaussian of `width` mm across it, fading over `ends` mm at its ends."""
    steps = np.diff(path, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    starts = np.concatenate([[0.0], np.cumsum(lengths)])
    nearest, travelled = np.full(len(points), np.inf), np.zeros(len(points))
    for start, step, length, before in zip(path[:-1], steps, lengths, starts[:-1], strict=True):
        along = np.clip((points - start) @ step / length**2, 0.0, 1.0)
        offset = points - start - along[:, None] * step
        squared = np.einsum("nx,nx->n", offset, offset)
        closer = squared < nearest
        nearest = np.where(closer, squared, nearest)
        travelled = np.where(closer, before + along * length, travelled)
    fade = smoothstep(travelled / ends) * smoothstep((starts[-1] - travelled) / ends)
    return fade * np.exp(-0.5 * nearest / width**2)


def smoothstep(value: np.ndarray) -> np.ndarray:
    clipped = np.clip(value, 0.0, 1.0)
    return clipped * clipped * (3.0 - 2.0 * clipped)


TETRAHEDRON = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])


def gradient(field, points: np.ndarray, step: float = 0.1) -> np.ndarray:
    """(N, 3) differences of `field: (N, 3) -> (N,)` over a tetrahedron: four values, exact for a linear field."""
    values = field((points[None] + step * TETRAHEDRON[:, None]).reshape(-1, 3)).reshape(4, -1)
    return np.einsum("cn,cx->nx", values, TETRAHEDRON) / (4.0 * step)


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
