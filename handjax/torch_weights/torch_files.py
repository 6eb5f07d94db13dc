"""Files of `torch.save`: the archives of PyTorch 1.6 and later, and what came before them."""

import io
import mmap
import struct
import zipfile
from pathlib import Path

import numpy as np

from handjax.torch_weights import pickles
from handjax.torch_weights.archives import check_member_count
from handjax.torch_weights.pickles import StorageRecord
from handjax.torch_weights.storages import arrays, item_size, numbers
from handjax.torch_weights.tensor_names import tensors_in

LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""PyTorch's magic number as a pickle: how files before 1.6 begin."""
LEGACY_VERSION = 1001

MAX_PICKLE_BYTES = 64 << 20


def read_zip(path: Path) -> dict[str, np.ndarray]:
    """An archive of one pickle and an uncompressed member for each storage. Raises ValueError for any other."""
    check_member_count(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive)
    # OSError: a place in the file that cannot be, as the archive's own list of members gives it.
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise ValueError(f"damaged archive: {error}") from error


def _read_archive(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    members = {member.filename: member for member in archive.infolist()}
    trees = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(trees) != 1 or any(name.endswith("constants.pkl") or "code/" in name for name in members):
        raise ValueError("it must be an archive of torch.save(model.state_dict(), path), got another (TorchScript?)")
    folder = trees[0].removesuffix("data.pkl")
    tree, _ = pickles.read(io.BytesIO(_read_member(archive, members[trees[0]], MAX_PICKLE_BYTES)))
    order = members.get(f"{folder}byteorder")
    byte_order = ">" if order and _read_member(archive, order, 16) == b"big" else "<"

    def load(record: StorageRecord) -> np.ndarray:
        member = members.get(f"{folder}data/{record.key}")
        size = record.size * item_size(record.code)
        if member is None or member.file_size != size:
            got = "none" if member is None else f"{member.file_size} bytes"
            raise ValueError(f"storage {record.key[:40]!r} must be a member of {size} bytes, got {got}")
        return numbers(_read_member(archive, member, size), record.code, byte_order)

    return arrays(tensors_in(tree), load)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, largest: int) -> bytes:
    # Stored as it is, so that no member unpacks to more than the file has.
    if member.flag_bits & 1 or member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ValueError(f"member {member.filename[:60]!r} must be stored uncompressed, as torch.save does")
    if member.file_size > largest:
        raise ValueError(f"member {member.filename[:60]!r} must have at most {largest} bytes, got {member.file_size}")
    with archive.open(member) as stream:
        data = stream.read(member.file_size)
    if len(data) != member.file_size:
        raise ValueError(f"member {member.filename[:60]!r} ends after {len(data)} of {member.file_size} bytes")
    return data


def read_legacy(path: Path) -> dict[str, np.ndarray]:
    """Five pickles (magic number, version, system, the object, the storages' keys), then each storage's count and
    numbers. Raises ValueError for another version, or a file that ends early."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        _, (version, _), (system, _), (tree, storages), (keys, _) = (pickles.read(stream) for _ in range(5))
        if version != LEGACY_VERSION or not isinstance(keys, list):
            raise ValueError(f"it must be of PyTorch's version {LEGACY_VERSION}; save it again with torch >= 1.6")
        big = isinstance(system, dict) and system.get("little_endian") is False
        places = _storage_places(stream, keys, storages, ">" if big else "<")

        def load(record: StorageRecord) -> np.ndarray:
            if record.key not in places:
                raise ValueError(f"storage {record.key[:40]!r} is not in the file")
            return numbers(stream[places[record.key]], record.code, ">" if big else "<")

        return arrays(tensors_in(tree), load)


def _storage_places(
    stream: mmap.mmap, keys: list, storages: dict[str, StorageRecord], byte_order: str
) -> dict[str, slice]:
    """Where each storage's numbers lie, behind the count that is written before them."""
    places, position = {}, stream.tell()
    for key in keys:
        record = storages.get(key) if isinstance(key, str) else None
        if record is None:
            raise ValueError(f"storage {str(key)[:40]!r} belongs to no tensor")
        (count,) = struct.unpack(f"{byte_order}q", stream[position : position + 8].ljust(8, b"\0"))
        start, position = position + 8, position + 8 + record.size * item_size(record.code)
        if count != record.size or position > len(stream):
            raise ValueError(f"storage {key[:40]!r} must hold {record.size} numbers, got {count} or the file's end")
        places[key] = slice(start, position)
    return places
