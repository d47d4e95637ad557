"""A picture file read by rows, in little memory, through libvips: `open_rows`.

Its pixels and all it says are as `read_picture` gives them.
"""

import io
import logging
import mmap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from aethernet.data.picture import orientation, png, tiff
from aethernet.data.picture.decoding import (
    check_size,
    format_name,
    is_cut_off,
    open_header,
    orientation_of,
    sample_bits,
)
from aethernet.data.picture.metadata import metadata_of
from aethernet.data.picture.picture import Metadata, with_usable_profile
from aethernet.data.picture.reading import refuse_pages
from aethernet.errors import DataError, one_line
from aethernet.optional import optional_package
from aethernet.wording import how_many

MOST_PIXELS = 2**34
"""131,072 x 131,072. Memory is no limit here; it is for time, and for the disk."""
BOMB = 400
"""Bytes of pixels for each byte of the file that no picture has, but what is made to fill memories and disks; deflate
reaches 1032."""
AT_ONCE = 2**24  # bytes of pixels that libvips is asked for at a time
SEQUENTIAL = (1, 2)
"""The turns that rows can be read with from top to bottom."""

MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I;16L", "I")
"""Pillow's of what is read; others are palettes, ink and single bits."""
FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "PPM")
LARGE = "it is too large for the memory,"


class FileRows:
    """A picture file whose rows are read when they are asked for, again and again.

    Reading downwards is quick; going back starts anew at the top. Files that are to be turned (from EXIF orientation 3
    on) are unpacked into a temporary file first, for their rows lie across the file's.

    Attributes:
        shape: height, width and channels of the upright picture: 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha).
        dtype: uint8 or uint16.
        depth, format, metadata, notices: as in `Picture`.
    """

    def __init__(
        self,
        file: str | Path | bytes,
        shape: tuple[int, int, int],
        depth: int,
        format: str,
        metadata: Metadata,
        turn: int,
    ) -> None:
        self.shape, self.depth, self.format, self.metadata = shape, depth, format, metadata
        self.dtype = np.dtype(np.uint8 if depth == 8 else np.uint16)
        self.notices: tuple[str, ...] = ()
        self._file, self._turn = file, turn
        self._vips = vips()
        self._held = np.empty((0, *shape[1:]), self.dtype)
        self._first = 0  # of the rows that are held
        self._region = self._open()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.shape[1], self.shape[0]

    @property
    def has_alpha(self) -> bool:
        return self.shape[2] in (2, 4)

    @cached_property
    def is_transparent(self) -> bool:
        """Whether any pixel lets something through; the whole file is read for it."""
        opaque = np.iinfo(self.dtype).max
        return self.has_alpha and any((strip[:, :, -1] < opaque).any() for strip in self.strips())

    def strips(self) -> Iterator[np.ndarray]:
        """All rows, some at a time."""
        height, width, channels = self.shape
        step = max(1, AT_ONCE // (width * channels * self.dtype.itemsize))
        return (self.rows(top, min(top + step, height)) for top in range(0, height, step))

    def rows(self, first: int, last: int) -> np.ndarray:
        """(last - first, W, C). Raises `DataError` where the file is damaged."""
        end = self._first + len(self._held)
        if first < self._first:
            if self._turn in SEQUENTIAL:
                self._region = self._open()
            self._held, self._first, end = self._held[:0], first, first
        if first > end:
            self._held, self._first, end = self._held[:0], first, first
        kept = self._held[first - self._first :]
        if last > end:
            rows = np.empty((last - first, *self.shape[1:]), self.dtype)
            rows[: len(kept)] = kept
            self._fetch(rows[len(kept) :], max(end, first))
            kept = rows
        self._held, self._first = kept, first
        return kept[: last - first]

    def _fetch(self, into: np.ndarray, first: int) -> None:
        step = max(1, AT_ONCE // into[:1].nbytes)
        for top in range(0, len(into), step):
            part = into[top : top + step]
            part[:] = self._upright(first + top, len(part))

    def _upright(self, first: int, count: int) -> np.ndarray:
        """Rows of the upright picture: rows or columns of the file's, from its one end or the other."""
        height, width, channels = self.shape
        if self._turn in (3, 4, 7, 8):
            first = height - first - count
        place = (0, first, width, count) if self._turn < 5 else (first, 0, count, width)
        try:
            data = self._region.fetch(*place)
        except self._vips.Error as error:
            raise DataError(f"libvips cannot decode it: {one_line(error)}") from error
        pixels = np.frombuffer(data, self.dtype).reshape(place[3], place[2], channels)
        return orientation.upright(pixels, self._turn)

    def _open(self) -> Any:
        image = open_with_vips(self._file, sequential=self._turn in SEQUENTIAL)
        height, width, channels = self.shape if self._turn < 5 else (self.shape[1], self.shape[0], self.shape[2])
        kind = {"uchar": np.uint8, "ushort": np.uint16}.get(image.format)
        if (image.height, image.width, image.bands, kind) != (height, width, channels, self.dtype.type):
            raise DataError(
                f"libvips finds {image.width} x {image.height} with {how_many(image.bands, 'channel')} of {image.format} in it, where "
                f"{width} x {height} with {channels} of {self.dtype} were expected"
            )
        return self._vips.Region.new(image)


def vips() -> ModuleType:
    """pyvips. Raises `MissingDependencyError`."""
    logger = logging.getLogger("pyvips")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.ERROR)  # it warns of what is damaged, tile by tile, before our error tells it
    return optional_package("pyvips", "a picture that is too large for the memory", package="pyvips[binary]")


def open_with_vips(file: str | Path | bytes, *, sequential: bool) -> Any:
    """libvips's image of a file. Raises `DataError`."""
    pyvips = vips()
    pyvips.cache_set_max(0)  # it would hold files that were read
    how = {"access": "sequential" if sequential else "random", "fail_on": "error"}
    try:
        if isinstance(file, bytes):
            return pyvips.Image.new_from_buffer(file, "", **how)
        return pyvips.Image.new_from_file(str(file), **how)
    except pyvips.Error as error:
        raise DataError(f"libvips cannot open it: {one_line(error)}") from error


def open_rows(file: str | Path | bytes, *, most_pixels: int = MOST_PIXELS) -> FileRows:
    """Opens a picture file, a path or its content, to read it by rows.

    Of the kinds of PNG, JPEG, TIFF and PPM that `FileRows` tells; the rest takes `read_picture`.

    Raises:
        DataError: it cannot be read, is damaged, or of another kind.
        MissingDependencyError: pyvips is not installed.
    """
    if isinstance(file, bytes):
        return _open(file, file, most_pixels)
    try:
        with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _open(file, data, most_pixels)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _open(file: str | Path | bytes, data: Any, most_pixels: int) -> FileRows:
    if is_cut_off(data):
        raise DataError("the file is cut off: its end is missing")
    try:
        image = open_header(io.BytesIO(file) if isinstance(file, bytes) else Path(file))
    except UnidentifiedImageError as error:
        raise DataError(f"{LARGE} and of no kind that is read by rows") from error
    except MemoryError:
        raise
    except Exception as error:  # damaged files make Pillow raise anything
        raise DataError(f"Pillow cannot open it: {one_line(error)}") from error
    with image:
        refuse_pages(image)
        turn, channels, depth = _kind(image, data)
        width, height = _stored_size(image)
        check_size(width, height, most_pixels)
        if width * height * channels * depth // 8 > BOMB * len(data):
            raise DataError(
                f"it declares {width:,} x {height:,} pixels in {how_many(len(data), 'byte')}: a decompression bomb, or empty"
            )
        metadata = metadata_of(image, data)
    if turn > 4:
        width, height = height, width
    metadata = with_usable_profile(metadata, channels)
    return FileRows(file, (height, width, channels), depth, format_name(image), metadata, turn)


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as they lie in the file; Pillow gives those of a TIFF file as they are after the turn."""
    if image.format != "TIFF":
        return image.size
    tags = image.tag_v2  # type: ignore[attr-defined]
    return tags[tiff.WIDTH], tags[tiff.HEIGHT]


def _kind(image: Image.Image, data: Any) -> tuple[int, int, int]:
    """The turn, the channels and the bits of a sample. Raises `DataError` for what can be read as a whole only."""
    depth = sample_bits(image, data)
    kind = f"{image.format} of this kind ({image.mode}, {depth} bits)"
    if image.format not in FORMATS:
        kind = str(image.format)
    elif image.format == "PNG" and getattr(image, "is_animated", False):
        kind = "an animation"
    elif image.mode in MODES and depth in (8, 16) and "transparency" not in image.info:
        kind = ""
    if kind:
        raise DataError(f"{LARGE} and {kind} is read as a whole only: convert it to grey or RGB in PNG or TIFF")
    channels = png.CHANNELS[png.color_type(data)] if image.format == "PNG" else len(image.getbands())
    if image.format != "TIFF":
        return orientation_of(image, data), channels, depth
    tags = image.tag_v2  # type: ignore[attr-defined]
    channels = tags.get(tiff.SAMPLES, 1)
    extra = tags.get(tiff.EXTRA, ())
    alpha = (tiff.UNASSOCIATED,) if channels in (2, 4) else ()
    if tuple(extra) != alpha or tags.get(tiff.PHOTOMETRIC) == tiff.WHITE_IS_ZERO or channels > 4:
        raise DataError(f"{LARGE} and TIFF of this kind is read as a whole only: convert it to grey or RGB")
    turn = tags.get(orientation.TAG, 1)
    return turn if turn in range(1, 9) else 1, channels, depth
