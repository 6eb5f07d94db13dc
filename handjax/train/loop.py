"""Steps until a number of them is done, with a look at the metrics, an evaluation and a checkpoint every so often."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from handjax.train.state import Optimiser, TrainState, judged
from handjax.train.step import Step

Metrics = dict[str, float]


class NotFinite(ArithmeticError):
    """The loss or its gradient was not finite. step: the update that was not made, counted from 1; names: the terms
    that were not finite; state: the last good one."""

    def __init__(self, step: int, names: list[str], state: TrainState):
        super().__init__(f"step {step}: {', '.join(names)} not finite")
        self.step, self.names, self.state = step, names, state


class Every(NamedTuple):
    """After how many steps each is due; 0: only after the last step (log), or never."""

    log: int = 100
    evaluate: int = 0
    save: int = 0


EVERY = Every()


class Tasks(NamedTuple):
    """What is done beside the steps.

    log(step, metrics): means over the steps since the last time. evaluate(state) -> metrics, and the one number, less
    being better, that decides the best checkpoint and a plateau. save(state, metrics): those of the evaluation after
    the same step, or {}. stop(step): whether to save and end now.
    """

    log: Callable[[int, Metrics], None]
    evaluate: Callable[[TrainState], tuple[Metrics, float]] | None = None
    save: Callable[[TrainState, Metrics], None] | None = None
    stop: Callable[[int], bool] | None = None


def run_steps(
    step: Step,
    state: TrainState,
    batches: Iterator[Any],
    key: Array,
    optimiser: Optimiser,
    tasks: Tasks,
    *,
    until: int,
    every: Every = EVERY,
) -> TrainState:
    """`step` (of `on_all_devices`) on one of `batches` after another until `until` updates are made, or `tasks.stop`.

    batches: from where the state is; their leaves lead with this process's devices. Metrics stay on the devices until
    they are due: nothing else is transferred. After the last step all is due that ever is.
    Raises NotFinite, after the last good state is saved; ValueError where `batches` end too early.
    """
    done, pending = int(state.step), []
    stopping = False
    while done < until and not stopping:
        batch = next(batches, None)
        if batch is None:
            raise ValueError(f"batches must last for {until} steps, but ended after {done}")
        state, metrics = step(state, batch, key)
        done += 1
        pending.append(metrics)
        stopping = tasks.stop is not None and tasks.stop(done)
        last = done == until or stopping
        if last or any(_due(done, often) for often in every):
            state = _logged(state, pending, done, tasks)
            pending = []
        found: Metrics = {}
        if tasks.evaluate is not None and every.evaluate and (_due(done, every.evaluate) or done == until):
            found, value = tasks.evaluate(state)
            state = judged(state, optimiser, value)
        if tasks.save is not None and every.save and (_due(done, every.save) or last):
            tasks.save(state, found)
    return state


def _due(done: int, often: int) -> bool:
    return often > 0 and done % often == 0


def _logged(state: TrainState, pending: list[dict[str, Array]], done: int, tasks: Tasks) -> TrainState:
    """Looks at the steps since the last time. Raises NotFinite."""
    rows: list[dict[str, Any]] = jax.device_get(pending)
    for place, row in enumerate(rows):
        bad = [name for name, value in row.items() if not math.isfinite(value)]
        if bad:
            # A term that is not finite makes the loss so, and a loss its gradient: name what it began with.
            terms = [name for name in bad if name not in ("loss", "gradient_norm")]
            good = state._replace(halted=np.zeros((), bool))
            if tasks.save is not None:
                tasks.save(good, {})
            raise NotFinite(done - len(rows) + place + 1, terms or bad, good)
    tasks.log(done, {name: float(np.mean([row[name] for row in rows])) for name in rows[0]})
    return state
