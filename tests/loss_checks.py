"""What every term of a loss must do, whatever it measures."""

import functools
from collections.abc import Callable

import jax
import numpy as np

from handjax import losses

STEP = 1e-6


@functools.cache
def compiled(term: Callable) -> Callable:
    """-> what a term counts and its mean, and the mean's gradient in the first argument."""

    def both(*arguments):
        sums = term(*arguments)
        return losses.mean_of(sums), sums

    return jax.jit(jax.value_and_grad(both, has_aux=True))


def mean(term: Callable, *arguments) -> float:
    """The value of a term on its own."""
    return assert_finite(term, *arguments)


def assert_gradient_of_differences(term: Callable, values: np.ndarray, *rest, tolerance: float = 1e-6) -> None:
    """In float64, along a random direction of the first argument, and not zero."""
    with jax.enable_x64(True):
        direction = np.random.default_rng(9).normal(size=np.shape(values))
        # Copies: an array that float32 code has closed over stays float32 to JAX.
        base, others = np.array(values, np.float64), [np.array(other) for other in rest]

        @jax.jit
        def along(distance):
            return losses.mean_of(term(base + distance * direction, *others))

        slope = float(jax.grad(along)(0.0))
        ahead, behind = along(STEP), along(-STEP)
        assert ahead.dtype == np.float64
        expected = float(ahead - behind) / (2 * STEP)
    assert abs(expected) > 1e-9, "the direction says nothing"
    np.testing.assert_allclose(slope, expected, rtol=tolerance, atol=1e-9)


def assert_finite(term: Callable, *arguments) -> float:
    """-> the value, which is finite and has a finite gradient."""
    (value, _), slope = compiled(term)(*as_arrays(arguments))
    assert np.isfinite(value) and np.isfinite(slope).all()
    return float(value)


def assert_nothing(term: Callable, *arguments) -> None:
    """Nothing is counted, and neither value nor gradient comes of what stands there."""
    (_, sums), slope = compiled(term)(*as_arrays(arguments))
    assert np.all(np.array(sums) == 0), sums
    assert np.all(np.asarray(slope) == 0)


def as_arrays(arguments: tuple) -> list[np.ndarray]:
    """The first as float32: what it has a gradient in."""
    return [np.asarray(arguments[0], np.float32), *map(np.asarray, arguments[1:])]


def hand(seed: int = 0, axes: int = 3) -> np.ndarray:
    """(21, axes) keypoints of a hand, metres: fingers that fan out and bend a little; with two axes in pixels."""
    rng = np.random.default_rng(seed)
    points = np.zeros((21, 3))
    for finger in range(5):
        turn = 0.35 * (finger - 2)
        way = np.array([np.sin(turn), np.cos(turn), 0.0])
        for joint in range(4):
            points[1 + 4 * finger + joint] = way * (0.06 + 0.03 * joint) + [0, 0, 0.004 * joint**2]
    points += rng.normal(scale=0.003, size=points.shape)
    return points if axes == 3 else 100 + 800 * points[:, :2]
