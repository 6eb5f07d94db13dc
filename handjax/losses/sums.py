"""From terms to one number: a sum and what it is divided by, kept apart until a batch or several devices are added."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


class PixelSum(NamedTuple):
    """A loss summed over pixels, total (), and how many there were, pixels (). Several add up field by field."""

    total: Array
    pixels: Array


class CountedSum(NamedTuple):
    """A loss summed over keypoints, bones, hands or what else its function counts, total (), and how many of them there
    were, number (). What is partly valid counts for that part."""

    total: Array
    number: Array


def mean_of(sums: PixelSum | CountedSum, axis_name: str | None = None) -> Array:
    """-> () total / number of all entries of `sums` (any leading axes); 0 where nothing was counted.

    axis_name: also over the devices of that mapped axis, each sum for itself, so that a device with few pixels counts
    for few.
    """
    total, number = (part.sum() for part in sums)
    if axis_name is not None:
        total, number = jax.lax.psum((total, number), axis_name)
    return jnp.where(number > 0, total / jnp.where(number > 0, number, 1.0), 0.0)


def means_of(terms: Mapping[str, PixelSum | CountedSum], axis_name: str | None = None) -> dict[str, Array]:
    """`mean_of` each term: what a loss is made of, and what is worth a line in a log."""
    return {name: mean_of(sums, axis_name) for name, sums in terms.items()}


def weighted(means: Mapping[str, ArrayLike], weights: NamedTuple) -> Array:
    """() the sum of weight times mean over the terms that are given, which carry the names of the weights' fields.

    A term whose weight is the number 0 is left out altogether, whatever its value.
    Raises ValueError for a term that has no weight.
    """
    if unknown := sorted(means.keys() - set(weights._fields)):
        raise ValueError(f"means must be among {', '.join(weights._fields)}, got {', '.join(unknown)}")
    total = jnp.zeros(())
    for name, mean in means.items():
        weight = getattr(weights, name)
        if not (isinstance(weight, int | float) and weight == 0):
            total += weight * mean
    return total
