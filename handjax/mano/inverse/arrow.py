"""Normal equations of a hand: five finger blocks of nine angles, bordered by what all fingers share.

The matrix is arrow-shaped, so the fingers are eliminated block by block and a small dense system is left for the
border (root, shape, translation, camera): a seventh of the work of one 61 x 61 factorisation.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax


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
    sides = jnp.concatenate([equations.finger_border, equations.finger_gradient[:, None]], 1)
    border = jnp.concatenate([equations.border, equations.border_gradient[:, None]], 1)
    finger = lax.linalg.cholesky(equations.finger.transpose(3, 2, 0, 1), symmetrize_input=False)
    halves = _forward(finger, sides.transpose(3, 2, 0, 1))  # (B, 5, 9, N + 1)
    flat = halves.reshape(halves.shape[0], -1, halves.shape[-1])
    taken = jnp.einsum("brn,brm->bnm", flat[..., :-1], flat, precision="highest")
    schur = border.transpose(2, 0, 1) - taken
    factor = lax.linalg.cholesky(schur[..., :-1], symmetrize_input=False)
    border_step = _backward(factor, _forward(factor, -schur[..., -1:]))  # (B, N, 1)
    wanted = -halves[..., -1] - (halves[..., :-1] * border_step[:, None, None, :, 0]).sum(-1)
    finger_step = _backward(finger, wanted[..., None])[..., 0]
    return finger_step.transpose(2, 1, 0), border_step[..., 0].T


def _forward(factor: Array, right: Array) -> Array:
    return lax.linalg.triangular_solve(factor, right, left_side=True, lower=True)


def _backward(factor: Array, right: Array) -> Array:
    return lax.linalg.triangular_solve(factor, right, left_side=True, lower=True, transpose_a=True)
