"""What reading a picture file as a whole takes, told by its header: `reading_bytes`."""

import io
import os
from pathlib import Path

from aethernet.data.picture.decoding import open_header, sample_bits
from aethernet.data.picture.reading import MOST_PIXELS

BEGINNING = 4096  # bytes of a file, which hold what its samples are
PEAK = {8: 4.0, 16: 3.5}
"""Bytes for each byte of the pixels, by their bits a sample, while a file is decoded; the file itself comes on top
(measured: 11 a pixel of RGB in PNG, 16 of 16-bit RGBA, 7 of 16-bit grey)."""
PEAK_OF = {"JPEG": 5.0, "MPO": 5.0, "WEBP": 6.5, "AVIF": 6.5, "JPEG2000": 6.5}
"""The same where the decoder holds more: coefficients of progressive JPEG, planes of YUV, the whole in 32 bits."""
RGBA = 4


def reading_bytes(source: str | Path | bytes) -> float | None:
    """The most bytes at once; infinity for more pixels than are read; None where only `read_picture` can tell.

    Of a path, only the beginning is read; nothing is decoded.
    """
    if not isinstance(source, bytes) and not os.path.isfile(source):  # what is read from a pipe is gone
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
            unfolds = image.mode in ("P", "PA") or "transparency" in image.info
            channels = RGBA if unfolds else len(image.getbands())
            return length + width * height * channels * bits // 8 * PEAK_OF.get(str(image.format), PEAK[bits])
    except Exception:  # damaged files make Pillow raise anything
        return None
