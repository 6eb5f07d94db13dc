"""Many hands through few lanes: a hand that is done makes room for the next, so that none waits for the slowest."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from handjax.mano.inverse import newton
from handjax.mano.inverse.jacobian import check_solvable
from handjax.mano.types import HandModel

Given = TypeVar("Given")

LANES = 16
"""Their arrays fit a core's cache, and fill its vector units."""


class _Queue(NamedTuple):
    hand: Array  # (lanes,) which hand each lane holds; B for none
    waiting: Array  # the first hand that has not begun
    progress: newton.Progress  # of the lanes
    results: newton.Solution  # of all B hands


def minimise_in_turn(
    model: HandModel,
    start: newton.Unknowns,
    given: Given,
    terms: Callable[[Given], newton.Terms],
    settings: newton.SolverSettings,
    lanes: int = LANES,
) -> newton.Solution:
    """`newton.minimise` for B hands, `lanes` at a time.

    given: what the energies are made of, arrays (B, ...). terms: from some hands' part of it to their energy.
    """
    check_solvable(model)
    batch = start.extra.shape[-1]
    lanes = min(lanes, batch)

    def held(hand: Array) -> Array:
        return jnp.minimum(hand, batch - 1)

    def begun(hand: Array) -> newton.Progress:
        return newton.begin(jax.tree.map(lambda field: field[..., held(hand)], start), settings)

    def body(queue: _Queue) -> _Queue:
        here = terms(jax.tree.map(lambda field: field[held(queue.hand)], given))
        progress = jax.lax.while_loop(
            lambda progress: ~(progress.done & (queue.hand < batch)).any(),
            lambda progress: newton.advance(model, progress, here, settings),
            queue.progress,
        )
        free = progress.done
        results = jax.tree.map(
            lambda all_hands, some: all_hands.at[..., jnp.where(free, queue.hand, batch)].set(some, mode="drop"),
            queue.results,
            newton.solution(progress),
        )
        hand = jnp.where(free, jnp.minimum(queue.waiting + jnp.cumsum(free) - 1, batch), queue.hand)
        fresh = begun(hand)._replace(done=hand == batch)
        progress = jax.tree.map(newton.chosen(free), fresh, progress)
        return _Queue(hand, jnp.minimum(queue.waiting + free.sum(), batch), progress, results)

    hand = jnp.arange(lanes, dtype=jnp.int32)
    first = _Queue(hand, jnp.asarray(lanes, jnp.int32), begun(hand), newton.solution(newton.begin(start, settings)))
    return jax.lax.while_loop(lambda queue: (queue.hand < batch).any(), body, first).results
