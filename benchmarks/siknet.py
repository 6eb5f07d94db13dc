"""`python -m benchmarks.siknet [--run=runs/siknet-small]`: hands rebuilt by SIKNet from good and from bad keypoints.

Unseen hands of the default sampler, from every side. Without --run, the weights that ship with the package.
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from datasets.synthetic.sik import sampled_sik_batch
from handjax import mano, weights
from handjax.checkpoint import read_variables
from handjax.losses import mean_of
from handjax.models import siknet_objective
from handjax.models.siknet import PRESETS, SIKNet

HANDS = 4096
KEY = 1_000_003
"""Of no run: their keys are split from a seed, which is small."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=None, help="folder of a run of launch.train_siknet")
    parser.add_argument("--preset", choices=list(PRESETS), default="small", help="of the run's network")
    arguments = parser.parse_args()
    if arguments.run is None:
        network, variables = weights.siknet()
    else:
        whole = read_variables(arguments.run / "checkpoints")
        network = PRESETS[arguments.preset]
        variables = {kind: tree["siknet"] for kind, tree in whole.items() if "siknet" in tree}
    for noise_mm in (0.0, 2.0, 4.0):
        found = errors(network, variables, noise_mm)
        print(f"keypoints {noise_mm:.0f} mm off: " + "  ".join(f"{name} {value:.2f}" for name, value in found.items()))


def errors(network: SIKNet, variables: dict, noise_mm: float, hands: int = HANDS) -> dict[str, float]:
    """Means over `hands` hands that no training has seen; noise_mm: deviation of each coordinate of each keypoint."""
    model = mano.default()
    score = jax.jit(partial(_scores, network, model, hands))
    return {name: float(mean_of(sums)) for name, sums in score(variables, noise_mm * 1e-3).items()}


def _scores(network: SIKNet, model: mano.HandModel, hands: int, variables: dict, noise: jax.Array) -> dict:
    hand_key, noise_key = jax.random.split(jax.random.key(KEY))
    pairs = sampled_sik_batch(hand_key, hands, model)
    batch = {"joints": pairs.joints, "quaternions": pairs.quaternions, "betas": pairs.betas}
    batch["seen"] = pairs.joints + noise * jax.random.normal(noise_key, pairs.joints.shape)
    nested = {kind: {"siknet": tree} for kind, tree in variables.items()}
    outcome = siknet_objective.siknet(network, model, nested, batch, noise_key, train=False)
    sums = siknet_objective.score(model, outcome.outputs, batch)
    return {name: type(each)(*(jnp.sum(part) for part in each)) for name, each in sums.items()}


if __name__ == "__main__":
    main()
