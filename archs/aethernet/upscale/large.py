"""Pictures that memory is too short for: read, enlarged and written by rows, with the same result."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from aethernet.data.picture.bleed import Bled
from aethernet.data.picture.demand import reading_bytes
from aethernet.data.picture.formats import Output
from aethernet.data.picture.picture import Animation, Metadata, Picture
from aethernet.data.picture.reading import MOST_PIXELS, read_picture
from aethernet.data.picture.rows import FileRows, open_rows
from aethernet.data.picture.strips_writing import WHOLE
from aethernet.data.picture.writing import LOSSLESS, quality_of
from aethernet.errors import DataError, MissingDependencyError
from aethernet.upscale.sources import ArraySource, Source

RESULT = 6  # bytes for each pixel of 8 bits, with its colours copied once more
COPIES = 4
"""Of a result, in bytes, at most at once while it is put together and written as a whole."""
ENCODING = {"webp": 12, "avif": 42}
LOSSLESS_ENCODING = 31
"""Bytes for each pixel that encoders of whole pictures take beside the picture (measured on RGB)."""


def read_within(source: str | Path | bytes, available: int | None, most: int | None) -> Picture | Animation | FileRows:
    """The picture as `read_picture` gives it; where that would take more than the bytes available, a file to read by rows.

    What cannot be read by rows may take as many bytes as `most`.

    Raises:
        DataError: no usable picture, or too large and of a kind that can be read as a whole only.
        MissingDependencyError: too large, and pyvips is not installed.
    """
    demand = reading_bytes(source)
    if demand is None or demand <= _number(available):
        return read_picture(source)
    try:
        return open_rows(source)
    except (DataError, MissingDependencyError) as problem:
        if demand <= _number(most):
            return read_picture(source)
        if isinstance(problem, DataError):
            raise
        reason = f"the picture has more than the {MOST_PIXELS // 10**6} megapixels that are read as a whole"
        if demand < float("inf"):
            reason = (
                f"the picture takes {_gigabytes(demand)} of memory to read it as a whole, where "
                f"{_gigabytes(_number(most))} may be used"
            )
        raise MissingDependencyError(
            f"{reason}; by rows it takes the extra large of this package: {problem}"
        ) from problem


def result_fits(opened: Picture | FileRows, scale: int, available: int | None) -> bool:
    """Whether the result can be put together in memory."""
    if isinstance(opened, FileRows):
        return False
    channels = opened.color.shape[2] + (opened.alpha is not None)
    size = opened.color[:, :, 0].size * scale**2 * channels * opened.color.itemsize
    return available is None or COPIES * size <= available


def check_encoder(
    output: Output,
    size: tuple[int, int],
    quality: int | None,
    metadata: Metadata,
    is_asked_for: bool,
    available: int | None,
) -> Output:
    """The format that a result is written in: PNG in the place of one whose encoder takes more memory than there is.

    Raises:
        DataError: the format was asked for.
    """
    if output.format not in WHOLE or available is None:
        return output
    is_lossless = output.format == "webp" and quality_of("webp", quality, metadata) == LOSSLESS
    encoding = LOSSLESS_ENCODING if is_lossless else ENCODING[output.format]
    demand = size[0] * size[1] * (RESULT + encoding)
    if demand <= available:
        return output
    problem = (
        f"{output.format} is encoded as a whole, which takes {_gigabytes(demand)} of memory where "
        f"{_gigabytes(available)} may be used"
    )
    if is_asked_for:
        raise DataError(f"{problem}: use png or tiff, or jpg")
    return Output("png", output.depth, f"{problem}; the result is a PNG")


def source_of(opened: Picture | FileRows) -> Source:
    """Rows to enlarge: of the colours, and with them alpha where it shows, with the colours of visible pixels spread under
    it."""
    if isinstance(opened, FileRows):
        if not opened.has_alpha:
            return opened
        return Bled(opened) if opened.is_transparent else _Colors(opened)
    if opened.alpha is not None and opened.is_transparent:
        return Bled(_Joined(opened.color, opened.alpha))
    return ArraySource(opened.color)


def with_opaque(strips: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Strips (h, W, C) with an alpha channel that is opaque everywhere."""
    for strip in strips:
        opaque = np.iinfo(strip.dtype).max if strip.dtype.kind == "u" else 1
        yield np.pad(strip, ((0, 0), (0, 0), (0, 1)), constant_values=opaque)


class _Colors:
    """A file's rows without their alpha."""

    def __init__(self, file: FileRows) -> None:
        height, width, channels = file.shape
        self.file, self.shape, self.dtype = file, (height, width, channels - 1), file.dtype

    def rows(self, first: int, last: int) -> np.ndarray:
        return self.file.rows(first, last)[:, :, :-1]


class _Joined:
    """Colour and alpha as rows of one picture."""

    def __init__(self, color: np.ndarray, alpha: np.ndarray) -> None:
        height, width, channels = color.shape
        self.color, self.alpha = color, alpha
        self.shape, self.dtype = (height, width, channels + 1), color.dtype

    def rows(self, first: int, last: int) -> np.ndarray:
        return np.dstack([self.color[first:last], self.alpha[first:last]])


def _number(most: int | None) -> float:
    return float("inf") if most is None else most


def _gigabytes(count: float) -> str:
    return f"{count / 2**30:.1f} GB"
