"""The container of binary glTF 2.0: arrays packed into one buffer, and the file around it."""

import json
import struct
from typing import Any

import numpy as np

VERTEX_BUFFER, INDEX_BUFFER = 34962, 34963
_COMPONENT_TYPES = {"|u1": 5121, "<u2": 5123, "<u4": 5125, "<f4": 5126}
_ELEMENT_TYPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


class GlbBuffer:
    """Grows a glTF buffer: `add` an array, get the number of its accessor; `add_image`, its view."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, array: np.ndarray, target: int | None = None, bounds: bool = False, normalized: bool = False) -> int:
        """Appends (N, ...) values of a little-endian type that glTF knows; `bounds` states their min and max."""
        self.data += bytes(-len(self.data) % 4)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes}
        self.views.append(view | ({} if target is None else {"target": target}))
        self.data += array.tobytes()
        accessor = {
            "bufferView": len(self.views) - 1,
            "componentType": _COMPONENT_TYPES[array.dtype.str],
            "count": len(array),
            "type": _ELEMENT_TYPES[array.shape[1:]],
        }
        if bounds:
            flat = array.reshape(len(array), -1)
            accessor |= {"min": flat.min(axis=0).tolist(), "max": flat.max(axis=0).tolist()}
        if normalized:
            accessor["normalized"] = True
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_image(self, png: bytes) -> int:
        """Appends an encoded picture; returns the number of its buffer view."""
        self.data += bytes(-len(self.data) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(png)})
        self.data += png
        return len(self.views) - 1

    def file(self, document: dict[str, Any]) -> bytes:
        """The bytes of a .glb: `document` with this buffer's parts added, then the data."""
        self.data += bytes(-len(self.data) % 4)
        document = document | {
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self.data)}],
        }
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + len(self.data)
        return b"".join(
            [
                struct.pack("<4sII", b"glTF", 2, size),
                struct.pack("<I4s", len(text), b"JSON") + text,
                struct.pack("<I4s", len(self.data), b"BIN\0") + self.data,
            ]
        )
