"""From what a model file holds (arrays, nested lists, stand-ins of NumPy, SciPy and chumpy) to plain arrays."""

import itertools
import math
import re
from typing import Any

import numpy as np

from handjax.mano.unpickle import StandIn

MAX_VALUES = 1 << 24
"""Of a dense array made from a sparse one: no hand's regressor comes near, and two integers cannot ask for more."""

_NUMBER = re.compile(r"[<>|=]?([biuf][1248])")


def as_array(value: Any, depth: int = 0) -> np.ndarray:
    """The plain array that `value` stands for. Raises ValueError if it stands for none, or for one that is damaged."""
    if depth > 4:
        raise ValueError("must be an array, got objects nested too deeply")
    match value:
        case np.ndarray():
            return value
        case bool() | int() | float() | list() | tuple():
            return _from_lists(value)
        case StandIn("ndarray", _, (int(), tuple(shape), dtype, order, raw)):
            return _from_bytes(raw, dtype, shape, "F" if order else "C")
        case StandIn("frombuffer", (raw, dtype, tuple(shape), "C" | "F" as order)):
            return _from_bytes(raw, dtype, shape, order)
        case StandIn("scalar", (dtype, raw)):
            return _from_bytes(raw, dtype, (), "C")
        case StandIn("ch", _, {"x": inner}):
            return as_array(inner, depth + 1)
        case StandIn("select", _, {"a": whole, "idxs": chosen, **rest}):
            return _select(as_array(whole, depth + 1), as_array(chosen, depth + 1), rest.get("preferred_shape"))
        case StandIn("csc" | "csr" as kind, _, dict(state)):
            return _dense(kind, state, depth)
        case {"data": _, "indices": _, "indptr": _}:
            # SciPy's column form, dumped to JSON field by field.
            return _dense("csc", value, depth)
    raise ValueError(f"must be an array, got {value.kind if isinstance(value, StandIn) else type(value).__name__}")


def whole_numbers(array: np.ndarray) -> np.ndarray:
    """int64 of integers, or of floats that hold integers (as JSON may). Raises ValueError for anything else."""
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.round(array)).all():
        array = np.clip(array, -(2.0**53), 2.0**53)
    elif array.dtype.kind not in "iu":
        raise ValueError(f"must hold whole numbers, got {array.dtype}")
    return array.astype(np.int64)


def _from_bytes(raw: Any, dtype: Any, shape: tuple, order: Any) -> np.ndarray:
    match dtype:
        case StandIn("dtype", (str(code), *_), None):
            byte_order = "<"
        case StandIn("dtype", (str(code), *_), (int(), "<" | ">" | "|" | "=" as byte_order, *_)):
            pass
        case _:
            raise ValueError("must have a number type, got a damaged one")
    number = _NUMBER.fullmatch(code)
    if number is None:
        raise ValueError(f"must have a number type, got {code[:20]!r}")
    plain = np.dtype(byte_order + number[1])
    match raw:
        case bytes() | bytearray():
            pass
        case str(text) | StandIn("encode", (str(text), *_)):
            raw = text.encode("latin-1")
        case _:
            raise ValueError(f"must hold bytes, got {type(raw).__name__}")
    if not all(type(length) is int and length >= 0 for length in shape) or len(shape) > 8:
        raise ValueError("must have a shape of up to 8 lengths, got something else")
    if math.prod(shape) * plain.itemsize != len(raw):
        raise ValueError(f"must hold {len(raw)} bytes of {plain.name}, got the shape {str(shape)[:80]}")
    return np.frombuffer(raw, plain).reshape(shape, order=order)


def _from_lists(nested: Any) -> np.ndarray:
    """Level by level, so that neither depth nor lists that hold themselves cost more than the leaves they have."""
    shape, level = [], [nested]
    while level and isinstance(level[0], list | tuple):
        length = len(level[0])
        if not all(isinstance(row, list | tuple) and len(row) == length for row in level):
            raise ValueError("must be a regular array, got lists of different lengths")
        shape.append(length)
        if math.prod(shape) > MAX_VALUES or len(shape) > 8:
            raise ValueError(f"must have at most {MAX_VALUES} values in 8 axes, got lists of {shape}")
        level = list(itertools.chain.from_iterable(level))
    kinds = {type(leaf) for leaf in level}
    if not kinds <= {int, float, bool}:
        raise ValueError(f"must hold numbers, got {', '.join(sorted(kind.__name__ for kind in kinds))}")
    try:
        return np.fromiter(level, np.float64, len(level)).reshape(shape)
    except OverflowError as error:
        raise ValueError("must hold numbers that fit a float, got a longer one") from error


def _select(whole: np.ndarray, chosen: np.ndarray, shape: Any) -> np.ndarray:
    """chumpy's `Select`: entries of the flattened array, in another shape."""
    chosen = whole_numbers(chosen)
    shape = chosen.shape if shape is None else tuple(whole_numbers(as_array(shape)).tolist())
    if chosen.size and not (chosen.min() >= 0 and chosen.max() < whole.size):
        raise ValueError(f"must select entries below {whole.size}, got {chosen.min()} to {chosen.max()}")
    if min(shape, default=0) < 0 or math.prod(shape) != chosen.size:
        raise ValueError(f"must select {shape}, got {chosen.size} entries")
    return whole.ravel()[chosen].reshape(shape)


def _dense(kind: str, state: dict, depth: int) -> np.ndarray:
    """A compressed sparse matrix (data, indices, indptr) as a dense one."""
    if not {"data", "indices", "indptr"} <= state.keys():
        raise ValueError("must be a sparse matrix with data, indices and indptr, got one without")
    data = as_array(state["data"], depth + 1)
    minor, starts = (whole_numbers(as_array(state[key], depth + 1)) for key in ("indices", "indptr"))
    if data.dtype.kind not in "iuf" or not data.ndim == minor.ndim == starts.ndim == 1 or not starts.size:
        raise ValueError("must be a sparse matrix of three lists of numbers, got something else")
    if starts[0] != 0 or (np.diff(starts) < 0).any() or not starts[-1] == data.size == minor.size:
        raise ValueError("must be a sparse matrix whose indptr rises from 0 to the number of entries")
    lengths = [int(minor.max(initial=-1)) + 1, starts.size - 1]
    shape = state.get("_shape", state.get("shape"))
    if shape is not None:
        lengths = whole_numbers(as_array(shape)).ravel().tolist()
        lengths = lengths[::-1] if kind == "csr" else lengths
    if len(lengths) != 2 or lengths[1] != starts.size - 1 or not 0 <= lengths[0] * lengths[1] <= MAX_VALUES:
        raise ValueError(f"must be a sparse matrix of {starts.size - 1} {kind} columns, got {str(lengths)[:80]}")
    if minor.size and not (minor.min() >= 0 and minor.max() < lengths[0]):
        raise ValueError(f"must have sparse indices below {lengths[0]}, got {minor.min()} to {minor.max()}")
    dense = np.zeros(lengths)
    np.add.at(dense, (minor, np.repeat(np.arange(lengths[1]), np.diff(starts))), data)
    return dense.T if kind == "csr" else dense
