"""Joint-rotation pairs per second, made inside jit on all cores.

python -m benchmarks.sik [--batch=4096] [--rounds=20]

Rows take turns. One view a hand is the dearest; 50 is what SIK-1M has.
"""

import argparse
from functools import partial

import jax

from benchmarks import machine, timing
from datasets.synthetic.sik import sampled_prior, sampled_sik_batch, sik_batch
from handjax import mano

ASKED = 500_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4096, help="pairs a call")
    parser.add_argument("--rounds", type=int, default=20, help="turns of 0.1 s that each row has")
    options = parser.parse_args()
    print(machine.describe("jax"))
    model = jax.device_put(mano.default())
    prior, key = sampled_prior(model), jax.random.key(0)
    normal = jax.jit(partial(sik_batch, batch=options.batch, model=model, prior=prior))
    sampled = jax.jit(partial(sampled_sik_batch, batch=options.batch, model=model))
    many = options.batch // 50 * 50
    views = jax.jit(partial(sik_batch, batch=many, model=model, prior=prior, views=50))
    rows = {
        "normal, one view a hand": (lambda: normal(key), options.batch, ASKED),
        "normal, 50 views a hand": (lambda: views(key), many, None),
        "pose sampler, one view a hand": (lambda: sampled(key), options.batch, None),
    }
    measured = timing.measure({name: row[0] for name, row in rows.items()}, options.rounds)
    cells = []
    for name, (_, pairs, asked) in rows.items():
        rates = [pairs / seconds for seconds in measured[name][:3]]
        met = machine.verdict(None if asked is None else rates[0] >= asked)
        cells.append([name, *(f"{rate:,.0f}" for rate in rates), "" if asked is None else f"{asked:,}", met])
    print(machine.table(["pairs", "a second", "90 %", "10 %", "at least", ""], cells))


if __name__ == "__main__":
    main()
