"""Which of the things in a checkpoint are the network's tensors, and their names."""

from typing import Any

from handjax.torch_weights.pickles import TensorRecord

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
"""Keys under which training scripts keep the state_dict, beside an optimiser's state, a score and the like."""

PARALLEL = "module"
"""The part that DataParallel adds to each name."""

MAX_DEPTH = 4


def tensors_in(tree: Any) -> dict[str, TensorRecord]:
    """The tensors of a checkpoint: its state_dict where one is kept under a usual key, else all in its dicts, the keys
    joined by ".". Names are without DataParallel's `module`.

    Raises ValueError if there are none, or two of one name.
    """
    for _ in range(MAX_DEPTH):
        wrapped = [tree[key] for key in WRAPPERS if isinstance(tree, dict) and isinstance(tree.get(key), dict)]
        if not wrapped:
            break
        tree = wrapped[0]
    named: dict[str, TensorRecord] = {}
    _gather(tree, (), named, set())
    if not named:
        raise ValueError("it must hold a state_dict, a dict of tensors by name, got none")
    return named


def _gather(tree: Any, path: tuple[str, ...], named: dict[str, TensorRecord], seen: set[int]) -> None:
    if isinstance(tree, TensorRecord):
        name = ".".join(part for part in ".".join(path).split(".") if part != PARALLEL)
        if name in named:
            raise ValueError(f"it must name each tensor once, got {name[:80]} twice")
        named[name] = tree
    # A dict is looked at once: one that holds itself would never end.
    elif isinstance(tree, dict) and id(tree) not in seen and len(path) < MAX_DEPTH:
        seen.add(id(tree))
        for key, value in tree.items():
            _gather(value, (*path, str(key)), named, seen)
