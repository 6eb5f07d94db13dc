"""The safetensors format: a length, a JSON header of types, shapes and places, and the numbers."""

import json
import math
import mmap
from pathlib import Path

import numpy as np

from handjax.torch_weights.storages import item_size, numbers

TYPES = {
    **{"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bf2", "BOOL": "b1"},
    **{"I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1", "U8": "u1"},
}
MAX_HEADER_BYTES = 16 << 20
MAX_AXES = 8


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor by its name. Raises ValueError if the header is damaged, or a tensor lies outside of the file."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        length = int.from_bytes(data[:8], "little")
        if not 2 <= length <= min(MAX_HEADER_BYTES, len(data) - 8):
            raise ValueError(f"its header must have 2 to {MAX_HEADER_BYTES} bytes inside the file, got {length}")
        try:
            header = json.loads(data[8 : 8 + length])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its header must be JSON: {str(error)[:120]}") from error
        if not isinstance(header, dict):
            raise ValueError(f"its header must be an object, got {type(header).__name__}")
        header.pop("__metadata__", None)
        _check_places(header, len(data) - 8 - length)
        return {name: _tensor(data, 8 + length, described) for name, described in header.items()}


def _check_places(header: dict, size: int) -> None:
    total = 0
    for name, described in header.items():
        match described:
            case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(start), int(end)]} if (
                kind in TYPES and len(shape) <= MAX_AXES and all(type(axis) is int and axis >= 0 for axis in shape)
            ):
                if not 0 <= start <= end <= size or end - start != math.prod(shape) * item_size(TYPES[kind]):
                    raise ValueError(f"tensor {name[:80]!r} does not fill its place, bytes {start} to {end} of {size}")
                total += end - start
            case _:
                raise ValueError(f"tensor {name[:80]!r} must have a known dtype, a shape and data_offsets")
    # Overlapping tensors would unpack to many times the file.
    if total > size:
        raise ValueError(f"tensors must lie apart in the file's {size} bytes, got {total} bytes")


def _tensor(data: mmap.mmap, base: int, described: dict) -> np.ndarray:
    start, end = described["data_offsets"]
    return numbers(data[base + start : base + end], TYPES[described["dtype"]]).reshape(described["shape"])
