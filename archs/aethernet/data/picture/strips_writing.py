"""Writing a picture that comes in strips: `write_strips`. The pixels of its file equal those of `write_picture`."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from aethernet.data.picture import jpeg, png, tiff_writing
from aethernet.data.picture.depth import as_depth
from aethernet.data.picture.formats import Output
from aethernet.data.picture.picture import NOTHING
from aethernet.data.picture.strips import Strips, regrouped
from aethernet.data.picture.writing import (
    opened,
    pillow_image,
    png_chunks,
    save_with_pillow,
    settled,
    write_picture,
)  # fmt: skip

WHOLE = ("webp", "avif")
"""Formats whose encoders take whole pictures alone."""

BAND = 2**24  # bytes of pixels, about, that a JPEG is encoded from at once


def write_strips(
    target: str | Path | IO[bytes],
    strips: Strips,
    *,
    format: str = "same",
    quality: int | None = None,
    depth: int | str = "same",
) -> tuple[str, ...]:
    """As `write_picture`. WebP and AVIF are put together in memory first; of the others, few rows are held at a time."""
    output = settled(strips, format, quality, depth)
    if output.format in WHOLE:
        return write_picture(target, strips.whole(), format=format, quality=quality, depth=depth)
    notices = [output.notice] if output.notice else []
    with opened(target) as file:
        if output.format == "tiff":
            shape = (strips.height, strips.width, strips.channels)
            tiff_writing.write_strips(file, _samples(strips, output), shape, output.depth, strips.metadata)
        elif output.format == "png":
            added = png_chunks(strips.metadata, strips.size)
            shape = (strips.height, strips.width, strips.channels)
            for part in png.encode(_samples(strips, output), shape, output.depth, added):
                file.write(part)
        else:
            for part in jpeg.joined(_jpegs(strips, output, quality, notices), strips.height):
                file.write(part)
    return tuple(notices)


def _samples(strips: Strips, output: Output) -> Iterator[np.ndarray]:
    return (as_depth(strip, output.depth) for strip in strips.rows)


def _jpegs(strips: Strips, output: Output, quality: int | None, notices: list[str]) -> Iterator[bytes]:
    rows = jpeg.ROWS * max(1, BAND // (jpeg.ROWS * strips.width * 3))
    metadata = strips.metadata
    for strip in regrouped(_samples(strips, output), rows):
        color = strip[:, :, : strips.channels - strips.has_alpha]
        buffer = io.BytesIO()
        save_with_pillow(
            buffer,
            pillow_image(color, None),
            metadata,
            "jpg",
            quality,
            notices,
            size=strips.size,
            restart_marker_rows=1,
        )
        yield buffer.getvalue()
        metadata = NOTHING  # only the first one's header is kept
