"""TIFF beyond 8 bits: what other readers pass over, and files that they do not read."""

import io
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import tifffile

from aethernet.data.picture import orientation
from aethernet.errors import DataError, one_line
from aethernet.wording import how_many

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else it prints what is damaged, beside our error

WIDTH, HEIGHT = 256, 257
PHOTOMETRIC, SAMPLES, PLANAR, EXTRA, SAMPLE_FORMAT = 262, 277, 284, 338, 339
X_RESOLUTION, Y_RESOLUTION, UNIT = 282, 283, 296
ICC, XMP = 34675, 700
"""Numbers of tags."""

WHITE_IS_ZERO = 0
CONTIGUOUS = 1
UNSIGNED = 1
UNSPECIFIED, PREMULTIPLIED, UNASSOCIATED = 0, 1, 2
"""What the tag of extra samples says of a channel behind the colours: none of ours, alpha already multiplied in, alpha."""

DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 33432)
"""Tags of text: title, maker, model, software, date, artist, copyright."""

DIRECTORIES = (0x8769, 0x8825)
"""EXIF's own tags, of the shot and of the place."""

Tags = Mapping[int, Any]


def is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def opencv_reads(tags: Tags) -> bool:
    """It mixes up planes that lie one behind the other, and reads 16-bit grey with alpha as something else."""
    return tags.get(PLANAR, CONTIGUOUS) == CONTIGUOUS and tags.get(SAMPLES, 1) in (1, 3, 4)


def tags_of(data: bytes) -> dict[int, Any]:
    """The tags of the first page, rationals as (numerator, denominator). Raises `DataError`."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return {tag.code: tag.value for tag in _first_page(file).tags}
    except MemoryError:
        raise
    except Exception as error:  # damaged files make it raise anything
        raise _damaged(error) from error


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height as they lie in the file. Raises `DataError`."""
    tags = tags_of(data)
    try:
        return int(tags[WIDTH]), int(tags[HEIGHT])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("the TIFF file gives no size") from error


def decode(data: bytes) -> np.ndarray:
    """(H, W[, C]), alpha last if there is any, upright. Its size is to be checked before. Raises `DataError`."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = _first_page(file)
            if page.size > 4 * page.imagewidth * page.imagelength:
                raise DataError("the TIFF file has more than 4 channels: 1 to 4 can be used")
            img = page.asarray(maxworkers=1)
            tags = {tag.code: tag.value for tag in page.tags}
            separate = page.axes == "SYX"
    except (DataError, MemoryError):
        raise
    except Exception as error:
        raise _damaged(error) from error
    if separate:
        img = np.moveaxis(img, 0, 2)
    if img.ndim not in (2, 3):
        raise DataError(f"the TIFF file holds an array of {how_many(img.ndim, 'dimension')}, not a picture")
    return orientation.upright(as_meant(img, tags), tags.get(orientation.TAG, 1))


def as_meant(img: np.ndarray, tags: Tags) -> np.ndarray:
    """Samples (H, W[, C]) as decoded: grey with white as 0 is inverted, alpha divided out, a channel of no meaning dropped.

    Raises:
        DataError: samples with a sign.
    """
    if img.dtype != np.uint16:
        return img
    if any(kind != UNSIGNED for kind in _numbers(tags.get(SAMPLE_FORMAT, UNSIGNED))):
        raise DataError("it holds samples with a sign or of floating point: convert it to 8 or 16 bits a channel")
    channels = 1 if img.ndim == 2 else img.shape[2]
    if channels <= 2 and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        img = img.copy()
        img.reshape(*img.shape[:2], -1)[:, :, 0] ^= 65535
    if channels in (2, 4):
        extra = next(iter(_numbers(tags.get(EXTRA, ()))), None)
        if extra == UNSPECIFIED:
            return img[:, :, :-1]
        if extra == PREMULTIPLIED:
            alpha = img[:, :, -1:].astype(np.float64)
            color = img[:, :, :-1] * (65535 / np.maximum(alpha, 1))
            return np.dstack([color.round().clip(0, 65535).astype(np.uint16), img[:, :, -1:]])
    return img


def _first_page(file: tifffile.TiffFile) -> Any:
    return file.pages[0]


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(map(int, value)) if isinstance(value, tuple | list | np.ndarray) else (int(value),)


def _damaged(error: Exception) -> DataError:
    return DataError(f"the TIFF file cannot be decoded: {one_line(error)}")
