"""A network, an objective and batches so small that a training step compiles in a blink."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from handjax.losses import CountedSum
from handjax.models.layers import BatchNorm, Compute, Linear
from handjax.models.objective import Outcome, initialised, run, together
from handjax.train import AXIS, Optimiser, start


class Toy(nn.Module):
    """(N, 4) -> {"y": (N, 2)}."""

    batch_norm: bool = True
    dropout: float = 0.0
    compute: Compute = Compute(axis_name=AXIS)

    @nn.compact
    def __call__(self, x, *, train=False):
        x = Linear(8, self.compute, name="first")(x)
        if self.batch_norm:
            x = BatchNorm(self.compute, name="norm")(x, train)
        x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))
        return {"y": Linear(2, self.compute, name="last")(x)}


class ToyWeights(NamedTuple):
    squares: float = 2.0
    edges: float = 0.5


def objective(network, variables, batch, key, *, train, extra=None):
    """Two terms whose counts differ; with `extra`, a second network that is frozen comes first."""
    x = batch["x"]
    if extra is not None:
        found, _ = run(extra, "extra", variables, x, train=False)
        x = jnp.concatenate([x, found["y"]], -1)
    outputs, moved = run(network, "toy", variables, x, train=train, key=key)
    away = outputs["y"] - batch["y"]
    squares = CountedSum(batch["valid"] * (away**2).sum(-1), batch["valid"])
    edges = CountedSum((batch["valid"][:, None] * jnp.abs(away)).sum(0), jnp.full(2, batch["valid"].sum()))
    return Outcome({"squares": squares, "edges": edges}, moved, outputs)


def thawed(network, extra, variables, batch, key, *, train):
    """The mistake: the frozen network runs as if it were trained."""
    found, stray = run(extra, "extra", variables, batch["x"], train=train)
    seen = batch | {"x": jnp.concatenate([batch["x"], found["y"]], -1)}
    outcome = objective(network, variables, seen, key, train=train)
    return outcome._replace(batch_stats=outcome.batch_stats | stray)


def batch(seed=0, count=16):
    """Examples of which a third is not valid, unevenly: most of those stand at the end."""
    random = np.random.default_rng(seed)
    valid = (random.random(count) < np.linspace(1.0, 0.3, count)).astype(np.float32)
    x = random.normal(size=(count, 4)).astype(np.float32)
    y = np.stack([x.sum(-1), x[:, 0] * x[:, 1]], -1).astype(np.float32)
    return {"x": x, "y": y, "valid": valid}


def on(devices, examples):
    """The same examples, with a leading axis of so many devices."""
    return jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), examples)


def optimiser(rate=0.05, **fields):
    # Plain descent: Adam makes a step of any gradient, and of the rounding of one that is 0.
    return Optimiser(optax.identity(), lambda step: rate, **fields)


def toy_state(network=None, extra=None, *, frozen=(), optimiser=None, seed=0):
    network = Toy() if network is None else network
    key = jax.random.key(seed)
    x = jnp.zeros((2, 4 if extra is None else 6))
    variables = initialised(network, "toy", key, x)
    if extra is not None:
        variables = together(variables, initialised(extra, "extra", key, jnp.zeros((2, 4))))
    return start(variables, optimiser or globals()["optimiser"](), frozen=frozen)


def draw(key, source, count):
    """Examples of the same problem, made on a device."""
    x = source["scale"] * jax.random.normal(key, (count, 4))
    return {"x": x, "y": x[:, :2], "valid": jnp.ones(count)}


def score(outputs, batch):
    """-> error: the mean distance."""
    away = jnp.linalg.norm(outputs["y"] - batch["y"], axis=-1)
    return {"error": CountedSum(away.sum(), jnp.asarray(float(len(away))))}


plain = partial(objective, Toy())
