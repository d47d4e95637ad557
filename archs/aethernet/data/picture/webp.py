"""The chunks of a WebP file: whether its pixels are stored without loss, which Pillow does not tell."""

from collections.abc import Iterator

RIFF_HEADER, CHUNK_HEADER = 12, 8
FRAME_HEADER = 16  # of a frame of an animation, before the chunks of its picture
LOSSLESS, FRAME = b"VP8L", b"ANMF"
PIXELS = (b"VP8 ", LOSSLESS)


def is_lossless(data: bytes) -> bool:
    """Whether all pixels are, those of every frame; a damaged file may get either answer."""
    kinds = set(_pixels(data, RIFF_HEADER, len(data)))
    return kinds == {LOSSLESS}


def _pixels(data: bytes, start: int, end: int) -> Iterator[bytes]:
    """The types of the chunks that hold pixels."""
    while start + CHUNK_HEADER <= end:
        kind = data[start : start + 4]
        size = int.from_bytes(data[start + 4 : start + CHUNK_HEADER], "little")
        start += CHUNK_HEADER
        if kind in PIXELS:
            yield kind
        elif kind == FRAME:
            yield from _pixels(data, start + FRAME_HEADER, min(start + size, end))
        start += size + size % 2
