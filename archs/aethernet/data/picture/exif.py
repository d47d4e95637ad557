"""EXIF as the bytes it is: its orientation reset, its thumbnail unlinked and its size corrected in place.

Rebuilding the block would break what cameras put into it: the makers' notes hold offsets of their own.
"""

import struct
from collections.abc import Iterator

from aethernet.data.picture.orientation import TAG as ORIENTATION

PREFIX = b"Exif\0\0"
"""Stands before the block in JPEG."""

EXIF_IFD = 0x8769
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003
SHORT, LONG = 3, 4


def orientation(block: bytes | None) -> int:
    """The turn that is still to be done, 1 to 8; 1 for no block, a damaged one, or one that does not say."""
    try:
        edited = bytearray((block or b"").removeprefix(PREFIX))
        order, first = _start(edited)
        for tag, entry in _entries(edited, order, first):
            if tag == ORIENTATION:
                kind, count, value = struct.unpack_from(f"{order}HIH", edited, entry + 2)
                if kind == LONG:
                    (value,) = struct.unpack_from(f"{order}I", edited, entry + 8)
                return value if kind in (SHORT, LONG) and count == 1 and 1 <= value <= 8 else 1
    except (struct.error, ValueError):
        pass
    return 1


def upright(block: bytes | None) -> bytes | None:
    """A TIFF block of EXIF, with or without `PREFIX`, that says that the picture is upright and has no thumbnail.

    None for no block, or a damaged one.
    """
    if block is None:
        return None
    edited = bytearray(block.removeprefix(PREFIX))
    try:
        order, first = _start(edited)
        for tag, entry in _entries(edited, order, first):
            if tag == ORIENTATION:
                _set(edited, order, entry, SHORT, 1)
        struct.pack_into(f"{order}I", edited, _end(edited, order, first), 0)  # the thumbnail's directory would follow
    except (struct.error, ValueError):
        return None
    return bytes(edited)


def resized(block: bytes, width: int, height: int) -> bytes:
    """The block with this size of the picture, where it gives one."""
    edited = bytearray(block)
    try:
        order, first = _start(edited)
        for tag, entry in _entries(edited, order, first):
            if tag == EXIF_IFD:
                (inner,) = struct.unpack_from(f"{order}I", edited, entry + 8)
                for name, place in _entries(edited, order, inner):
                    if name in (PIXEL_WIDTH, PIXEL_HEIGHT):
                        _set(edited, order, place, LONG, width if name == PIXEL_WIDTH else height)
    except (struct.error, ValueError):
        return block
    return bytes(edited)


def _start(block: bytearray) -> tuple[str, int]:
    """The byte order and the place of the first directory."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(block[:4]))
    if order is None:
        raise ValueError("not a TIFF block")
    return order, struct.unpack_from(f"{order}I", block, 4)[0]


def _entries(block: bytearray, order: str, start: int) -> Iterator[tuple[int, int]]:
    """The tag and the place of each entry of a directory."""
    (count,) = struct.unpack_from(f"{order}H", block, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        yield struct.unpack_from(f"{order}H", block, entry)[0], entry


def _end(block: bytearray, order: str, start: int) -> int:
    """The place of the pointer to the next directory."""
    return start + 2 + 12 * struct.unpack_from(f"{order}H", block, start)[0]


def _set(block: bytearray, order: str, entry: int, kind: int, value: int) -> None:
    """Makes an entry one number. It lies in the entry itself, so that nothing moves."""
    number = struct.pack(f"{order}{'H' if kind == SHORT else 'I'}", value).ljust(4, b"\0")
    struct.pack_into(f"{order}HI4s", block, entry + 2, kind, 1, number)
