"""The bytes of a checkpoint's storages as arrays, and tensors as read-only views of them."""

from collections.abc import Callable

import numpy as np

from handjax.torch_weights.pickles import StorageRecord, TensorRecord

BFLOAT16 = "bf2"


def item_size(code: str) -> int:
    return int(code[-1])


def numbers(data: bytes, code: str, byte_order: str = "<") -> np.ndarray:
    """Bytes as a flat array: bfloat16, which NumPy has not, as float32."""
    if code == BFLOAT16:
        return (np.frombuffer(data, byte_order + "u2").astype(np.uint32) << 16).view(np.float32)
    array = np.frombuffer(data, np.dtype(byte_order + code))
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def arrays(named: dict[str, TensorRecord], load: Callable[[StorageRecord], np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors as read-only views of their storages, each of which is loaded once."""
    loaded: dict[str, np.ndarray] = {}
    views = {}
    for name, (record, offset, shape, strides) in named.items():
        if record.key not in loaded:
            loaded[record.key] = load(record)
        flat = loaded[record.key]
        # All inside the storage: that was checked when the record was made.
        views[name] = np.lib.stride_tricks.as_strided(
            flat[offset:], shape, [stride * flat.itemsize for stride in strides], writeable=False
        )
    return views
