"""npz archives as plain arrays: nothing pickled, and nothing unpacked beyond its declared and allowed size."""

import io
import math
import re
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Collection

import numpy as np

MAX_UNPACKED_BYTES = 256 << 20
MAX_MEMBERS = 10_000
"""zipfile builds an object for each entry before one can ask how many there are; empty entries cost 100 bytes."""

_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# numpy reads a header as a Python literal, and again by tokens if that fails: these are what either may raise.
_HEADER_ERRORS = (
    *(ValueError, KeyError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError),
    tokenize.TokenError,
)


def read_npz(data: bytes, wanted: Collection[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """-> the members of `wanted` that the archive `data` has, and the names of all of its arrays.

    Raises ValueError naming the member if one is damaged, pickled, encrypted or larger than it may be.
    """
    if data.count(b"PK\x01\x02") > MAX_MEMBERS:
        raise ValueError(f"archive must have at most {MAX_MEMBERS} members, got more")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            members = {member.filename.removesuffix(".npy"): member for member in arrays}
            chosen = {name: member for name, member in members.items() if name in wanted}
            unpacked = sum(member.file_size for member in chosen.values())
            if unpacked > MAX_UNPACKED_BYTES:
                raise ValueError(f"archive must unpack to at most {MAX_UNPACKED_BYTES} bytes, got {unpacked}")
            return {name: _read_member(archive, name, member) for name, member in chosen.items()}, sorted(members)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"damaged archive: {error}") from error


def _read_member(archive: zipfile.ZipFile, name: str, member: zipfile.ZipInfo) -> np.ndarray:
    # bzip2 and LZMA take their memory from the file's word; NumPy writes neither.
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"`{name}` must be stored or deflated, without encryption")
    try:
        # The size asked for bounds what is unpacked, whatever the compressed stream goes on to hold.
        with archive.open(member) as stream:
            return read_npy(stream.read(member.file_size))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"`{name}` is damaged: {error}") from error
    except ValueError as error:
        raise ValueError(f"`{name}` {error}") from error


def read_npy(data: bytes) -> np.ndarray:
    """One array in NumPy's format. Unlike `np.load` it believes no declared shape that the bytes do not fill."""
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Headers of Python 2 are read, with a warning that helps nobody here.
            reader = _HEADER_READERS[np.lib.format.read_magic(stream)]
            shape, fortran_order, dtype = reader(stream)
    except _HEADER_ERRORS as error:
        raise ValueError(f"is not an array of NumPy's format: {str(error)[:120]}") from error
    if dtype.hasobject:
        raise ValueError("is a pickled object array, which is never read; store plain arrays")
    if not re.fullmatch(r"[<>|](?:[biufc]|[SU](?=[1-9]))\d+", dtype.str):
        raise ValueError(f"must be a plain array, got {str(dtype)[:80]}")
    body = memoryview(data)[stream.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(body) or len(shape) > 8:
        raise ValueError(f"is damaged: {len(body)} bytes of {dtype} do not fill the shape {str(shape)[:80]}")
    if not len(body):
        return np.zeros(shape, dtype)
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran_order else "C")
