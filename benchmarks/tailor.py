"""Speed of the fits on one pinned core, first step and final mesh included.

python -m benchmarks.tailor [--rounds=20]

Rows take turns. The hands and the settings are those of `benchmarks.quality`. More of the published tailor's speed:
`benchmarks.tailor_adam`.
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import NamedTuple

import jax

from benchmarks import hands, machine, timing
from benchmarks.tailor_adam import BATCH_LIMIT_MS as ADAM_BATCH_MS
from benchmarks.tailor_adam import SINGLE_LIMIT_MS as ADAM_SINGLE_MS
from handjax import mano, optim
from handjax.optim.multistart import fit_2d
from handjax.optim.refine import refine, refine_batch

NEWTON_SINGLE_MS, NEWTON_BATCH_MS, JOINTS_BATCH_MS = 0.8, 0.2, 0.3
SINGLES = 64
"""Single hands differ in how many iterations they need: each call takes the next of these."""


class Fit(NamedTuple):
    """One row: a call, the hands it fits and the milliseconds a hand that are asked for."""

    name: str
    call: Callable[[], object]
    hands: int
    limit_ms: float | None


def fits(model: mano.HandModel) -> list[Fit]:
    adam = jax.jit(partial(_tailored, model))
    adam_batch = jax.jit(partial(_tailored_batch, model))
    newton = jax.jit(partial(_refined, model))
    newton_batch = jax.jit(partial(_refined_batch, model))
    joints = jax.jit(partial(mano.fit_joints_batch, model))
    flat = jax.jit(lambda pixels: fit_2d(model, pixels, hands.CAMERA))
    rows = [
        Fit("20 Adam steps, single", _each(model, adam), 1, ADAM_SINGLE_MS),
        Fit("20 Adam steps, batch 64", _whole(model, adam_batch, 64), 64, ADAM_BATCH_MS),
    ]
    for noise_px in (0.0, 2.0):
        given = f"{noise_px:g} px noise"
        single, batch = _each(model, newton, noise_px), _whole(model, newton_batch, 256, noise_px)
        rows.append(Fit(f"second order, single, {given}", single, 1, NEWTON_SINGLE_MS))
        rows.append(Fit(f"second order, batch 256, {given}", batch, 256, NEWTON_BATCH_MS))
    points, pixels = hands.sample(model, 256).points, hands.sample(model, 32).pixels
    rows.append(Fit("from 3D joints, batch 256", lambda: joints(points), 256, JOINTS_BATCH_MS))
    rows.append(Fit("from 2D alone, batch 32", lambda: flat(pixels), 32, None))
    return rows


def _tailored(model, start, pixels):
    result = optim.tailor(model, start, pixels, hands.CAMERA)
    return result, optim.tailored_mesh(model, result)


def _tailored_batch(model, start, pixels):
    result = optim.tailor_batch(model, start, pixels, hands.CAMERA)
    return result, optim.tailored_mesh(model, result)


def _refined(model, start, pixels):
    result = refine(model, start, pixels, hands.CAMERA, settings=hands.TAILOR)
    return result, mano.forward(model, result.params).vertices


def _refined_batch(model, start, pixels):
    result = refine_batch(model, start, pixels, hands.CAMERA, settings=hands.TAILOR)
    return result, mano.forward_batch(model, result.params).vertices


def _each(model: mano.HandModel, fit: Callable, noise_px: float = 0.0) -> Callable[[], object]:
    some = hands.sample(model, SINGLES, noise_px=noise_px)
    batch = (hands.starts(some.params), some.pixels)
    singles = cycle([jax.tree.map(lambda field, k=k: field[k], batch) for k in range(SINGLES)])
    return lambda: fit(*next(singles))


def _whole(model: mano.HandModel, fit: Callable, count: int, noise_px: float = 0.0) -> Callable[[], object]:
    some = hands.sample(model, count, noise_px=noise_px)
    start = hands.starts(some.params)
    return lambda: fit(start, some.pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="turns of 0.1 s that each row has")
    rounds = parser.parse_args().rounds
    core = timing.pin_to_one_core()
    print(machine.describe("jax"))
    rows = fits(jax.device_put(mano.default()))
    measured = timing.measure({row.name: row.call for row in rows}, rounds)
    print(f"core {core}; {rounds} rounds; {machine.load()}\n")
    cells = []
    for row in rows:
        taken = [1e3 * seconds / row.hands for seconds in measured[row.name][:3]]
        asked = "" if row.limit_ms is None else f"{row.limit_ms:g}"
        met = None if row.limit_ms is None else taken[0] <= row.limit_ms
        cells.append([row.name, f"{taken[0]:.3f}", f"{taken[1]:.3f}", f"{taken[2]:.3f}", asked, machine.verdict(met)])
    print(machine.table(["fit", "ms a hand", "10 %", "90 %", "at most", ""], cells))


if __name__ == "__main__":
    main()
