"""What reading a picture file as a whole takes, told by its header: `reading_bytes`."""

import io
from pathlib import Path

from aethernet.data.picture.decoding import open_header, sample_bits
from aethernet.data.picture.reading import MOST_PIXELS

BEGINNING = 4096  # bytes of a file, which hold what its samples are
PEAK = {8: 6.0, 16: 3.0}
"""Bytes for each byte of the pixels, by their bits a sample, while a file is decoded; the file itself comes on top
(measured: 8 bits up to 18 bytes a pixel of RGB, 16 bits 17)."""


def reading_bytes(source: str | Path | bytes) -> float | None:
    """The most bytes at once; infinity for more pixels than are read; None where only `read_picture` can tell.

    Of a path, only the beginning is read; nothing is decoded.
    """
    if not isinstance(source, bytes) and not Path(source).is_file():  # what is read from a pipe is gone
        return None
    try:
        with open_header(io.BytesIO(source) if isinstance(source, bytes) else Path(source)) as image:
            if isinstance(source, bytes):
                beginning, length = source, 0
            else:
                with open(source, "rb") as file:
                    beginning, length = file.read(BEGINNING), Path(source).stat().st_size
            width, height = image.size
            if width * height > MOST_PIXELS:
                return float("inf")
            bits = 16 if sample_bits(image, beginning) > 8 else 8
            return length + width * height * len(image.getbands()) * bits // 8 * PEAK[bits]
    except Exception:  # damaged files make Pillow raise anything
        return None
