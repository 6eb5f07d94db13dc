"""Zip archives that cannot fill the memory, and NumPy's among them."""

import mmap
import zipfile
import zlib
from pathlib import Path

import numpy as np

from handjax.mano.archive import read_npy

MAX_MEMBERS = 50_000
"""zipfile builds an object for each entry before one can ask how many there are."""
MAX_EXPANSION = 8
"""Of the file's size: weights hardly compress."""


def check_member_count(path: Path) -> None:
    """Raises ValueError if the archive lists more than `MAX_MEMBERS` members."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = -1
        for _ in range(MAX_MEMBERS + 1):
            found = data.find(b"PK\x01\x02", found + 1)
            if found < 0:
                return
    raise ValueError(f"archive must have at most {MAX_MEMBERS} members, got more")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Every array of `numpy.savez` by its name. Raises ValueError if it is damaged, swells, or holds pickles."""
    check_member_count(path)
    largest = MAX_EXPANSION * path.stat().st_size + (1 << 20)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            if (unpacked := sum(member.file_size for member in members)) > largest:
                raise ValueError(f"archive must unpack to at most {largest} bytes, got {unpacked}")
            return {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"damaged archive: {error}") from error


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    # bzip2 and LZMA take their memory from the file's word; NumPy writes neither.
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename[:60]!r} must be stored or deflated, without encryption")
    with archive.open(member) as stream:
        data = stream.read(member.file_size)
    try:
        return read_npy(data)
    except ValueError as error:
        raise ValueError(f"{member.filename[:60]!r} {error}") from error
