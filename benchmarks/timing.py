"""Times of functions that run by turns, so that a busy machine slows all of them and not one."""

import gc
import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np


class Timing(NamedTuple):
    """Seconds a call: median, tenth and ninetieth percentile over all calls; and how many there were."""

    median: float
    low: float
    high: float
    calls: int


def pin_to_one_core() -> int:
    """Keeps this process on one of its cores and returns which. Call before jax makes its threads.

    Raises OSError where the system cannot pin; `taskset` or its like does the same from outside.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise OSError("this system cannot pin a process to a core")
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def measure(functions: Mapping[str, Callable[[], object]], rounds: int = 20, seconds: float = 0.1) -> dict[str, Timing]:
    """Calls each function for `seconds` in each round, after one call that may compile.

    A function's result is waited for: it may be any pytree of jax arrays, or nothing.
    """
    for function in functions.values():
        jax.block_until_ready(function())
    times: dict[str, list[float]] = {name: [] for name in functions}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, function in functions.items():
                times[name] += _calls(function, seconds)
    finally:
        if collecting:
            gc.enable()
    return {name: _summary(taken) for name, taken in times.items()}


def _calls(function: Callable[[], object], seconds: float) -> list[float]:
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while not taken or time.perf_counter() < until:
        before = time.perf_counter()
        jax.block_until_ready(function())
        taken.append(time.perf_counter() - before)
    return taken


def _summary(taken: list[float]) -> Timing:
    low, median, high = np.percentile(taken, [10, 50, 90])
    return Timing(float(median), float(low), float(high), len(taken))
