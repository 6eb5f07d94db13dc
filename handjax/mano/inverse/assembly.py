"""From residuals of points to the normal equations of a hand, by the chain rule over its keypoint Jacobian."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from handjax.mano.inverse.arrow import NormalEquations
from handjax.mano.inverse.jacobian import FINGERS, POINTS, SEGMENTS, PointJacobian
from handjax.mano.inverse.planes import kept, total


class PointRows(NamedTuple):
    """Weighted residuals of keypoints, R to a point, and their derivatives. `extra`: E camera unknowns.

    A robust or one-sided term enters as the quadratic that touches it, so `energy` is not the sum of squares.
    """

    residual: Array  # (R, 4, 5, B)
    by_point: Array  # (R, 3, 4, 5, B)
    by_extra: Array  # (R, E, 4, 5, B)
    wrist_residual: Array  # (R, B)
    wrist_by_point: Array  # (R, 3, B)
    wrist_by_extra: Array  # (R, E, B)
    energy: Array  # (B,)


class FingerRows(NamedTuple):
    """Weighted residuals of whole fingers, Q to a finger, that depend on all its four points."""

    residual: Array  # (Q, 5, B)
    by_points: Array  # (Q, 3, 4, 5, B)
    energy: Array  # (B,)


class Prior(NamedTuple):
    """Energy on the unknowns themselves: its value and halves of its first and second derivatives."""

    energy: Array  # (B,)
    finger_gradient: Array  # (9, 5, B)
    joint: Array  # (3 segments, 3, 3, 5, B): joints of a finger have priors of their own
    border_gradient: Array  # (N, B)
    border: Array  # (N, N, B or 1)


def normal_equations(jacobian: PointJacobian, rows: PointRows, fingers: FingerRows | None, prior: Prior):
    """-> NormalEquations with border unknowns (turn of the root 3, betas S, transl 3, extra E)."""
    by_border = _border_jacobian(jacobian)  # (3, 6 + S, 4, 5, B)
    finger_rows, border_rows = [], []
    for r in range(rows.residual.shape[0]):
        by_point = rows.by_point[r]
        border = kept([_through(by_point, by_border), rows.by_extra[r], rows.residual[r][None]])
        for point in range(POINTS):
            finger_rows.append(_finger_row(by_point[:, point], jacobian, point))
            border_rows.append(border[:, point])
    if fingers is not None:
        for q in range(fingers.residual.shape[0]):
            parts = [_finger_row(fingers.by_points[q][:, point], jacobian, point) for point in range(POINTS)]
            finger_rows.append([total([part[s] for part in parts if len(part) > s]) for s in range(SEGMENTS)])
            border = _through(fingers.by_points[q], by_border).sum(1)
            extra = jnp.zeros((rows.by_extra.shape[1], *border.shape[1:]))
            border_rows.append(kept([border, extra, fingers.residual[q][None]]))
    return _sum_rows(_kept_rows(finger_rows), border_rows, _wrist_rows(jacobian, rows), prior)


def _border_jacobian(jacobian: PointJacobian) -> Array:
    trailing = jacobian.points.shape[1:]
    moves = jnp.broadcast_to(jnp.eye(3)[:, :, None, None, None], (3, 3, *trailing))
    return jnp.concatenate([jacobian.by_root, jacobian.by_betas, moves], 1)


def _wrist_rows(jacobian: PointJacobian, rows: PointRows) -> list[Array]:
    """-> for each residual of the wrist its row (N + 1, B): the wrist moves with shape and translation only."""
    out = []
    for r in range(rows.wrist_residual.shape[0]):
        by_point = rows.wrist_by_point[r]
        by_betas = total([by_point[c][None] * jacobian.wrist_by_betas[c][:, None] for c in range(3)])
        parts = [jnp.zeros_like(by_point), by_betas, by_point, rows.wrist_by_extra[r], rows.wrist_residual[r][None]]
        out.append(kept(parts))
    return out


def _finger_row(by_point: Array, jacobian: PointJacobian, point: int) -> list[Array]:
    """-> derivative of one residual (3, 5, B) for each segment that moves the point."""
    return [_through(by_point, turns) for turns in jacobian.by_finger[point - 1]] if point > 0 else []


def _kept_rows(rows: list[list[Array]]) -> list[list[Array]]:
    """The same rows, each computed once for all the products it enters."""
    flat = kept([part for row in rows for part in row])
    places = iter(range(0, flat.shape[0], 3))
    return [[flat[(at := next(places)) : at + 3] for _ in row] for row in rows]


def _through(by_point: Array, by_unknown: Array) -> Array:
    """(3, ...), (3, n, ...) -> (n, ...): the chain rule through a point."""
    x, y, z = by_point[:, None]
    return x * by_unknown[0] + y * by_unknown[1] + z * by_unknown[2]


def _sum_rows(finger_rows: list[list[Array]], border_rows: list[Array], wrist_rows: list[Array], prior: Prior):
    blocks = [[_block(finger_rows, i, j) for j in range(SEGMENTS)] for i in range(SEGMENTS)]
    for segment in range(SEGMENTS):
        blocks[segment][segment] = blocks[segment][segment] + prior.joint[segment]
    finger = jnp.concatenate([jnp.concatenate(row, 1) for row in blocks])
    mixed = jnp.concatenate(
        [
            total([row[s][:, None] * b[None] for row, b in zip(finger_rows, border_rows, strict=True) if len(row) > s])
            for s in range(SEGMENTS)
        ]
    )
    by_finger = [b[:, finger] for b in border_rows for finger in range(FINGERS)]
    by_point = by_finger + wrist_rows
    half = by_point[0].shape[0] // 2
    border = kept([total([row[some, None] * row[None] for row in by_point]) for some in (slice(half), slice(half, -1))])
    return NormalEquations(
        finger=finger,
        finger_border=mixed[:, :-1],
        border=border[:, :-1] + prior.border,
        finger_gradient=mixed[:, -1] + prior.finger_gradient,
        border_gradient=border[:, -1] + prior.border_gradient,
    )


def _block(finger_rows: list[list[Array]], i: int, j: int) -> Array:
    """The 3 x 3 block of two segments, from the rows that both of them move."""
    rows = [row for row in finger_rows if len(row) > max(i, j)]
    return total([row[i][:, None] * row[j][None] for row in rows])
