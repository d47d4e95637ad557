"""The chunks of a PNG file: those that say what its pixels mean, read, dropped and put in; and pixels in strips of rows."""

import struct
import zlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"

COLOR = (b"cICP", b"sRGB", b"gAMA", b"cHRM")
"""What the colours mean, beside a profile (iCCP)."""

COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""The header's number for grey, grey with alpha, RGB, RGBA, by channels."""

GREY_ALPHA = COLOR_TYPES[2]

CHANNELS = {number: channels for channels, number in COLOR_TYPES.items()}

HEADER = 33  # signature and IHDR, which comes first
STRIP = 2**22  # bytes of pixels that are packed at once
AVERAGE = 3  # the filter that stores each byte as its difference to the mean of those on its left and above
LEVEL = 1  # of zlib; more takes nearly twice the time of a large photograph and saves nothing of it
ISAL_LEVEL = 2


def depth(data: bytes) -> int:
    """Bits a sample."""
    return data[24]


def color_type(data: bytes) -> int:
    return data[25]


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of every chunk; between start and end lie length, type, content and checksum."""
    start = len(SIGNATURE)
    while data[: len(SIGNATURE)] == SIGNATURE and start + 12 <= len(data):
        kind = data[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        yield kind, start, end
        start = end


def contents(data: bytes, kinds: Collection[bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """(type, content) of the chunks of these types, each type once."""
    found: dict[bytes, bytes] = {}
    for kind, start, end in chunks(data):
        if kind in kinds and end <= len(data):
            found.setdefault(kind, data[start + 8 : end - 4])
    return tuple(found.items())


def without(data: bytes, unwanted: bytes) -> bytes:
    """The file without the first chunk of a type."""
    for kind, start, end in chunks(data):
        if kind == unwanted:
            return data[:start] + data[end:]
    return data


def with_chunks(data: bytes, added: Collection[tuple[bytes, bytes]]) -> Iterator[bytes | memoryview]:
    """The file in parts, to be written one after the other, with (type, content) put in behind its header."""
    yield data[:HEADER]
    yield from (_chunk(kind, content) for kind, content in added)
    yield memoryview(data)[HEADER:]


def encode(
    strips: Iterable[np.ndarray], shape: tuple[int, int, int], depth: int, added: Collection[tuple[bytes, bytes]]
) -> Iterator[bytes]:
    """Strips (h, W, 1 to 4) of uint8 or uint16, alpha last, as a file in parts, with (type, content) before the pixels.

    Pillow writes no 16 bits in colour, OpenCV none in grey with alpha, and neither writes rows as they come. One filter
    for all rows and ISA-L's deflate take a sixth of Pillow's time at its fastest, and give files of the same size.

    Args:
        shape: height, width and channels of the whole.
        depth: 8 or 16.
    """
    height, width, channels = shape
    yield SIGNATURE
    yield _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, COLOR_TYPES[channels], 0, 0, 0))
    yield from (_chunk(kind, content) for kind, content in added)
    packer = _packer()
    pixel = channels * depth // 8
    rows = max(1, STRIP // (width * pixel))
    above = np.zeros(width * pixel, np.uint8)
    for strip in strips:
        for top in range(0, len(strip), rows):
            part = np.ascontiguousarray(strip[top : top + rows], dtype=">u2" if depth == 16 else np.uint8)
            part = part.view(np.uint8).reshape(-1, width * pixel)
            if packed := packer.compress(_filtered(part, above, pixel).data):
                yield _chunk(b"IDAT", packed)
            above = part[-1].copy()
    yield _chunk(b"IDAT", packer.flush())
    yield _chunk(b"IEND", b"")


def _filtered(rows: np.ndarray, above: np.ndarray, pixel: int) -> np.ndarray:
    """(h, bytes) uint8 -> (h, 1 + bytes), the number of the filter first."""
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = AVERAGE
    up = np.concatenate([above[None], rows[:-1]])
    left = np.zeros_like(rows)
    left[:, pixel:] = rows[:, :-pixel]
    both = left & up
    left ^= up
    left >>= 1
    left += both  # (left + up) // 2 without leaving 8 bits
    np.subtract(rows, left, out=filtered[:, 1:])
    return filtered


def _packer() -> Any:
    """Deflate, by ISA-L where there are wheels of it."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(LEVEL)
    return isal_zlib.compressobj(ISAL_LEVEL)


def profile(icc: bytes) -> tuple[bytes, bytes]:
    """A colour profile as a chunk."""
    return b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)


def resolution(dpi: tuple[float, float]) -> tuple[bytes, bytes]:
    """Dots per inch as a chunk, which counts whole dots per metre."""
    return b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1)


def xmp(packet: bytes) -> tuple[bytes, bytes]:
    """An XMP packet as a chunk, uncompressed as the XMP specification asks for."""
    return b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
