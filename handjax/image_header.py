"""What an image file says about itself before its pixels are decoded: kind, size, whether it is whole, EXIF."""

import re
import struct
import zlib
from collections.abc import Iterator

from handjax import exif

HEAD_BYTES = 64
# Standalone JPEG markers inside entropy-coded data: a stuffed zero, fill bytes and restarts.
JPEG_NEXT_SEGMENT = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("WebP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II\*\x00|MM\x00\*")),
    ("BMP", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("PNM", re.compile(rb"P[1-6]\s")),
    ("AVIF", re.compile(rb"....ftypavi[fs]", re.DOTALL)),
    ("HEIC", re.compile(rb"....ftyp(?:" + b"|".join(HEIC_BRANDS) + b")", re.DOTALL)),
    ("JPEG 2000", re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n")),
)


def image_kind(head: bytes) -> str | None:
    """Name of the image format whose signature `head` (the first 64 bytes) bears, else None."""
    for kind, signature in SIGNATURES:
        if signature.match(head):
            # AVIF files may carry a general HEIF brand first and their own later.
            return "AVIF" if kind == "HEIC" and b"avif" in head[8:HEAD_BYTES] else kind
    return None


def image_size(kind: str, data: bytes) -> tuple[int, int] | None:
    """(width, height) as stored, before any EXIF rotation; None where the header is cut off or makes no sense."""
    try:
        return SIZE_READERS[kind](data)
    except (struct.error, StopIteration, IndexError):
        return None


def is_whole(kind: str, data: bytes) -> bool:
    """False for a JPEG, PNG or WebP that ends early or, for PNG, has a wrong checksum.

    Other formats are left to the decoder, which refuses them itself.
    """
    try:
        if kind == "JPEG":
            return any(marker == 0xD9 for marker, _ in _jpeg_segments(data))
        if kind == "PNG":
            return any(name == b"IEND" for name, _ in _png_chunks(data))
        if kind == "WebP":
            return len(data) >= 8 + struct.unpack_from("<I", data, 4)[0]
    except (struct.error, IndexError):
        return False
    return True


def exif_tags(kind: str, data: bytes) -> dict[int, float]:
    """EXIF tags (`handjax.exif`) of a JPEG, PNG, WebP or TIFF file; empty where there are none."""
    if kind == "TIFF":
        return exif.read_tags(data)
    try:
        for name, body in EXIF_CARRIERS[kind](data):
            if name == 0xE1 and body.startswith(b"Exif\x00\x00"):
                return exif.read_tags(body[6:])
            if name in (b"eXIf", b"EXIF"):
                return exif.read_tags(body.removeprefix(b"Exif\x00\x00"))
    except (KeyError, struct.error, IndexError):
        pass
    return {}


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, body) up to the end marker; entropy-coded data and stray bytes between segments are skipped."""
    position = 2
    while found := JPEG_NEXT_SEGMENT.search(data, position):
        marker, position = data[found.end() - 1], found.end()
        if marker == 0xD9:
            yield marker, b""
            return
        if marker not in (0x01, 0xD8):
            (length,) = struct.unpack_from(">H", data, position)
            yield marker, data[position + 2 : position + length]
            position += length


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, body) of the chunks whose checksums hold, up to the first that does not."""
    position = 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        name, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        if zlib.crc32(body, zlib.crc32(name)) != checksum:
            return
        yield name, body
        position += 12 + length


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        yield name, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _jpeg_size(data: bytes) -> tuple[int, int]:
    frame = next(body for marker, body in _jpeg_segments(data) if marker in JPEG_FRAME_MARKERS)
    height, width = struct.unpack_from(">HH", frame, 1)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    name, body = next(_webp_chunks(data))
    if name == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if name == b"VP8L":
        (bits,) = struct.unpack_from("<I", body, 1)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", body, 6)
    return width & 0x3FFF, height & 0x3FFF


def _bmp_size(data: bytes) -> tuple[int, int]:
    core_header = struct.unpack_from("<I", data, 14)[0] == 12
    width, height = struct.unpack_from("<HH" if core_header else "<ii", data, 18)
    # A negative height means rows from top to bottom.
    return width, abs(height)


def _tiff_size(data: bytes) -> tuple[int, int]:
    tags = exif.read_tags(data)
    return int(tags.get(0x100, 0)), int(tags.get(0x101, 0))


def _pnm_size(data: bytes) -> tuple[int, int]:
    header = re.sub(rb"#[^\r\n]*", b"", data[:4096]).split(maxsplit=3)
    return (int(header[1]), int(header[2])) if header[1].isdigit() and header[2].isdigit() else (0, 0)


def _boxed_size(box: bytes, skip: int, data: bytes) -> tuple[int, int]:
    """Width and height of the largest picture: the field after the first `box` name may be a thumbnail's."""
    found = [struct.unpack_from(">II", data, match.end() + skip) for match in re.finditer(box, data[:65536])]
    return max(found, default=(0, 0), key=lambda size: size[0] * size[1])


def _jpeg2000_size(data: bytes) -> tuple[int, int]:
    height, width = _boxed_size(b"ihdr", 0, data)
    return width, height


SIZE_READERS = {
    "JPEG": _jpeg_size,
    "PNG": lambda data: struct.unpack_from(">II", data, 16),
    "WebP": _webp_size,
    "TIFF": _tiff_size,
    "BMP": _bmp_size,
    "GIF": lambda data: struct.unpack_from("<HH", data, 6),
    "PNM": _pnm_size,
    "AVIF": lambda data: _boxed_size(b"ispe", 4, data),
    "JPEG 2000": _jpeg2000_size,
}
EXIF_CARRIERS = {"JPEG": _jpeg_segments, "PNG": _png_chunks, "WebP": _webp_chunks}
