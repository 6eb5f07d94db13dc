"""What a training step takes beside its compiled program, and how fast that is.

python -m benchmarks.training_step [--launches=siknet,seednet,hamr] [--preset=tiny]
python -m benchmarks.training_step --rates --launches=seednet,hamr --preset=paper --dtype=bfloat16 --batch_size=64

Programs run in threads of their own, so what the loop itself takes is the processor time of its thread: calls,
metrics, the log, TensorBoard's too where it is installed. A log is written after each round; by default a launch writes
one every 50 steps. The share is the most that it can be of the clock: as if no core were ever idle in the compiled
step, and the loop never worked at the same time. It hardly changes on a busy machine.

--rates is for accelerators. It adds a program of as many steps as a round, which nothing comes between, so that the
difference by the clock shows waiting, too; what a step multiplies in products and convolutions, forward and backward,
synthetic pictures included; the share that this is of the rate of a large matrix product of the same type; and how long
drawing the examples takes.
"""

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from benchmarks import machine, timing
from benchmarks.network_work import matrix_product, multiply_adds
from handjax.train import Every, Tasks, TrainState, on_all_devices, run_steps, start, summed_step, train_step
from launch.examples import Data
from launch.report import Report
from launch.stop import Stop
from launch.task import Task
from launch.training import data_of


class Prepared(NamedTuple):
    """A launch that is ready to go. step: of one device; part: what each device draws from."""

    task: Task
    data: Data
    step: Callable[[TrainState, Any, Array], tuple[TrainState, dict[str, Array]]]
    part: Any
    examples: int


KEY = jax.random.key(0)


def prepared(name: str, options: argparse.Namespace) -> tuple[Prepared, TrainState]:
    launch = import_module(f"launch.train_{name}")
    settings = {**launch.PRESETS[options.preset], "preset": options.preset, "dtype": options.dtype}
    config = launch.Config(**settings | ({"batch_size": options.batch_size} if options.batch_size else {}))
    task = launch.task(config)
    data = data_of(config, task)
    step = train_step(*(task.objective, task.weights, task.optimiser), frozen=task.frozen, make_batch=data.make_batch)
    state = start(task.init(KEY), task.optimiser, frozen=task.frozen)
    return Prepared(task, data, step, next(data.evaluation()), config.batch_size), state


class Taken(NamedTuple):
    """(rounds,) seconds a step each. clock; processor: of all threads; own: of the loop's; program: by the clock, of
    one program of as many steps; zeros where that is not wanted."""

    clock: np.ndarray
    processor: np.ndarray
    own: np.ndarray
    program: np.ndarray

    def share(self) -> np.ndarray:
        """The most that the loop can take of a step."""
        inside = (self.processor - self.own) / (os.cpu_count() or 1)
        return self.own / (self.own + inside)


def seconds_a_step(launch: Prepared, state: TrainState, steps: int, rounds: int, one_program: bool) -> Taken:
    alone = on_all_devices(launch.step, gives_state_away=True)

    def many(state: TrainState, part: Any, key: Array) -> TrainState:
        return lax.scan(lambda state, _: (launch.step(state, part, key)[0], None), state, length=steps)[0]

    together = on_all_devices(many, gives_state_away=True)
    total, stop, taken = (rounds + 1) * 2 * steps, Stop(), []
    with tempfile.TemporaryDirectory() as folder:
        report = Report(Path(folder), total, 0, launch.examples, stream=io.StringIO())
        with closing(report):
            for _ in range(rounds + 1):
                begin = _clocks()
                state = run_steps(
                    *(alone, state, launch.data.training(launch.data.start), KEY, launch.task.optimiser),
                    Tasks(report.log, stop=stop),
                    until=int(state.step) + steps,
                    every=Every(log=steps),
                )
                between = _clocks()
                if one_program:
                    state = jax.block_until_ready(together(state, launch.part, KEY))
                taken.append([*(between - begin), time.perf_counter() - between[0]])
    stop.restore()
    # The first round compiles.
    return Taken(*(np.array(taken[1:]).T / steps))


def _clocks() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time(), time.thread_time()])


def rates(launch: Prepared, state: TrainState, seconds: float, options: argparse.Namespace) -> list[str]:
    """GFLOP a picture, its share of the matrix rate, ms that drawing takes."""
    product, product_work = matrix_product(jnp.dtype(options.dtype))

    def drawn(_: Any, batch: Any, key: Array) -> Array:
        return sum((jnp.sum(leaf) * 1.0 for leaf in jax.tree.leaves(batch)), start=jnp.zeros(()))

    draw = on_all_devices(summed_step(drawn, make_batch=launch.data.make_batch))
    nothing: Any = jnp.zeros(())
    calls = {"draw": lambda: draw(nothing, launch.part, KEY), "product": product}
    taken = timing.measure(calls, options.rounds)
    work = 2 * multiply_adds(on_all_devices(launch.step), state, launch.part, KEY)
    share = work / seconds / (product_work / taken["product"].median)
    each = launch.examples // jax.device_count()
    return [f"{work / each / 1e9:.3g}", f"{share:.1%}", f"{1e3 * taken['draw'].median:.3g}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launches", default="siknet,seednet,hamr", help="as in launch/train_*.py, commas between")
    parser.add_argument("--preset", choices=["tiny", "small", "paper"], default="tiny")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--batch_size", type=int, default=0, help="0: the preset's")
    parser.add_argument("--steps", type=int, default=20, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rates", action="store_true", help="matrix rate and drawing, too")
    options = parser.parse_args()
    kind = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    print(f"{machine.describe('jax')}; {kind}; {options.preset}, {options.dtype}\n", flush=True)
    headings = ["launch", "batch", "ms a step", "examples/s", "ms of the loop itself", "... share of a step, at most"]
    cells = []
    for name in options.launches.split(","):
        launch, state = prepared(name, options)
        taken = seconds_a_step(launch, jax.tree.map(jnp.copy, state), options.steps, options.rounds, options.rates)
        seconds = float(np.median(taken.clock))
        row = [name, str(launch.examples), f"{1e3 * seconds:.3g}", f"{launch.examples / seconds:,.3g}"]
        row += [f"{1e3 * np.median(taken.own):.2g}", f"{np.median(taken.share()):.1%}"]
        if options.rates:
            row += [f"{np.median(1 - taken.program / taken.clock):.1%}", *rates(launch, state, seconds, options)]
        cells.append(row)
    if options.rates:
        headings += ["outside, by the clock", "GFLOP an example", "of the matrix rate", "ms of drawing"]
    print(machine.table(headings, cells))
    print(f"\n{machine.load()}")


if __name__ == "__main__":
    main()
