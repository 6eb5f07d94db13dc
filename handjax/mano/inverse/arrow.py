"""Normal equations of a hand: five finger blocks of nine angles, bordered by what all fingers share.

The matrix is arrow-shaped, so the fingers are eliminated block by block and a small dense system is left for the
border (root, shape, translation, camera): a seventh of the work of one 61 x 61 factorisation. Hands stay in the last
axis throughout: a quarter of the time of LAPACK, which takes one small matrix after the other.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from handjax.mano.inverse.planes import kept, total

PIVOTS = 3
"""Unknowns eliminated at once: with one, the steps are too many, and the inverse of four by four is dear."""

FINGERS = 5


class NormalEquations(NamedTuple):
    """H x = -g, halves of the second and first derivative of the energy; N border unknowns, hands last."""

    finger: Array  # (9, 9, 5, B)
    finger_border: Array  # (9, N, 5, B)
    border: Array  # (N, N, B)
    finger_gradient: Array  # (9, 5, B)
    border_gradient: Array  # (N, B)


def damped(equations: NormalEquations, damping: Array, floor: Array | float) -> NormalEquations:
    """Levenberg-Marquardt: adds damping (B,) times each unknown's own curvature, or `floor` times its kind's if more.

    Points on a ray do not show depth: along such directions single curvatures are small and the step would be wild.
    """
    finger = jnp.einsum("iifb->ifb", equations.finger)  # (9, 5, B)
    border = jnp.einsum("iib->ib", equations.border)  # (N, B)
    least = floor * finger.mean((0, 1))
    finger = damping[None, None] * jnp.maximum(finger, least[None, None])
    shape = border[3:-3].mean(0) if border.shape[0] > 6 else least
    border = damping[None] * jnp.maximum(border, floor * jnp.minimum(shape, border.max(0))[None])
    size = border.shape[0]
    return equations._replace(
        finger=equations.finger + jnp.eye(9)[:, :, None, None] * finger[None],
        border=equations.border + jnp.eye(size)[:, :, None] * border[None],
    )


def solve(equations: NormalEquations) -> tuple[Array, Array]:
    """-> steps of the fingers (9, 5, B) and of the border (N, B); NaN where the matrix is not positive definite."""
    size, batch = equations.border_gradient.shape
    parts = [equations.finger, equations.finger_border, equations.finger_gradient[:, None]]
    # Fingers and hands as one axis: loops of a single group's 16 hands are too short for the compiler to vectorise.
    fingers = kept([part.reshape(*part.shape[:2], -1) for part in parts], 1)
    solved = _solved(fingers).reshape(9, size + 1, FINGERS, batch)
    border = kept([equations.border, equations.border_gradient[:, None]], 1)

    def without_fingers(rows: slice) -> Array:
        products = [
            equations.finger_border[angle, rows, finger][:, None] * solved[angle, :, finger][None]
            for angle in range(9)
            for finger in range(FINGERS)
        ]
        return border[rows] - total(products)

    half = size // 2
    border_step = -_solved(kept([without_fingers(slice(0, half)), without_fingers(slice(half, size))]))[:, 0]
    moved = total([solved[:, unknown] * border_step[unknown][None, None] for unknown in range(size)])
    return -solved[:, -1] - moved, border_step


def _solved(rows: Array) -> Array:
    """(n, n + m, B), first n columns symmetric and positive definite -> their inverse times the last m (n, m, B)."""
    size = rows.shape[0]
    for start in range(0, size, PIVOTS):
        rows = _eliminated(rows, min(PIVOTS, size - start))
    return rows


def _eliminated(rows: Array, count: int) -> Array:
    """A step of Gauss-Jordan elimination by the first `count` rows: their columns go, and they move to the end."""
    inverse = _inverse(rows[:count, :count])
    pivots = kept(
        [total([inverse[i, j][None] * rows[j, count:] for j in range(count)])[None] for i in range(count)],
    )
    others = rows[count:, count:] - total([rows[count:, i][:, None] * pivots[i][None] for i in range(count)])
    return kept([others, pivots])


def _inverse(matrix: Array) -> dict[tuple[int, int], Array]:
    """(n, n, B) -> entries (B,) of the inverse, by Cholesky's factor: NaN where the matrix is not positive definite."""
    size = matrix.shape[0]
    factor: dict[tuple[int, int], Array] = {}  # of the matrix, its diagonal inverted
    for i in range(size):
        for j in range(i + 1):
            entry = matrix[i, j]
            for k in range(j):
                entry = entry - factor[i, k] * factor[j, k]
            factor[i, j] = lax.rsqrt(entry) if i == j else entry * factor[j, j]
    root = {(i, i): factor[i, i] for i in range(size)}  # its inverse
    for j in range(size):
        for i in range(j + 1, size):
            root[i, j] = -factor[i, i] * total([factor[i, k] * root[k, j] for k in range(j, i)])
    places = [(i, j) for i in range(size) for j in range(i + 1)]
    entries = kept([total([root[k, i] * root[k, j] for k in range(i, size)])[None] for i, j in places])
    lower = dict(zip(places, entries, strict=True))
    return lower | {(j, i): entry for (i, j), entry in lower.items()}
