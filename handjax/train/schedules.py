"""Learning rates by step, as the papers give them by epoch."""

from collections.abc import Sequence
from typing import NamedTuple

import optax


class Plateau(NamedTuple):
    """Multiplies the learning rate by `factor` once the validation metric has not improved for `patience` evaluations
    in a row."""

    factor: float = 0.7
    patience: int = 3

    def transform(self) -> optax.GradientTransformationExtraArgs:
        return optax.contrib.reduce_on_plateau(factor=self.factor, patience=self.patience)


def step_decay(peak: float, steps: Sequence[int], factor: float = 0.1, warmup: int = 0) -> optax.Schedule:
    """`peak`, times `factor` from each of `steps` on; before that up from 0 in a line over `warmup` steps.

    Steps count from the start, warm-up included. Raises ValueError where they are not positive and increasing, or the
    first lies within the warm-up.
    """
    if list(steps) != sorted(set(steps)) or any(step <= warmup for step in steps):
        raise ValueError(f"steps must increase and lie beyond the warm-up of {warmup}, got {tuple(steps)}")
    if warmup < 0:
        raise ValueError(f"warmup must be at least 0, got {warmup}")
    decayed = optax.piecewise_constant_schedule(peak, {step - warmup: factor for step in steps})
    if not warmup:
        return decayed
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), decayed], [warmup])


def decay_at(peak: float, total: int, shares: Sequence[float], factor: float = 0.1, warmup: int = 0) -> optax.Schedule:
    """`step_decay` at shares of a run of `total` steps: a paper's epochs 50 and 100 of 101 in a run of any length."""
    steps = sorted({max(round(share * total), warmup + 1) for share in shares})
    return step_decay(peak, steps, factor, warmup)
