"""How good the fits are, on synthetic hands whose truth is known: the tailor, from 3D joints, from 2D alone.

python -m benchmarks.quality [--hands=1000] [--rows=tailor,joints,flat]

Hands and starts: `benchmarks.hands`. The last row has half as many hands.
"""

import argparse
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks import hands, machine, refine_energy
from handjax import mano
from handjax.optim.multistart import fit_2d
from handjax.optim.refine import RefineResult, refine_batch

ADAM_STEPS = 100
ERROR_PX, PAST_LIMIT_DEG, FLAT_MM = 0.1, 5.0, 10.0
MIDDLE_BASE = 9


class Line(NamedTuple):
    """One figure, what is asked of it, and whether it is met (None: only reported)."""

    what: str
    figure: str
    asked: str = ""
    met: bool | np.bool | None = None


def tailor_exact(model: mano.HandModel, count: int) -> list[Line]:
    """Noise-free keypoints, from starts that are 0.3 rad and one beta off."""
    some = hands.sample(model, count)
    start = hands.starts(some.params)
    result = _refine(model, start, some.pixels)
    reached = np.asarray(result.error_px).mean(-1) < ERROR_PX
    inside = np.rad2deg(np.asarray(result.limit_excess)) <= PAST_LIMIT_DEG
    error, before = root_relative_mm(result.keypoints, some.points), _start_error_mm(model, start, some)
    nearer = error <= before
    kept, both = reached & inside, inside & nearer
    return [
        Line(f"noise-free: mean error < {ERROR_PX:g} px", _share(reached), "97 %", reached.mean() >= 0.97),
        Line("... and no joint > 5 degrees past its limit", _share(kept), "97 %", kept.mean() >= 0.97),
        Line("... 3D error not above the start's", _share(nearer), "95 %", nearer.mean() >= 0.95),
        Line("... limits and 3D error together", _share(both), "95 %", both.mean() >= 0.95),
        Line("... all three together", _share(reached & both)),
        Line("... mean 3D error, start -> end", f"{before.mean():.1f} -> {error.mean():.1f} mm"),
        _iterations(result),
    ]


def tailor_noisy(model: mano.HandModel, count: int) -> list[Line]:
    """2 px noise: the second-order solver against Adam on the same energy from the same start."""
    some = hands.sample(model, count, noise_px=2.0)
    start = hands.starts(some.params)
    result = _refine(model, start, some.pixels)
    ours, theirs, adam_params = _with_adam(model, start, some.pixels, result)
    lower = np.asarray(ours < theirs)
    error = root_relative_mm(result.keypoints, some.points)
    adam_error = root_relative_mm(hands.keypoints(model, adam_params), some.points)
    before = _start_error_mm(model, start, some)
    energies = f"{np.median(ours):.2f}, {np.median(theirs):.2f} px^2"
    errors = f"{error.mean():.1f}, {adam_error.mean():.1f} mm (start {before.mean():.1f})"
    below = f"2 px noise: energy below the best of {ADAM_STEPS} Adam steps"
    return [
        Line(below, _share(lower), "99 %", lower.mean() >= 0.99),
        Line("... median energy, this and Adam's", energies),
        Line("... mean 3D error, this and Adam's", errors),
        Line("... 3D error below Adam's", _share(error < adam_error)),
        _iterations(result),
    ]


def from_joints(model: mano.HandModel, count: int) -> list[Line]:
    some = hands.sample(model, count)
    fit = jax.jit(mano.fit_joints_batch)(model, some.points)
    error_mm = 1e3 * np.asarray(fit.error)
    spread = f"{np.percentile(error_mm.mean(-1), 99):.3f}, {error_mm.max():.2f} mm"
    return [
        Line("from 3D joints: mean error", f"{error_mm.mean():.3f} mm", "< 0.5 mm", error_mm.mean() < 0.5),
        Line("... 99 % of hands below, worst joint", spread),
        Line("... converged", _share(np.asarray(fit.converged))),
    ]


def from_2d_alone(model: mano.HandModel, count: int) -> list[Line]:
    """No start, no noise, known camera; each hypothesis scaled about the wrist to the true size first."""
    some = hands.sample(model, count)
    fit = jax.jit(partial(fit_2d, model, camera=hands.CAMERA))(some.pixels)
    errors = np.stack([scale_aligned_mm(fit.hypotheses.keypoints[:, k], some.points) for k in (0, 1)])
    first, best = errors[0] < FLAT_MM, errors.min(0) < FLAT_MM
    found = f"from 2D alone, {count} hands: 3D error < {FLAT_MM:g} mm"
    return [
        Line(f"{found}, better of two", _share(best), "75 %", best.mean() >= 0.75),
        Line("... the first alone", _share(first)),
        Line("... median 3D error, first and better", f"{np.median(errors[0]):.1f}, {np.median(errors.min(0)):.1f} mm"),
        Line("... said to be ambiguous", _share(np.asarray(fit.ambiguous))),
    ]


def root_relative_mm(found: Array, true: Array) -> np.ndarray:
    """(B, 21, 3) metres -> (B,) mean distance with the middle finger's base at 0, in size as they are."""
    apart = (found - found[:, MIDDLE_BASE, None]) - (true - true[:, MIDDLE_BASE, None])
    return 1e3 * np.asarray(jnp.linalg.norm(apart, axis=-1).mean(-1))


def scale_aligned_mm(found: Array, true: Array) -> np.ndarray:
    """(B, 21, 3) metres -> (B,) mean distance with the wrist at 0 and `found` scaled to fit best; never turned."""
    found, true = found - found[:, :1], true - true[:, :1]
    scale = (found * true).sum((1, 2)) / (found * found).sum((1, 2))
    return 1e3 * np.asarray(jnp.linalg.norm(scale[:, None, None] * found - true, axis=-1).mean(-1))


@jax.jit
def _refine(model: mano.HandModel, start: mano.HandParams, pixels: Array) -> RefineResult:
    return refine_batch(model, start, pixels, hands.CAMERA, settings=hands.TAILOR)


@jax.jit
def _with_adam(
    model: mano.HandModel, start: mano.HandParams, pixels: Array, result: RefineResult
) -> tuple[Array, Array, mano.HandParams]:
    """-> energies (B,) of the result and of Adam by one and the same function, and Adam's hands."""
    evidence = refine_energy.evidence_of(pixels)
    energy = refine_energy.energy_of(model, start, evidence, hands.TAILOR)
    found, lowest = refine_energy.adam(energy, refine_energy.placed(model, start, evidence), ADAM_STEPS)
    return energy(result.params), lowest, found


def _start_error_mm(model: mano.HandModel, start: mano.HandParams, some: hands.Hands) -> np.ndarray:
    return root_relative_mm(hands.keypoints(model, start), some.points)


def _iterations(result: RefineResult) -> Line:
    count = np.asarray(result.iterations)
    text = f"{_share(np.asarray(result.converged))}; {count.mean():.1f}, {np.percentile(count, 95):.0f}"
    return Line("... converged; iterations, mean and 95 %", text)


def _share(condition: np.ndarray) -> str:
    return f"{100 * condition.mean():.1f} %"


ROWS = {
    "tailor": lambda model, count: tailor_exact(model, count) + tailor_noisy(model, count),
    "joints": from_joints,
    "flat": lambda model, count: from_2d_alone(model, -(-count // 2)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hands", type=int, default=1000, help="hands of each row; half as many from 2D alone")
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}, with commas between")
    flags = parser.parse_args()
    model = jax.device_put(mano.default())
    print(machine.describe("jax"), f"{flags.hands} hands", sep="; ", end="\n\n")
    lines = [line for name in flags.rows.split(",") for line in ROWS[name](model, flags.hands)]
    cells = [[line.what, line.figure, line.asked, machine.verdict(line.met)] for line in lines]
    print(machine.table(["what", "figure", "asked", ""], cells))


if __name__ == "__main__":
    main()
