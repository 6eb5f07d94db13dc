"""What an image shows of a hand, as residuals for the solver: keypoints under a camera, and fingers that may not twist.

Hands trail; fingers and points in the order of `handjax.mano.inverse.jacobian`.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from handjax.camera import MIN_DEPTH
from handjax.mano.inverse.assembly import FingerRows, PointRows
from handjax.mano.inverse.jacobian import keypoint_order
from handjax.mano.types import HandModel

TWIST_SMOOTHING = 2e-8
"""Cubic metres: below it the absolute value of the twist volume is rounded off. A bent finger has about 1e-6."""


def projection_rows(
    model: HandModel, pixels: Array, confidence: Array, focal: Array, center: Array, robust_px: Array | None
) -> Callable[[Array, Array, Array], PointRows]:
    """Pixels (B, 21, 2), confidence (B, 21), focal and center (B, 2) -> the reprojection term.

    Its energy is HandTailor's eq. 9 as coded: the mean square over 42 coordinates in px^2, each times the confidence of
    its point. With `robust_px` (B,) it is Geman and McClure's s^2 e / (s^2 + e) of each point's squared distance e.
    An unknown focal length is the one extra unknown: the logarithm of the factor on `focal`.
    """
    wrist_place, order = keypoint_order(model)
    seen, weight = pixels.transpose(2, 1, 0), confidence.T / 42
    focal, center = focal.T, center.T

    def project(points: Array, seen: Array, weight: Array, extra: Array) -> tuple[Array, Array, Array, Array]:
        """Points (3, ..., B) -> residual (2, ..., B), by point (2, 3, ..., B), by extra (2, E, ..., B), energy."""
        between = (1,) * (points.ndim - 2)
        scale = focal if extra.shape[0] == 0 else focal * jnp.exp(extra[:1])
        scale = scale.reshape(2, *between, -1)
        # Points behind the camera are held just in front of it, as `camera.project` does.
        depth = jnp.maximum(points[2:], MIN_DEPTH)
        by_depth = scale / depth
        offset = by_depth * points[:2]
        error = offset + center.reshape(2, *between, -1) - seen
        square = (error * error).sum(0)
        if robust_px is None:
            energy = weight * square
        else:
            bound = (robust_px * robust_px).reshape(*between, -1)
            share = bound / (bound + square)
            energy = weight * share * square
            weight = weight * share * share
        root = jnp.sqrt(weight)[None]
        slope, zero = root * by_depth, jnp.zeros_like(offset[0])
        fall = -root * offset / depth
        by_point = jnp.stack([jnp.stack([slope[0], zero, fall[0]]), jnp.stack([zero, slope[1], fall[1]])])
        by_extra = (root * offset)[:, None][:, : extra.shape[0]]
        return root * error, by_point, by_extra, energy

    def rows(wrist: Array, points: Array, extra: Array) -> PointRows:
        at_wrist = project(wrist, seen[:, wrist_place], weight[wrist_place], extra)
        at = project(points, seen[:, order], weight[order], extra)
        return PointRows(*at[:3], *at_wrist[:3], energy=at[3].sum((0, 1)) + at_wrist[3])

    return rows


def twist_rows(weight: float) -> Callable[[Array], FingerRows]:
    """HandTailor's eq. 10 for each finger, as residuals: weight 1 is its released code's coefficient 1.

    With V the bones from base to tip: 1e4 |(Vab x Vbc) . Vcd| averaged over fingers (out of plane), and
    1e5 max(0, -(Vab x Vbc) . (Vbc x Vcd)) of each finger (bent back), metres. The released code clips the second after
    summing over fingers, so that one finger's fault hides another's; the paper's eq. 10 and this do not.
    """

    def rows(points: Array) -> FingerRows:
        ab, bc, cd = (points[:, k] - points[:, k + 1] for k in range(3))
        n, m = _cross(ab, bc), _cross(bc, cd)
        volume, bend = (n * cd).sum(0), (n * m).sum(0)
        by_volume = _by_points(m, _cross(cd, ab), n)
        by_bend = _by_points(_cross(bc, m), _cross(m, ab) + _cross(cd, n), _cross(n, bc))
        magnitude = jnp.sqrt(volume * volume + TWIST_SMOOTHING**2)
        flat = weight * 1e4 / 5
        # An absolute value as the parabola that touches it from above: its slope is right, its minimum is the same.
        first = jnp.sqrt(flat / (2 * magnitude))
        backwards = jnp.maximum(-bend, 0.0)
        second = jnp.where(bend < 0, jnp.sqrt(weight * 1e5 / (2 * (backwards + 1e-12))), 0.0)
        return FingerRows(
            residual=jnp.stack([first * volume, second * bend]),
            by_points=jnp.stack([first[None, None] * by_volume, second[None, None] * by_bend]),
            energy=(flat * (magnitude - TWIST_SMOOTHING) + weight * 1e5 * backwards).sum(0),
        )

    return rows


def _by_points(by_ab: Array, by_bc: Array, by_cd: Array) -> Array:
    """Derivatives by the three bones -> by the four points (3, 4, 5, B)."""
    return jnp.stack([by_ab, by_bc - by_ab, by_cd - by_bc, -by_cd], 1)


def _cross(a: Array, b: Array) -> Array:
    """(3, ...) x (3, ...)."""
    return jnp.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
