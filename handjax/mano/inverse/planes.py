"""Arithmetic over many hands in the last axis, in the form that XLA's CPU compiler makes fast loops of."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

CHAINS = 3


def kept(parts: Sequence[Array], axis: int = 0) -> Array:
    """Concatenates parts and computes each entry once.

    The compiler fuses an intermediate result into everything that reads it and computes it again in each; in an
    elimination, where every step reads the one before, that grows without end. A concatenation is stored, but it must
    have two parts or more, and without the barrier its slices are traced back to what they were made of.
    """
    return lax.optimization_barrier(jnp.concatenate(parts, axis))


def total(terms: Sequence[Array]) -> Array:
    """Sum of arrays of one shape, one entry a chain of multiply-adds: summing a stacked axis costs several times more.

    Long sums are three chains, as each addition waits for the one before: half the time, and less rounding.
    """
    if len(terms) < 4 * CHAINS:
        return _chain(terms)
    return _chain([_chain(terms[start::CHAINS]) for start in range(CHAINS)])


def _chain(terms: Sequence[Array]) -> Array:
    out = terms[0]
    for term in terms[1:]:
        out = out + term
    return out
