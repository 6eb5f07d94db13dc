"""RHD's annotation pickle as data: nothing in it is executed."""

import io

import numpy as np

from handjax.checks import check_shape
from handjax.mano.stored_arrays import as_array
from handjax.mano.unpickle import OPCODES, Machine, read_argument

SHAPES = {"uv_vis": (42, 3), "xyz": (42, 3), "K": (3, 3)}
"""u px, v px and a flag that is 1 where the keypoint is seen; metres in the camera frame; pixels."""


def read_annotations(data: bytes, name: str) -> dict[int, dict]:
    """The pickle {id: {"uv_vis", "xyz", "K"}} as its raw records, which `arrays` makes arrays.

    Raises ValueError naming the file if it is damaged, no such dict or holds something to execute.
    """
    try:
        stored = _unpickled(data)
        if not isinstance(stored, dict) or not all(isinstance(key, int) for key in stored):
            raise ValueError("must be a dict with a record for each number")
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise ValueError(f"{name}: damaged, refused or no annotations of RHD: {error}") from error
    return stored


def arrays(record: dict) -> dict[str, np.ndarray]:
    """One record's arrays of `SHAPES`, float64. Raises ValueError or KeyError naming what is wrong."""
    values = {key: as_array(record[key]).astype(np.float64) for key in SHAPES}
    for key, shape in SHAPES.items():
        check_shape(key, values[key], shape)
    return values


def _unpickled(data: bytes):
    # `read_pickle` stops at a number of opcodes that no hand model has; 41,258 records come near it.
    machine, stream = Machine(), io.BytesIO(data)
    while True:
        opcode = OPCODES.get(stream.read(1))
        if opcode is None:
            raise ValueError("it ends early or holds an unknown opcode")
        if opcode.name == "STOP":
            return machine.stack[-1]
        machine.step(opcode.name, read_argument(opcode, stream))
