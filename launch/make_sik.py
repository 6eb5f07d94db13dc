"""`python -m launch.make_sik --out=DIR --pairs=1000000`: joint-rotation pairs as npz files, 80 % of the hands to train.

20,000 hands seen from 50 sides each, as BiHand's SIK-1M. What the files hold: `datasets.synthetic.sik_files`. A run
that was stopped goes on where it was; a folder with another set is left alone.
"""

import argparse
import hashlib
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from datasets.synthetic.sik import SPREAD, SikBatch, SikPrior, sampled_prior, sampled_sik_batch, sik_batch
from datasets.synthetic.sik_files import Shard, plan, write_sik
from handjax import mano

TRAIN_SHARE = 0.8


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    if options.pairs < 1 or options.views < 1 or options.pairs % options.views:
        raise SystemExit(f"--pairs must be a positive multiple of --views, got {options.pairs} and {options.views}")
    try:
        make(options)
    except (OSError, ValueError) as error:
        raise SystemExit(f"make_sik: {error}") from error


def make(options: argparse.Namespace) -> None:
    model = mano.default() if options.model is None else mano.load(options.model)
    prior = None
    if options.prior is not None:
        prior = read_prior(options.prior)
    elif not options.sampled:
        prior = sampled_prior(model)
    shards = plan(options.pairs // options.views, options.hands_per_shard, TRAIN_SHARE)
    about = {
        "pairs": options.pairs,
        "views": options.views,
        "hands_per_shard": options.hands_per_shard,
        "train_share": TRAIN_SHARE,
        "seed": options.seed,
        "draw": "sampler" if prior is None else "normal",
        "spread": None if prior is None else options.spread,
        "prior": None if prior is None else _digest(*prior),
        "model": _digest(model.v_template, model.blend_basis, model.J_regressor),
        "side": model.side,
    }
    draw = _draw(jax.device_put(model), prior, options)
    begun = time.perf_counter()
    for shard, written in write_sik(options.out, about, shards, options.views, draw):
        pairs = (shard.last - shard.first) * options.views
        print(f"{options.out / shard.name}: {pairs} pairs{'' if written else ', there already'}", flush=True)
    print(f"{options.pairs} pairs in {time.perf_counter() - begun:.1f} s")


def _draw(model: mano.HandModel, prior: SikPrior | None, options: argparse.Namespace):
    root = jax.random.key(options.seed)

    @partial(jax.jit, static_argnames="batch")
    def pairs(key: jax.Array, batch: int) -> SikBatch:
        if prior is None:
            return sampled_sik_batch(key, batch, model, views=options.views)
        return sik_batch(key, batch, model, prior, views=options.views, spread=options.spread)

    def draw(shard: Shard) -> SikBatch:
        return pairs(jax.random.fold_in(root, shard.first), (shard.last - shard.first) * options.views)

    return draw


def read_prior(path: Path) -> SikPrior:
    """An npz with the four arrays of `SikPrior`. Raises ValueError naming the one that is missing."""
    with np.load(path, allow_pickle=False) as stored:
        missing = [name for name in SikPrior._fields if name not in stored]
        if missing:
            raise ValueError(f"{path} must hold {', '.join(SikPrior._fields)}, has no {', '.join(missing)}")
        return SikPrior(*(jnp.asarray(stored[name], jnp.float32) for name in SikPrior._fields))


def _digest(*arrays) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m launch.make_sik", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder for the files, 0.55 GB a million pairs")
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--views", type=int, default=50, help="pairs of each hand")
    parser.add_argument("--hands-per-shard", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prior", type=Path, help="npz of pose_mean, pose_std (45), betas_mean, betas_std (S)")
    parser.add_argument("--spread", type=float, default=SPREAD, help="standard deviations drawn per one of the prior")
    parser.add_argument("--sampled", action="store_true", help="poses that hands can take, from the pose sampler")
    parser.add_argument("--model", type=Path, help="a hand model's file instead of the one that ships")
    options = parser.parse_args(arguments)
    if options.sampled and options.prior is not None:
        parser.error("--sampled and --prior exclude each other")
    return options


if __name__ == "__main__":
    main()
