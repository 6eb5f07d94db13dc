"""What an objective gives: the terms of a loss, what its networks found, and how their batch statistics moved.

Every `<system>_objective.py` holds one pure function for each stage of a system's training. Networks' variables are
nested by the network's name, so that a stage can hold several: `variables["params"]["seednet"]`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from handjax.losses import CountedSum, PixelSum

Tree = dict[str, Any]
"""Nested dicts of arrays, as flax makes them."""

Batch = Mapping[str, Array]


class Outcome(NamedTuple):
    """terms: each a sum and a count, named as the fields of the system's weights; whatever the batch axes, all of
    them are added up. batch_stats: those of the networks that ran with train=True, by network; {} if none did.
    outputs: what evaluation and pictures are made of, each with a leading batch axis."""

    terms: Mapping[str, CountedSum | PixelSum]
    batch_stats: Tree
    outputs: dict[str, Any]


class Objective(Protocol):
    """(variables, batch, key, *, train) -> Outcome. Counts carry no gradient and no term leaves out its count."""

    def __call__(self, variables: Tree, batch: Batch, key: Array, *, train: bool) -> Outcome: ...


def run(
    network: nn.Module, name: str, variables: Tree, *inputs: Any, train: bool, key: Array | None = None
) -> tuple[dict[str, Array], Tree]:
    """The outputs of the network whose variables are under `name`, and its batch statistics, by name ({} unless train).

    A frozen network runs with train=False whatever the stage does. key: for dropout.
    Raises ValueError where `variables` hold no parameters of that name.
    """
    if name not in variables["params"]:
        raise ValueError(f"variables must hold parameters of {name!r}, got {', '.join(sorted(variables['params']))}")
    own = {collection: tree[name] for collection, tree in variables.items() if name in tree}
    if not train:
        return network.apply(own, *inputs, train=False), {}  # pyright: ignore[reportReturnType]
    rngs = None if key is None else {"dropout": key}
    outputs, moved = network.apply(own, *inputs, train=True, mutable=["batch_stats"], rngs=rngs)
    return outputs, {name: moved["batch_stats"]} if "batch_stats" in moved else {}


def initialised(network: nn.Module, name: str, key: Array, *inputs: Any) -> Tree:
    """Fresh variables of one network, nested by its name; those of several are put together by `together`.

    Of arrays among `inputs` the shapes alone matter: the network does not run. Not to be called within `jax.jit`, which
    makes code of each of hundreds of random draws: that compiles five times as long as this takes.
    """
    variables = network.lazy_init(key, *jax.tree.map(_shape, inputs))
    return {collection: {name: tree} for collection, tree in variables.items()}


def _shape(leaf: Any) -> Any:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if isinstance(leaf, jax.Array) else leaf


def together(*variables: Tree) -> Tree:
    """Variables of several networks as one tree. Raises ValueError where two have a name in common."""
    joined: Tree = {}
    for tree in variables:
        for collection, networks in tree.items():
            if common := joined.get(collection, {}).keys() & networks.keys():
                raise ValueError(f"variables must have networks of different names, got two of {', '.join(common)}")
            joined[collection] = joined.get(collection, {}) | networks
    return joined


def counted(values: Array, valid: Array) -> CountedSum:
    """The sum of what is valid, and how much that is; `valid` has the shape of `values` or broadcasts to it.

    What is not valid may be anything.
    """
    valid = jnp.broadcast_to(valid, values.shape)
    return CountedSum((jnp.where(valid > 0, values, 0.0) * valid).sum(), valid.sum())
