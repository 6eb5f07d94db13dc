"""Networks that another run has trained: their variables from its checkpoints, for stages that build on them."""

from pathlib import Path
from typing import Any

import jax

from handjax.checkpoint import read_variables
from handjax.models.objective import Tree


def with_trained(fresh: Tree, run: str, names: tuple[str, ...]) -> Tree:
    """`fresh` variables with those of networks `names` from the best checkpoint of the run in folder `run`, of its
    running average where it kept one; as they are where `run` is "".

    Raises ValueError where there is no such run, or its networks have other shapes.
    """
    if not run:
        return fresh
    stored = read_variables(Path(run) / "checkpoints")
    if missing := [name for name in names if name not in stored["params"]]:
        raise ValueError(f"{run} must hold {', '.join(missing)}, got {', '.join(stored['params'])}")
    put: dict[str, Any] = {}
    for collection, networks in fresh.items():
        found = {name: stored[collection][name] for name in names if name in networks}
        for name, tree in found.items():
            _check_same(run, name, networks[name], tree)
        put[collection] = networks | found
    return put


def _check_same(run: str, name: str, fresh: Tree, stored: Tree) -> None:
    ours, theirs = (jax.tree.map(lambda leaf: leaf.shape, tree) for tree in (fresh, stored))
    if ours != theirs:
        raise ValueError(f"{run} must hold {name} of the same shapes: give the preset that it was trained with")
