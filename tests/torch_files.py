"""Files of `torch.save` put together byte by byte: what an honest and a hostile writer may send."""

import io
import struct
import zipfile

import numpy as np

from handjax.torch_weights.torch_files import LEGACY_START

ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    if 0 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(values) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(key: str, count: int, shape, strides, offset: int = 0, kind: str = "FloatStorage") -> bytes:
    arguments = storage(key, count, kind) + number(offset) + numbers(shape) + numbers(strides) + b"\x89" + ORDERED_DICT
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def dict_of(items: dict[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(name) + value for name, value in items.items()) + b"u"


def pickle_of(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def archive(body: bytes, storages: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("archive/data.pkl", pickle_of(body))
        for key, data in storages.items():
            file.writestr(f"archive/data/{key}", data)
    return buffer.getvalue()


def legacy(body: bytes, storages: dict[str, np.ndarray]) -> bytes:
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    system = b"}" + text("little_endian") + b"\x88s"
    parts = [LEGACY_START, pickle_of(number(1001)), pickle_of(system), pickle_of(body), pickle_of(keys)]
    return b"".join(parts) + b"".join(struct.pack("<q", len(flat)) + flat.tobytes() for flat in storages.values())


FLAT = np.arange(12, dtype=np.float32)
HONEST = dict_of({"a.weight": tensor("0", 12, (3, 4), (4, 1)), "b": tensor("0", 12, (4,), (1,), 8)})
"""Two tensors of one storage."""
