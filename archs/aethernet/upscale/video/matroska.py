"""The aspect of samples in a Matroska file, which FFmpeg writes for codecs alone that have it in their own header.

An EBML element is an identifier, a size and a content; masters hold others. The track grows by some bytes, which the free space
between the index at the beginning and the track gives up, so that nothing behind it moves.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path

HEAD = 2**20
"""Bytes at the beginning, in which tracks lie."""
SEGMENT, SEEK_HEAD, SEEK, SEEK_POSITION = 0x18538067, 0x114D9B74, 0x4DBB, 0x53AC
INFO, TRACKS, TRACK, VIDEO, VOID, CRC = 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0xEC, 0xBF
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
RATIO = 3
"""The unit of a display's sides that are no pixels but a ratio."""


@dataclass(frozen=True)
class Element:
    """Where it begins, where its content begins and where it ends."""

    id: int
    start: int
    content: int
    end: int


def set_aspect(path: Path, track: int, size: tuple[int, int], aspect: Fraction) -> bool:
    """Writes the aspect of a track's samples into a file, in its place.

    Args:
        track: its place among the tracks.
        size: width and height in samples.

    Returns:
        Whether the file is laid out as FFmpeg does it; else it is as it was.
    """
    with path.open("rb+") as file:
        data = bytearray(file.read(HEAD))
        segment = next((each for each in elements(data, 0, len(data)) if each.id == SEGMENT), None)
        if segment is None:
            return False
        outer = {each.id: each for each in elements(data, segment.content, len(data), most=4)}
        if list(outer) != [SEEK_HEAD, VOID, INFO, TRACKS] or outer[TRACKS].end > len(data):
            return False
        tracks = _with_aspect(data, outer[TRACKS], track, size, aspect)
        growth = len(tracks) - (outer[TRACKS].end - outer[TRACKS].start)
        void = outer[VOID]
        room = void.end - void.content - growth
        if room < 0 or void.content - void.start != 9:
            return False
        seek_head = _moved(data, outer[SEEK_HEAD], segment.content, (outer[INFO].start, outer[TRACKS].start), growth)
        space = bytes([VOID, 1]) + room.to_bytes(7, "big") + bytes(room)
        info = data[outer[INFO].start : outer[INFO].end]
        file.seek(outer[SEEK_HEAD].start)
        file.write(seek_head + space + info + tracks)
    return True


def elements(data: bytes | bytearray, start: int, end: int, most: int = 10_000) -> Iterator[Element]:
    """Those side by side in a range; an end that is not in `data` is given as it is."""
    while start < end and most:
        width = 9 - data[start].bit_length()
        id, place = int.from_bytes(data[start : start + width], "big"), start + width
        wide = 9 - data[place].bit_length()
        size = int.from_bytes(data[place : place + wide], "big") & ((1 << (7 * wide)) - 1)
        found = Element(id, start, place + wide, place + wide + size)
        yield found
        start, most = found.end, most - 1


def _element(id: int, content: bytes, wide: int = 0) -> bytes:
    wide = wide or next(each for each in range(1, 9) if len(content) < (1 << (7 * each)) - 1)
    name = id.to_bytes((id.bit_length() + 7) // 8, "big")
    return name + (len(content) | 1 << (7 * wide)).to_bytes(wide, "big") + content


def _number(id: int, value: int) -> bytes:
    return _element(id, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _with_aspect(data: bytearray, tracks: Element, track: int, size: tuple[int, int], aspect: Fraction) -> bytes:
    inside, number = b"", 0
    for each in elements(data, tracks.content, tracks.end):
        content = bytes(data[each.start : each.end])
        if each.id == TRACK:
            if number == track:
                content = _element(TRACK, _track_with_aspect(data, each, size, aspect), 8)
            number += 1
        inside += content
    return _with_checksum(_element(TRACKS, inside))


def _track_with_aspect(data: bytearray, track: Element, size: tuple[int, int], aspect: Fraction) -> bytes:
    inside = b""
    for each in elements(data, track.content, track.end):
        content = bytes(data[each.start : each.end])
        if each.id == VIDEO:
            kept = b"".join(
                bytes(data[part.start : part.end])
                for part in elements(data, each.content, each.end)
                if part.id not in (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT)
            )
            content = _element(VIDEO, kept + _display(size, aspect))
        inside += content
    return inside


def _display(size: tuple[int, int], aspect: Fraction) -> bytes:
    """Its width in pixels where that is whole, else the ratio of its sides."""
    width, height = size[0] * aspect.numerator, size[1] * aspect.denominator
    if width % aspect.denominator == 0:
        return _number(DISPLAY_WIDTH, width // aspect.denominator) + _number(DISPLAY_HEIGHT, size[1])
    shared = gcd(width, height)
    sides = _number(DISPLAY_WIDTH, width // shared) + _number(DISPLAY_HEIGHT, height // shared)
    return sides + _number(DISPLAY_UNIT, RATIO)


def _moved(data: bytearray, head: Element, origin: int, starts: tuple[int, ...], growth: int) -> bytes:
    """The index, in which elements of these places lie that much earlier."""
    changed = bytearray(data[head.start : head.end])
    for seek in elements(data, head.content, head.end):
        if seek.id != SEEK:
            continue
        for part in elements(data, seek.content, seek.end):
            place = int.from_bytes(data[part.content : part.end], "big")
            if part.id == SEEK_POSITION and place + origin in starts:
                moved = (place - growth).to_bytes(part.end - part.content, "big")
                changed[part.content - head.start : part.end - head.start] = moved
    return _with_checksum(bytes(changed))


def _with_checksum(master: bytes) -> bytes:
    """A master whose first element, a checksum, is that of the others; as it is where it has none."""
    (whole,) = elements(master, 0, len(master), most=1)
    first = next(elements(master, whole.content, whole.end, most=1))
    if first.id != CRC:
        return master
    checksum = struct.pack("<I", zlib.crc32(master[first.end :]))
    return master[: first.content] + checksum + master[first.end :]
