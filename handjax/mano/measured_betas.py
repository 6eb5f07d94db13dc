"""The shape that has given measures: what a tape measure says in, betas out."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from handjax.checks import check_shape
from handjax.mano.measure_tape import HandTape, cut_tape
from handjax.mano.measures import HandMeasures, measure
from handjax.mano.population import Population, population
from handjax.mano.types import HandModel

TOLERANCE = 5e-4
"""Relative error of a measure that weighs as much as one standard deviation of shape."""
STEPS = 6
USUAL = 3.0
"""Betas beyond this many standard deviations are rarer than one adult in 300, each."""
LONGEST = 0.5
"""Metres. A hand measure above it was given in other units."""


class MeasuredBetas(NamedTuple):
    """betas (S,); asked and got, metres (asked is NaN where nothing was); error: largest |got / asked - 1|;
    largest: of |betas|; unusual: whether that is beyond three standard deviations of adults."""

    betas: Array
    asked: HandMeasures
    got: HandMeasures
    error: Array
    largest: Array
    unusual: Array


def betas_for(
    model: HandModel | HandTape, *, group: str | Population | None = None, **measures: float | Array
) -> MeasuredBetas:
    """The most usual shape with the measures asked for: `betas_for(model, length=0.190, ring_girth=0.058)`.

    Args:
      model: any hand with MANO's joints, or its tape.
      group: of whose people the most usual is meant, a name or a `Population`: decides what was not asked for. For
        the hand that ships with the package only, whose betas the populations are of. None: betas near zero.
      measures: any of `HandMeasures`, metres. Ten betas meet about as many measures; of more, or of some that
        contradict each other (length is palm_length and middle), the nearest compromise is taken and `error` tells.

    Raises ValueError for a measure that is unknown, not positive, or too large to be in metres; for no measure.
    """
    tape = model if isinstance(model, HandTape) else cut_tape(model)
    _check_measures(measures)
    asked = HandMeasures(*(jnp.asarray(measures.get(name, np.nan), jnp.float32) for name in HandMeasures._fields))
    people = population(group) if isinstance(group, str) else group
    if people is None:
        people = Population(jnp.zeros(tape.num_betas), jnp.eye(tape.num_betas), name="anyone", measured=False)
    return betas_from_measures(tape, asked, people)


def betas_from_measures(tape: HandTape, asked: HandMeasures, people: Population) -> MeasuredBetas:
    """The same for one hand as a pure function, NaN where nothing is asked. For many: `jax.vmap` over `asked`.

    Gauss-Newton steps on the relative errors over TOLERANCE and the distance from the mean of `people` in its
    standard deviations. Measures are all but linear in betas: six steps end at rounding.
    """
    check_shape("people.mean", people.mean, (tape.num_betas,))
    return _solve(tape, asked, people.mean, people.covariance)


@jax.jit
def _solve(tape: HandTape, asked: HandMeasures, mean: Array, covariance: Array) -> MeasuredBetas:
    targets = jnp.stack([jnp.asarray(each, jnp.float32) for each in asked])
    wanted = jnp.isfinite(targets)
    # An unasked measure is compared with a number that is safe to divide by, and then not counted.
    safe = jnp.where(wanted, targets, 1.0)
    spread = jnp.linalg.cholesky(covariance)

    def residual(deviations: Array) -> tuple[Array, Array]:
        betas = mean + jnp.matmul(spread, deviations, precision="highest")
        errors = jnp.where(wanted, jnp.stack(measure(tape, betas)) / safe - 1.0, 0.0)
        both = jnp.concatenate([errors / TOLERANCE, deviations])
        return both, both

    def step(_, deviations: Array) -> Array:
        slope, here = jax.jacfwd(residual, has_aux=True)(deviations)
        normal = jnp.matmul(slope.T, slope, precision="highest")
        return deviations - jnp.linalg.solve(normal, jnp.matmul(slope.T, here, precision="highest"))

    deviations = jax.lax.fori_loop(0, STEPS, step, jnp.zeros_like(mean))
    betas = mean + jnp.matmul(spread, deviations, precision="highest")
    got = measure(tape, betas)
    errors = jnp.where(wanted, jnp.abs(jnp.stack(got) / safe - 1.0), 0.0)
    largest = jnp.abs(betas).max()
    return MeasuredBetas(betas, HandMeasures(*targets), got, errors.max(), largest, largest > USUAL)


def _check_measures(measures: dict[str, float | Array]) -> None:
    unknown = sorted(set(measures) - set(HandMeasures._fields))
    if unknown:
        raise ValueError(f"measures must be among {', '.join(HandMeasures._fields)}, got {', '.join(unknown)}")
    if not measures:
        raise ValueError(f"measures must name at least one of {', '.join(HandMeasures._fields)}, got none")
    for name, value in measures.items():
        if np.shape(value) != ():
            raise ValueError(f"{name} must be one number, got shape {np.shape(value)}")
        if not isinstance(value, Tracer) and not 0.0 < float(value) < LONGEST:
            raise ValueError(f"{name} must be in metres, above 0 and below {LONGEST}, got {value}")
