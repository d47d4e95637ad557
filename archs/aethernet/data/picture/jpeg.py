"""JPEG files joined from strips of rows, pixel for pixel as if encoded at once.

Each strip is encoded by itself, with a restart marker after every row of blocks. A decoder starts anew at such a marker,
so that the data of the strips may follow one another. It holds only without subsampling, where no block mixes strips.
"""

from collections.abc import Iterable, Iterator

ROWS = 64
"""A strip's height must be a multiple of it: restart markers are numbered from 0 to 7, one for each 8 rows."""

START_OF_SCAN, END = 0xDA, b"\xff\xd9"
FRAMES = (0xC0, 0xC1)  # headers of a sequential file: they hold the height
LAST_RESTART = b"\xff\xd7"


def joined(strips: Iterable[bytes], height: int) -> Iterator[bytes]:
    """The file of this height in parts, from strips that Pillow has encoded with `restart_marker_rows=1`.

    The first strip's header becomes that of the whole.
    """
    first = True
    for strip in strips:
        header, frame = _parts(strip)
        if first:
            edited = bytearray(strip[:header])
            edited[frame + 5 : frame + 7] = height.to_bytes(2, "big")
            yield bytes(edited)
        else:
            yield LAST_RESTART
        yield strip[header:].removesuffix(END)
        first = False
    yield END


def _parts(data: bytes) -> tuple[int, int]:
    """Where the compressed pixels start, and where the frame's header does."""
    place, frame = 2, 0
    while True:
        kind, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if kind in FRAMES:
            frame = place
        place += 2 + length
        if kind == START_OF_SCAN:
            return place, frame
