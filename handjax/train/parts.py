"""Which parameters move: a tree of them parted by path prefixes, so that nothing is computed for those that do not."""

from collections.abc import Sequence
from typing import Any

from flax import traverse_util

Tree = dict[str, Any]


def is_under(path: str, prefixes: Sequence[str]) -> bool:
    """Whether "seednet/hg2b.0/kernel" begins with one of them; a prefix ends where a part of the path does: at a slash
    or a dot."""
    return any(path == prefix or path.startswith((f"{prefix}/", f"{prefix}.")) for prefix in prefixes)


def part(tree: Tree, frozen: Sequence[str]) -> tuple[Tree, Tree]:
    """-> (what moves, what is frozen), nested as before without the other's branches.

    Raises ValueError for a prefix that fits no leaf, and where nothing is left to move.
    """
    flat = traverse_util.flatten_dict(tree, sep="/")
    unused = [prefix for prefix in frozen if not any(is_under(path, [prefix]) for path in flat)]
    if unused:
        raise ValueError(f"frozen must be prefixes of parameter paths, but none begins with {', '.join(unused)}")
    still = {path: leaf for path, leaf in flat.items() if is_under(path, frozen)}
    moving = {path: leaf for path, leaf in flat.items() if path not in still}
    if not moving:
        raise ValueError(f"frozen must leave something to train, got {', '.join(frozen)}")
    return _nested(moving), _nested(still)


def joined(moving: Tree, still: Tree) -> Tree:
    """What `part` parted."""
    flat = traverse_util.flatten_dict(moving, sep="/") | traverse_util.flatten_dict(still, sep="/")
    return _nested(flat)


def _nested(flat: Tree) -> Tree:
    return traverse_util.unflatten_dict(flat, sep="/")
