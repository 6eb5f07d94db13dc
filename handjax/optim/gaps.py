"""Frames of a video in which a hand was not seen, filled in between those in which it was."""

import jax
import jax.numpy as jnp
from jax import Array

from handjax import rotations
from handjax.mano.types import HandParams


def fill_gaps(params: HandParams, known: Array) -> HandParams:
    """Parameters with a leading T, known (T,) bool -> those of unknown frames interpolated between known neighbours.

    Root rotations along the shortest turn, the rest linearly; before the first and after the last known frame the hand
    stands still. Where no frame is known all stay as they are, and what is not finite becomes 0.
    """
    before, after, share = _neighbours(known)
    params = jax.tree.map(lambda field: jnp.nan_to_num(field, posinf=0.0, neginf=0.0), params)
    turns = rotations.matrix_from_axis_angle(params.global_orient)
    between = jnp.matmul(turns[after], turns[before].swapaxes(1, 2), precision="highest")
    part = rotations.matrix_from_axis_angle(share[:, None] * rotations.axis_angle_from_matrix(between))
    turned = rotations.axis_angle_from_matrix(jnp.matmul(part, turns[before], precision="highest"))
    between_known = jax.tree.map(
        lambda field: field[before] + share[:, None] * (field[after] - field[before]), params
    )._replace(global_orient=turned)
    return jax.tree.map(lambda field, new: jnp.where(known[:, None], field, new), params, between_known)


def _neighbours(known: Array) -> tuple[Array, Array, Array]:
    """-> (T,) the last known frame up to each, the next one from it on, and how far between them it lies."""
    count = known.shape[0]
    frame = jnp.arange(count)
    before = jax.lax.cummax(jnp.where(known, frame, -1))
    after = jax.lax.cummin(jnp.where(known, frame, count), reverse=True)
    outer = jnp.where(before < 0, after, before), jnp.where(after == count, before, after)
    before, after = (jnp.where(known.any(), one, frame) for one in outer)
    return before, after, (frame - before) / jnp.maximum(after - before, 1)
