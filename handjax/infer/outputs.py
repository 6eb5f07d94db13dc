"""The results of a function by name, and whether an export gives the same."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array


def named_outputs(function: Callable[..., Any]) -> Callable[..., dict[str, Array]]:
    """`function` with its arrays in a dict, by their names in its result ("params.betas")."""

    def named(*arrays: Any) -> dict[str, Array]:
        leaves, _ = jax.tree_util.tree_flatten_with_path(function(*arrays))
        return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}

    return named


def check_same(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    """Raises ValueError where an output differs by more than `tolerance` of its largest value, or in being finite."""
    for name, values in expected.items():
        want, got = np.asarray(values, np.float64), np.asarray(found[name], np.float64)
        largest = np.abs(want).max(initial=0)
        if not np.allclose(got, want, rtol=0, atol=tolerance * largest, equal_nan=True):
            error = np.abs(got - want).max()
            raise ValueError(f"output {name} of the export differs by {error:g}, {tolerance * largest:g} is allowed")
