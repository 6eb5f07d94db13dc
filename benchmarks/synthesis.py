"""Labelled pictures drawn per second: `python -m benchmarks.synthesis`, on a CPU or an accelerator.

A CPU draws one picture at a time on about one core, so that two Python threads, each calling the compiled batch with
its own keys, use two cores: jax leaves the interpreter's lock while it computes. Data pipelines do the same. Every
randomisation is on. Turns of the sizes are interleaved, the median turn is printed. The work of a picture is what its
process computed, whoever else was busy.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from benchmarks.machine import describe, table, verdict
from datasets import synthetic
from datasets.synthetic import Assets, Settings

WANTED = {"64 px": 200.0, "128 px": 100.0}
"""Pictures a second on two cores."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="1 for an accelerator")
    parser.add_argument("--count", type=int, default=32, help="pictures a batch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--together", type=int, help="pictures drawn at once; 1 on a CPU, 32 elsewhere")
    parser.add_argument("--scenes", nargs="*", default=["64 px", "128 px"], choices=sorted(scenes()))
    arguments = parser.parse_args()
    assets = synthetic.assets()
    rows, calls = [], {}
    for name in arguments.scenes:
        settings = scenes()[name]
        before = time.perf_counter()
        calls[name] = drawing(assets, settings, arguments.count, arguments.together)
        compiled = time.perf_counter() - before
        rows.append([name, f"{compiled:.0f}"])
    drawn = arguments.count * arguments.threads
    speeds, work = {name: [] for name in calls}, {name: [] for name in calls}
    for _, name in itertools.product(range(arguments.rounds), calls):
        seconds, worked = turn(calls[name], arguments.threads)
        speeds[name].append(drawn / seconds)
        work[name].append(1000.0 * worked / drawn)
    for row in rows:
        speed = float(np.median(speeds[row[0]]))
        wanted = WANTED.get(row[0]) if jax.default_backend() == "cpu" else None
        row += [f"{np.median(work[row[0]]):.1f}", f"{speed:.0f}", "" if wanted is None else f"{wanted:.0f}"]
        row.append(verdict(None if wanted is None else speed >= wanted))
    print(describe("jax"), f"; {arguments.threads} threads on {jax.devices()[0].device_kind}")
    print(table(("pictures", "first call, s", "work a picture, ms", "pictures a second", "wanted", ""), rows))


def scenes() -> dict[str, Settings]:
    return {
        "64 px": synthetic.single(64),
        "128 px": synthetic.single(128),
        "256 px": synthetic.single(256),
        "two hands, 192 px": synthetic.two(192),
        "1 to 10 hands, 512 px": synthetic.many(512),
        "uncropped, 288 x 384": synthetic.frame(),
    }


def drawing(assets: Assets, settings: Settings, count: int, together: int | None) -> Callable[[int], object]:
    """-> a function of a seed that draws a batch and waits for it. Compiles it."""

    def draw(seed: int) -> object:
        return jax.block_until_ready(synthetic.batch(jax.random.key(seed), count, settings, assets, together))

    draw(0)
    return draw


def turn(draw: Callable[[int], object], threads: int) -> tuple[float, float]:
    """Seconds in which each thread draws one batch, and seconds of work in them, summed over cores."""
    with ThreadPoolExecutor(threads) as pool:
        before, worked = time.perf_counter(), time.process_time()
        list(pool.map(draw, range(1, threads + 1)))
        return time.perf_counter() - before, time.process_time() - worked


if __name__ == "__main__":
    main()
