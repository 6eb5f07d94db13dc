"""Writes small image files byte by byte: the odd variants that encoders do not offer, and broken ones."""

import struct
import zlib
from collections.abc import Iterable

import cv2
import numpy as np

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def sample_rgb(height: int = 48, width: int = 40) -> np.ndarray:
    """(height, width, 3) uint8 in even 8 x 8 blocks, no two of a row or column alike, so that JPEG keeps them."""
    rows, columns = np.mgrid[0:height, 0:width] // 8
    return np.stack([40 * rows + 20, 50 * columns + 30, 200 - 30 * rows], -1).astype(np.uint8)


def encoded(suffix: str, rgb: np.ndarray, *options: int) -> bytes:
    """`rgb` (uint8 or uint16, 1 to 4 channels) as OpenCV writes it."""
    if suffix == ".jpg":
        full_colour = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        options = (cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full_colour, *options)
    pixels = rgb if rgb.ndim == 2 else np.dstack([rgb[..., 2::-1], rgb[..., 3:]])
    written, data = cv2.imencode(suffix, pixels, list(options))
    assert written
    return data.tobytes()


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    pixels: np.ndarray,
    colour_type: int,
    chunks: Iterable[tuple[bytes, bytes]] = (),
    size: tuple[int, int] | None = None,
) -> bytes:
    """PNG of (H, W[, C]) uint8 or uint16 values of that colour type; `size` (W, H) makes the header lie."""
    height, width = pixels.shape[:2]
    depth = 8 * pixels.dtype.itemsize
    rows = pixels.astype(f">u{pixels.dtype.itemsize}").reshape(height, -1)
    scanlines = b"".join(b"\x00" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", *(size or (width, height)), depth, colour_type, 0, 0, 0)
    body = b"".join(png_chunk(name, data) for name, data in chunks)
    parts = png_chunk(b"IHDR", header) + body + png_chunk(b"IDAT", zlib.compress(scanlines))
    return b"\x89PNG\r\n\x1a\n" + parts + png_chunk(b"IEND", b"")


def tiff_block(tags: dict[int, tuple], exif_tags: dict[int, tuple] | None = None, order: str = "<") -> bytes:
    """A TIFF header with one folder, and an EXIF folder if given; {tag: (type, value)}, fractions as (5, (n, d))."""
    exif_tags = exif_tags or {}
    entries = dict(tags)
    if exif_tags:
        entries[0x8769] = (4, 0)
    exif_start = 8 + _folder_bytes(entries)
    if exif_tags:
        entries[0x8769] = (4, exif_start)
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "I", 8)
    first = _folder(entries, 8, order)
    return head + first + (_folder(exif_tags, exif_start, order) if exif_tags else b"")


def _folder_bytes(entries: dict[int, tuple]) -> int:
    return 6 + 12 * len(entries) + 8 * sum(kind == 5 for kind, _ in entries.values())


def _folder(entries: dict[int, tuple], start: int, order: str) -> bytes:
    folder, fractions = struct.pack(order + "H", len(entries)), b""
    fractions_start = start + 6 + 12 * len(entries)
    for tag, (kind, value) in sorted(entries.items()):
        folder += struct.pack(order + "HHI", tag, kind, 1)
        if kind == 5:
            folder += struct.pack(order + "I", fractions_start + len(fractions))
            fractions += struct.pack(order + "II", *value)
        else:
            folder += struct.pack(order + {3: "HH", 4: "I"}[kind], *([value, 0] if kind == 3 else [value]))
    return folder + struct.pack(order + "I", 0) + fractions


def with_exif(jpeg: bytes, tiff: bytes) -> bytes:
    body = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def webp_with_exif(webp: bytes, width: int, height: int, tiff: bytes) -> bytes:
    """Rewrites a simple lossless WebP in the extended layout, which alone can carry EXIF."""
    canvas = bytes([0x08, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", len(canvas)) + canvas + webp[12:]
    chunks += b"EXIF" + struct.pack("<I", len(tiff)) + tiff + b"\x00" * (len(tiff) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def raw_tiff(pixels: np.ndarray, tags: dict[int, tuple]) -> bytes:
    """Uncompressed (H, W, 3 or 4) uint8 or uint16 in one strip, with more tags."""
    height, width, channels = pixels.shape
    # Bits per sample would need an array of three; the reader takes one value for all.
    layout = {0x100: (4, width), 0x101: (4, height), 0x102: (3, 8 * pixels.itemsize), 0x103: (3, 1), 0x106: (3, 2)}
    layout |= {0x115: (3, channels), 0x116: (4, height), 0x117: (4, pixels.nbytes)} | tags
    start = len(tiff_block(layout | {0x111: (4, 0)}))
    return tiff_block(layout | {0x111: (4, start)}) + pixels.tobytes()


def cmyk_jpeg(ink: tuple[int, int, int, int], blocks: int = 2) -> bytes:
    """Baseline JPEG of (8 blocks)^2 pixels of one CMYK colour, inks 0 to 255, inverted as Adobe writes them."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    adobe = segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0))
    # A DC step of 8 makes the coefficient of an even block its value less 128.
    quantisation = segment(0xDB, b"\x00" + bytes([8] * 64))
    components = b"".join(bytes([c, 0x11, 0]) for c in range(1, 5))
    frame = segment(0xC0, struct.pack(">BHHB", 8, 8 * blocks, 8 * blocks, 4) + components)
    dc_table = segment(0xC4, b"\x00" + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9)))
    ac_table = segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\x00")
    scan = segment(0xDA, b"\x04" + b"".join(bytes([c, 0x00]) for c in range(1, 5)) + b"\x00\x3f\x00")
    bits = ""
    for block in range(blocks * blocks):
        for value in ink:
            step = 255 - value - 128 if block == 0 else 0
            size = abs(step).bit_length()
            extra = step if step > 0 else step + (1 << size) - 1
            bits += format(size, "04b") + (format(extra, f"0{size}b") if size else "") + "0"
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return b"\xff\xd8" + adobe + quantisation + frame + dc_table + ac_table + scan + coded + b"\xff\xd9"


def whole_images() -> dict[str, bytes]:
    """One good file of each format and variant that must be read; all show `sample_rgb`."""
    rgb = sample_rgb()
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    return {
        "jpeg": encoded(".jpg", rgb),
        "progressive": encoded(".jpg", rgb, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "png": png(rgb, RGB),
        "png_rgba": png(opaque, RGBA),
        "png_16": png(rgb.astype(np.uint16) * 257, RGB),
        "webp": encoded(".webp", rgb, cv2.IMWRITE_WEBP_QUALITY, 101),
        "tiff": encoded(".tif", rgb),
        "tiff_rgba": encoded(".tif", opaque),
        "bmp": encoded(".bmp", rgb),
        "ppm": encoded(".ppm", rgb),
        "jp2": encoded(".jp2", rgb, cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000),
    }


def broken_images() -> dict[str, bytes]:
    """More than fifty files that no reader can make an image of, by what is wrong with them."""
    whole = whole_images()
    rgb = sample_rgb()
    broken = {
        f"{name}_cut_{part}": data[: len(data) * part // 100] for name, data in whole.items() for part in (5, 60, 95)
    }
    wrong_checksum = bytearray(whole["png"])
    wrong_checksum[45] ^= 0xFF
    return broken | {
        "empty": b"",
        "one_byte": b"\xff",
        "text": b"This is not an image.\n" * 40,
        "html": b"<!DOCTYPE html><html><body>404 not found</body></html>",
        "zeros": bytes(4096),
        "zip": b"PK\x03\x04" + bytes(200),
        "pickle": b"cos\nsystem\n(S'exit 1'\ntR.",
        "heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100),
        "jpeg_start_only": b"\xff\xd8\xff",
        "jpeg_without_frame": b"\xff\xd8\xff\xd9",
        "jpeg_without_quantisation": whole["jpeg"].replace(b"\xff\xdb", b"\xff\xfe"),
        "jpeg_of_no_size": whole["jpeg"].replace(struct.pack(">HH", *rgb.shape[:2]), bytes(4), 1),
        "png_wrong_checksum": bytes(wrong_checksum),
        "png_of_no_size": png(rgb, RGB, size=(0, 0)),
        "png_huge": png(rgb, RGB, size=(60_000, 60_000)),
        "png_negative": png(rgb, RGB, size=(2**31, 2**31)),
        "png_too_little_data": png(rgb, RGB, size=(40, 480)),
        "bmp_huge": whole["bmp"][:18] + struct.pack("<ii", 50_000, 50_000) + whole["bmp"][26:],
        "webp_huge": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\x00" * 4 + b"\xff" * 6,
        "gif_huge": b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20),
        "ppm_huge": b"P6 90000 90000 255\n" + bytes(100),
        "jpeg_huge": whole["jpeg"].replace(struct.pack(">HH", *rgb.shape[:2]), b"\xff\xff\xff\xff", 1),
        "tiff_huge": raw_tiff(rgb, {0x100: (4, 80_000), 0x101: (4, 80_000)}),
        "tiff_of_floats": encoded(".tif", rgb.astype(np.float32)),
        "tiff_folder_outside": b"II*\x00\xff\xff\xff\x7f" + bytes(50),
    }
