"""Reading a picture file as it is: `read_picture`."""

import dataclasses
from pathlib import Path

import numpy as np

from aethernet.data.picture import tiff
from aethernet.data.picture.animation import animation_of, frame_count
from aethernet.data.picture.color import space_of
from aethernet.data.picture.decoding import (
    UNKNOWN_FORMAT,
    check_size,
    decode_opened,
    file_bytes,
    format_name,
    memory_named,
    open_picture,
    sample_bits,
)
from aethernet.data.picture.metadata import metadata_of, metadata_of_tiff
from aethernet.data.picture.picture import Animation, Picture, from_samples
from aethernet.errors import DataError, one_line

MOST_PIXELS = 2**28
"""16,384 x 16,384: 3 GB while colour of 8 bits is read, 5 GB of 16 bits."""

REDUCED = 1  # the bit of TIFF's tag NewSubfileType of a page that is a smaller version of another


def read_picture(source: str | Path | bytes, *, most_pixels: int = MOST_PIXELS) -> Picture | Animation:
    """Reads a picture file, whatever its ending says.

    8 and 16 bits of grey and colour, with and without alpha; palettes become colour (grey where all their colours are),
    one bit becomes grey, CMYK becomes sRGB through its colour profile, plainly where it has none. EXIF orientation is
    applied. GIF, WebP, PNG and AVIF files of several frames give an `Animation`.

    Args:
        source: a path, or the content of a file.
        most_pixels: what declares more is refused before memory is taken for it: while reading, 10 to 18 bytes a pixel
            of 8 bits in colour, by format, 17 of 16 bits. Of an animation, one frame counts.

    Raises:
        DataError: the file cannot be read, is no picture, damaged, cut off or too large, holds several pages, or samples
            that are neither 8 nor 16 bits wide.
        LackOfMemory: too little memory for it.
        MissingDependencyError: it takes OpenCV (16-bit colour), which does not load.
    """
    with memory_named():
        return _read(file_bytes(source, most_pixels), most_pixels)


def _read(data: bytes, most_pixels: int) -> Picture | Animation:
    image = open_picture(data, most_pixels)
    if image is None:
        if not tiff.is_tiff(data):
            raise DataError(UNKNOWN_FORMAT)
        check_size(*tiff.size_of(data), most_pixels)
        return from_samples(tiff.decode(data), metadata_of_tiff(tiff.tags_of(data)), "TIFF")
    if frame_count(image) > 1:
        return animation_of(image, data)
    refuse_pages(image)
    mode = image.mode
    is_managed = space_of(image.info.get("icc_profile")) == "CMYK"
    samples = decode_opened(image, data, managed=True)
    metadata = metadata_of(image, data)  # after the pixels: a PNG may hold it behind them
    notices = []
    if mode == "CMYK":
        metadata = dataclasses.replace(metadata, icc=None)
        notices.append(f"CMYK made RGB {'through its colour profile' if is_managed else 'without a profile'}")
        if sample_bits(image, data) > 8:
            notices.append("its 16 bits made 8")
    elif mode in ("P", "PA") and metadata.icc is None:
        samples = _grey_if_all_is(samples)
    if image.format == "MPO":
        notices.append("the further pictures in the file (a gain map, another view) left out")
    return from_samples(samples, metadata, format_name(image), tuple(notices))


def _grey_if_all_is(samples: np.ndarray) -> np.ndarray:
    """(H, W, 3 or 4) to (H, W, 1 or 2) where red, green and blue are equal everywhere."""
    red, green, blue = (samples[:, :, channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return samples[:, :, 2:]
    return samples


def refuse_pages(image) -> None:
    """Pages that are small versions of another one (thumbnails, pyramids) do not count."""
    if image.format != "TIFF":
        return
    try:
        pages = 0
        for number in range(image.n_frames):
            image.seek(number)
            pages += not image.tag_v2.get(254, 0) & REDUCED
        image.seek(0)
    except MemoryError:
        raise
    except Exception as error:
        raise DataError(f"the TIFF file's list of pages is damaged: {one_line(error)}") from error
    if pages > 1:
        raise DataError(f"the TIFF file holds {pages} pages: split it into files of one page (tiffsplit does)")
