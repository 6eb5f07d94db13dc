"""All random numbers of one function in one call: XLA takes long to compile each of many."""

import jax
import jax.numpy as jnp
from jax import Array


class Draws:
    """Hands out uniform numbers, one after the other; each is used once. `numbers` (N,) in [0, 1)."""

    def __init__(self, numbers: Array):
        self._numbers = numbers
        self._used = 0

    @staticmethod
    def of(key: Array, count: int) -> "Draws":
        return Draws(jax.random.uniform(key, (count,)))

    def uniform(self, *shape: int) -> Array:
        """`shape` in [0, 1)."""
        wanted = 1
        for side in shape:
            wanted *= side
        end = self._used + wanted
        if end > self._numbers.shape[0]:
            raise ValueError(f"numbers must be at least {end}, got {self._numbers.shape[0]}")
        taken = self._numbers[self._used : end]
        self._used = end
        return taken.reshape(shape)

    def between(self, low: float | Array, high: float | Array, *shape: int) -> Array:
        return low + self.uniform(*shape) * (high - low)

    def spread(self, low: float, high: float, *shape: int) -> Array:
        """Between two positive numbers, evenly in their logarithm."""
        return low * jnp.exp(self.uniform(*shape) * jnp.log(high / low))

    def chance(self, probability: float | Array, *shape: int) -> Array:
        """bool."""
        return self.uniform(*shape) < probability
