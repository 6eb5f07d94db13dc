"""From a PyTorch `state_dict` to flax variables and back, for any network whose paths are the PyTorch names.

The last part of a leaf's path tells how its tensor is laid out; see `handjax.models.layers`.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

Variables = dict[str, Any]
"""Flax's nested dict: `params`, `batch_stats` of batch norms, and what else a network stores."""

_TORCH_NAMES = {
    ("params", "kernel"): "weight",
    ("params", "transposed_kernel"): "weight",
    ("params", "scale"): "weight",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
"""Every other leaf has one name in both."""

COUNTER = "num_batches_tracked"
NAMES_SHOWN = 12


class Leaf(NamedTuple):
    """Where a tensor stands in the variables: the collection, the path in it, and the leaf itself."""

    collection: str
    path: tuple[str, ...]
    value: Any

    def to_torch(self, array: np.ndarray) -> np.ndarray:
        if self.path[-1] == "transposed_kernel":
            return np.moveaxis(array, (-2, -1), (0, 1))
        return np.moveaxis(array, (-1, -2), (0, 1)) if self.path[-1] == "kernel" else array

    def from_torch(self, array: np.ndarray) -> np.ndarray:
        if self.path[-1] == "transposed_kernel":
            return np.moveaxis(array, (0, 1), (-2, -1))
        return np.moveaxis(array, (0, 1), (-1, -2)) if self.path[-1] == "kernel" else array

    def torch_shape(self) -> tuple[int, ...]:
        # An array of one repeated value: no memory, and the same rule as for values.
        return self.to_torch(np.broadcast_to(np.float32(0), self.value.shape)).shape


def leaves(variables: Mapping) -> dict[str, Leaf]:
    """PyTorch's name of every leaf of the variables, or of their shapes.

    Raises ValueError if two leaves would have one name.
    """
    named: dict[str, Leaf] = {}
    for collection, tree in variables.items():
        for path, value in traverse_util.flatten_dict(tree).items():
            path = tuple(str(part) for part in path)
            name = ".".join((*path[:-1], _TORCH_NAMES.get((collection, path[-1]), path[-1])))
            if name in named:
                raise ValueError(f"variables must have one leaf for each PyTorch name, got two for {name}")
            named[name] = Leaf(collection, path, value)
    return named


def template(network: nn.Module, *inputs: Any) -> Variables:
    """The shapes of a network's variables for such inputs (arrays or shapes); none is made."""
    return dict(jax.eval_shape(network.init, jax.random.key(0), *inputs))


def to_variables(state_dict: Mapping[str, np.ndarray], shapes: Mapping, *, ignored: Collection[str] = ()) -> Variables:
    """The variables of the structure of `shapes` (see `template`; arrays do too) with the state_dict's values.

    `ignored` are beginnings of names that the network need not have, as "fc." of a classifier's backbone; the counters
    of PyTorch's batch norm always are. Raises ValueError that lists the names that are missing, left over or of
    another shape.
    """
    named = leaves(shapes)
    given = {name: array for name, array in state_dict.items() if name in named or not is_ignored(name, ignored)}
    _check_names(named, given)
    collections: dict[str, dict] = {collection: {} for collection in shapes}
    for name, leaf in named.items():
        value = leaf.from_torch(np.asarray(given[name]))
        collections[leaf.collection][leaf.path] = jnp.asarray(value, leaf.value.dtype)
    return {collection: traverse_util.unflatten_dict(tree) for collection, tree in collections.items()}


def to_state_dict(variables: Mapping) -> dict[str, np.ndarray]:
    """The variables as arrays under PyTorch's names, in its layouts, with a counter of 0 for each batch norm."""
    state_dict: dict[str, np.ndarray] = {}
    for name, leaf in leaves(variables).items():
        state_dict[name] = np.array(leaf.to_torch(np.asarray(leaf.value)), order="C")
        if name.endswith("running_var"):
            state_dict[name.removesuffix("running_var") + COUNTER] = np.zeros((), np.int64)
    return state_dict


def is_ignored(name: str, ignored: Collection[str]) -> bool:
    return name.rpartition(".")[2] == COUNTER or name.startswith(tuple(ignored))


def _check_names(named: Mapping[str, Leaf], given: Mapping[str, np.ndarray]) -> None:
    shapes = {name: (leaf.torch_shape(), np.shape(given[name])) for name, leaf in named.items() if name in given}
    faults = {
        "missing": [name for name in named if name not in given],
        "not of this network": [name for name in given if name not in named],
        "of another shape": [
            f"{name} (must be {want}, got {got})" for name, (want, got) in shapes.items() if want != got
        ],
    }
    told = [f"{fault}: {listed(names)}" for fault, names in faults.items() if names]
    if told:
        raise ValueError(f"state_dict must have the network's {len(named)} tensors; " + "; ".join(told))


def listed(names: list[str]) -> str:
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
