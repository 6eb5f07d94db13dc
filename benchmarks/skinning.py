"""Hands a second, forward and forward with backward, beside smplx and body-models on the same random hands.

python -m benchmarks.skinning [--batches=1,64,1024,4096] [--rounds=3] [--seconds=0.8] [--default-malloc]

One pinned core and one thread for all. Each library has a process of its own, and they take turns at every row and
round; a figure is the median of the rounds' medians. Needs the extra `bench`.
"""

import argparse
import itertools
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from importlib import metadata
from typing import NamedTuple

import numpy as np

from benchmarks import machine
from benchmarks.skinning_libraries import BLEND_COLUMNS, BLEND_ROWS, LIBRARIES, Measurement, measure, posed

FORWARD_TARGET = {1: 20e3, 64: 110e3, 1024: 110e3, 4096: 110e3}
BACKWARD_TARGET = {1: 10e3, 64: 30e3, 1024: 28e3, 4096: 22e3}
SMPLX_TARGET = 3.0
BODY_MODELS_TARGET = {64: 3.0, 1024: 10.0}
GEMM_TARGET, GEMM_FROM_BATCH = 0.5, 64

FORWARD_MFLOP = 1.0
"""A forward pass of one hand with the regressor folded and dense weights: blend 0.68, transforms 0.30, the rest."""
GEMM_MFLOP = 2 * BLEND_ROWS * BLEND_COLUMNS / 1e6

SAME_M = 1e-5
"""Libraries whose hands differ by more are not doing the same work."""

ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
}
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**33),
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_ARENA_MAX": "1",  # Other arenas hold 64 MB and ask the system for what is larger.
}
"""glibc gives large arrays back to the system and fetches empty pages for the next: 9,000 page faults a call at batch
4096. This keeps them, for every library alike, as allocators made for large arrays do."""


class Row(NamedTuple):
    batch: int
    backward: bool


Results = dict[tuple[str, Row], Measurement]


def run(batches: list[int], rounds: int, seconds: float) -> Results:
    """Measures every library by turns: median over rounds of the median, best of all, mean of the page faults."""
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        process = {name: stack.enter_context(ProcessPoolExecutor(1, spawn)) for name in LIBRARIES}
        _check_same({name: process[name].submit(posed, name, 8).result() for name in LIBRARIES if name != "gemm"})
        taken: dict[tuple[str, Row], list[Measurement]] = {}
        for _, row in itertools.product(range(rounds), map(Row._make, itertools.product(batches, (False, True)))):
            for name in LIBRARIES:
                if name == "gemm" and row.backward:
                    continue
                measured = process[name].submit(measure, name, *row, seconds).result()
                taken.setdefault((name, row), []).append(measured)
    return {key: _over_rounds(of_rounds) for key, of_rounds in taken.items()}


def _over_rounds(of_rounds: list[Measurement]) -> Measurement:
    medians, bests, faults = zip(*of_rounds, strict=True)
    return Measurement(float(np.median(medians)), min(bests), float(np.mean(faults)))


def _check_same(hands: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for name, found in hands.items():
        for ours, theirs in zip(hands["handjax"], found, strict=True):
            apart = np.abs(ours - theirs).max()
            if not apart < SAME_M:
                raise SystemExit(f"{name} and handjax pose different hands: {apart:.1e} m apart")


def comparison(results: Results) -> str:
    """The figures beside what is asked of them."""
    headings = ["pass", "batch", "hands/s (best call)", "asked", "x smplx", "asked", "x body-models", "asked"]
    headings += ["% of GEMM's FLOP/s", "asked", "% of GEMM's hands/s", ""]
    return machine.table(headings, [_compared(results, row) for name, row in results if name == "handjax"])


def _compared(results: Results, row: Row) -> list[str]:
    ours = results["handjax", row]
    targets = BACKWARD_TARGET if row.backward else FORWARD_TARGET
    rate, target = row.batch / ours.median, targets.get(row.batch)
    over_smplx = results["smplx", row].median / ours.median
    over_body_models = results["body-models", row].median / ours.median
    body_models_target = BODY_MODELS_TARGET.get(row.batch)
    met = [over_smplx >= SMPLX_TARGET]
    met += [] if target is None else [rate >= target]
    met += [] if body_models_target is None else [over_body_models >= body_models_target]
    gemm = ["", "", ""]
    if not row.backward:
        of_hands = results["gemm", row].median / ours.median
        of_work = of_hands * FORWARD_MFLOP / GEMM_MFLOP
        asked = row.batch >= GEMM_FROM_BATCH
        gemm = [f"{of_work:.0%}", f"{GEMM_TARGET:.0%}" if asked else "", f"{of_hands:.0%}"]
        met += [of_work >= GEMM_TARGET] if asked else []
    return [
        _named(row),
        str(row.batch),
        f"{rate / 1e3:.1f} k ({row.batch / ours.best / 1e3:.1f} k)",
        "" if target is None else f"{target / 1e3:.0f} k",
        f"{over_smplx:.1f}",
        f"{SMPLX_TARGET:g}",
        f"{over_body_models:.1f}",
        "" if body_models_target is None else f"{body_models_target:g}",
        *gemm,
        machine.verdict(all(met)),
    ]


def milliseconds(results: Results) -> str:
    """What each library took: a call's median (best), and page faults."""
    rows = []
    for name, row in results:
        if name != "handjax":
            continue
        cells = [results.get((library, row)) for library in LIBRARIES]
        faults = [f"{cell.page_faults:.0f}" for cell in cells if cell]
        times = [f"{1e3 * cell.median:.3f} ({1e3 * cell.best:.3f})" if cell else "" for cell in cells]
        rows.append([_named(row), str(row.batch), *times, ", ".join(faults)])
    return machine.table(["pass", "batch", *(f"{name}, ms" for name in LIBRARIES), "page faults a call"], rows)


def gemm_rates(results: Results) -> str:
    """What the core can do: one line. The figures asked for suit a core of about 200 GFLOP/s in this product."""
    rates = {
        row.batch: GEMM_MFLOP * row.batch / cell.median / 1e3 for (name, row), cell in results.items() if name == "gemm"
    }
    return "GEMM: " + ", ".join(f"{rate:.0f} GFLOP/s at batch {batch}" for batch, rate in rates.items())


def _named(row: Row) -> str:
    return "forward+backward" if row.backward else "forward"


def main() -> None:
    from benchmarks import timing  # Imports jax, which the other libraries' processes do without.

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", default="1,64,1024,4096", help="hands a call, with commas between")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each library has at each row")
    parser.add_argument("--seconds", type=float, default=0.8, help="time of one turn")
    parser.add_argument("--default-malloc", action="store_true", help="leave glibc's memory thresholds as they are")
    flags = parser.parse_args()
    batches = [int(batch) for batch in flags.batches.split(",")]
    os.environ.update(ONE_THREAD, JAX_PLATFORMS="cpu", **({} if flags.default_malloc else KEEP_MEMORY))
    core = timing.pin_to_one_core()
    try:
        print(machine.describe("jax", "torch", "smplx", "body-models"))
    except metadata.PackageNotFoundError as missing:
        raise SystemExit(f"{missing.name} is not installed: pip install -e '.[bench]'") from missing
    results = run(batches, flags.rounds, flags.seconds)
    kept = "as it comes" if flags.default_malloc else " ".join(f"{key}={value}" for key, value in KEEP_MEMORY.items())
    print(f"core {core}, one thread, {flags.rounds} rounds of {flags.seconds:g} s; malloc: {kept}; {machine.load()}")
    print(gemm_rates(results), end="\n\n")
    print(comparison(results), end="\n\n")
    print(milliseconds(results))


if __name__ == "__main__":
    main()
