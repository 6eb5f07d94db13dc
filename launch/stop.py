"""SIGTERM ends a run after a step, on all processes after the same one."""

import signal
from typing import Any

import jax
from jax.experimental import multihost_utils


class Stop:
    """Whether SIGTERM came: asked of after each step, and of all processes together where there are several."""

    def __init__(self) -> None:
        self.asked = False
        self._before = None
        if jax.process_count() == 1:
            self._before = signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, number: int, frame: Any) -> None:
        self.asked = True

    def __call__(self, step: int) -> bool:
        if jax.process_count() > 1:
            # JAX's own handler hears the signal, and the processes agree on a step.
            self.asked = bool(multihost_utils.reached_preemption_sync_point(step))
        return self.asked

    def restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
