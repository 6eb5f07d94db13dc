"""Which record comes next: seeded permutations of several sets, taken in turn by weight, from any place on."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_SHUFFLE = 1
"""Tells the streams of permutations from those of augmentations, which have the same seed."""


class Position(NamedTuple):
    """Where a stream stands: of each set, how often it was gone through and where in the next permutation it is.

    Of all processes together, and the same on each: one is saved with a checkpoint, by `to_dict`.
    """

    epochs: tuple[int, ...]
    indices: tuple[int, ...]


class Draw(NamedTuple):
    """One place in a stream: the set's number in the mix, its epoch, and the place in that epoch's permutation."""

    which: int
    epoch: int
    place: int


def start(sets: int) -> Position:
    return Position((0,) * sets, (0,) * sets)


def to_dict(position: Position, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """For JSON or a checkpoint: {name of a set: {"epoch": ..., "index": ...}}."""
    both = zip(names, position.epochs, position.indices, strict=True)
    return {name: {"epoch": epoch, "index": index} for name, epoch, index in both}


def from_dict(saved: Mapping[str, Mapping[str, int]], names: Sequence[str]) -> Position:
    """The inverse of `to_dict`. Raises ValueError if the sets are not the same ones in the same order."""
    if list(saved) != list(names):
        raise ValueError(f"position must be one of the sets {list(names)}, got {list(saved)}")
    return Position(
        tuple(int(saved[name]["epoch"]) for name in names), tuple(int(saved[name]["index"]) for name in names)
    )


def draws(position: Position, counts: Sequence[int], weights: Sequence[float]) -> Iterator[tuple[Draw, Position]]:
    """Endless: the next draw, and the position after it.

    The set that lags most behind its weight comes next, so that at any time each has had its share to within one draw
    or so. counts: records of each set; weights: positive, of any sum.
    """
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    epochs, indices = list(position.epochs), list(position.indices)
    taken = [epoch * count + index for epoch, count, index in zip(epochs, counts, indices, strict=True)]
    while True:
        total = sum(taken) + 1
        which = max(range(len(taken)), key=lambda i: shares[i] * total - taken[i])
        draw = Draw(which, epochs[which], indices[which])
        taken[which] += 1
        epochs[which], indices[which] = divmod(taken[which], counts[which])
        yield draw, Position(tuple(epochs), tuple(indices))


def record_of(draw: Draw, count: int, seed: int, ahead: int = 0) -> int:
    """The number of the record at that place of the permutation, or `ahead` places further on, around its end."""
    return int(_permutation(seed, draw.which, draw.epoch, count)[(draw.place + ahead) % count])


# One for each set, and for the one that ends while the next begins.
@lru_cache(maxsize=32)
def _permutation(seed: int, which: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, _SHUFFLE, which, epoch]).permutation(count)
