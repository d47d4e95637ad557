"""Frames through pipes: YUV4MPEG2 (y4m), which ffmpeg and mpv speak, and raw RGB."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Literal, Protocol

import numpy as np

from aethernet.data.picture.reading import MOST_PIXELS
from aethernet.errors import DataError, OutputError, UsageError
from aethernet.upscale.video.colours import FULL, Layout, from_rgb
from aethernet.upscale.video.decode import Sampled
from aethernet.upscale.video.film import MATRICES, RANGES, STANDARD_HEIGHT, Assumptions, Film, Tags, plausible

MAGIC = b"YUV4MPEG2"
LONGEST = 4096
"""Bytes of a header, more than any has."""
CHROMA = {
    "420": (True, True), "420jpeg": (True, True), "420mpeg2": (True, True), "420paldv": (True, True), "422": (True, False),
    "440": (False, True), "444": (False, False),
}  # fmt: skip

PipeFormat = Literal["y4m", "rgb24", "rgb48"]


class Readable(Protocol):
    """What bytes come from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Stream:
    """What a pipe says of its frames.

    Attributes:
        size: width and height.
        tags: of y4m, what is passed on as it is: rate, aspect and chroma.
        notes: what the user should know.
    """

    size: tuple[int, int]
    rate: Fraction
    layout: Layout
    matrix: int
    full: bool
    aspect: Fraction | None = None
    chroma: str = ""
    notes: tuple[str, ...] = ()


def read_y4m_header(pipe: IO[bytes], assume: Assumptions) -> Stream:
    """Reads the first line of a y4m stream.

    Raises:
        DataError: none that is understood, or interlaced frames.
    """
    line = pipe.readline(LONGEST)
    if not line.startswith(MAGIC) or not line.endswith(b"\n"):
        raise DataError("the standard input is no y4m stream: it begins otherwise")
    words = line.decode("latin-1").split()[1:]
    fields = {word[0]: word[1:] for word in words if word[0] != "X"}
    extra = dict(word[1:].split("=", 1) for word in words if word[0] == "X" and "=" in word)
    try:
        width, height = int(fields["W"]), int(fields["H"])
        rate = Fraction(*map(int, fields.get("F", "25:1").split(":")))
        aspect = fields.get("A", "0:0").split(":")
        shape = Fraction(int(aspect[0]), int(aspect[1])) if int(aspect[1]) else None
    except (KeyError, ValueError, ZeroDivisionError, IndexError, TypeError) as error:
        raise DataError(f"the y4m stream's header is damaged: {' '.join(words)[:200]}") from error
    if min(width, height) < 1 or width * height > MOST_PIXELS or rate <= 0:
        raise DataError(f"the y4m stream has frames of {width}x{height}, {float(rate):g} a second")
    if fields.get("I", "p") not in ("p", "?") and not assume.progressive:
        raise DataError(
            "the y4m stream is interlaced: make it progressive first, as by ffmpeg's -vf bwdif; or say --assume-progressive if "
            "it is marked so by mistake"
        )
    chroma = fields.get("C", "420")
    layout = _layout(chroma)
    matrix, notes = MATRICES[assume.matrix or ("bt601" if min(width, height) <= STANDARD_HEIGHT else "bt709")], []
    if layout.kind == "yuv" and assume.matrix is None:
        notes.append(f"y4m says nothing of the colour matrix: taken for {_title(matrix)}; --assume-matrix sets it")
    said = extra.get("COLORRANGE", "").upper()
    full = said == "FULL" if said else RANGES[assume.range or "tv"] == FULL
    return Stream((width, height), rate, layout, matrix, full, shape, chroma, tuple(notes))


def _title(matrix: int) -> str:
    return "BT.601" if matrix == MATRICES["bt601"] else "BT.709"


def _layout(chroma: str) -> Layout:
    match = re.fullmatch(r"(420jpeg|420mpeg2|420paldv|420|422|440|444)(?:p(9|10|12|14|16))?|mono(9|10|12|16)?", chroma)
    if match is None:
        raise DataError(f"the y4m stream has chroma {chroma}, which is not read: convert it to 420, 422 or 444")
    if match[1]:
        return Layout("yuv", CHROMA[match[1]], int(match[2] or 8))
    return Layout("grey", depth=int(match[3] or 8))


def y4m_frames(pipe: IO[bytes], stream: Stream) -> Iterator[Sampled]:
    """Frames to the end of a stream. Raises `DataError` where it is cut off in the middle of one."""
    width, height = stream.size
    shapes = [stream.layout.plane_shape(plane, height, width) for plane in range(stream.layout.channels)]
    number = 0
    while line := pipe.readline(LONGEST):
        if not line.startswith(b"FRAME") or not line.endswith(b"\n"):
            raise DataError(f"the y4m stream is damaged behind frame {number}")
        planes = [_plane(pipe, shape, stream.layout.dtype, number) for shape in shapes]
        yield Sampled(number, planes, stream.layout, stream.matrix, stream.full)
        number += 1


def _plane(pipe: Readable, shape: tuple[int, int], dtype: np.dtype, number: int) -> np.ndarray:
    need = shape[0] * shape[1] * dtype.itemsize
    parts, size = [], 0
    while size < need and (part := pipe.read(need - size)):
        parts.append(part)
        size += len(part)
    if size < need:
        raise DataError(f"the standard input ends in the middle of frame {number}")
    return np.frombuffer(b"".join(parts), dtype).reshape(shape)


RAW = re.compile(r"(rgb24|rgb48):([1-9]\d*)x([1-9]\d*)(?:@(\d+(?:\.\d+|/[1-9]\d*)?))?")


def raw_stream(text: str) -> Stream:
    """Of a text such as rgb24:1280x720@24000/1001; raises `UsageError`."""
    match = RAW.fullmatch(text)
    if match is None or (match[4] and Fraction(match[4]) <= 0):
        raise UsageError(f"--raw {text}: is not of the form rgb24:1280x720@25 or rgb48:1280x720@24000/1001")
    size = int(match[2]), int(match[3])
    if size[0] * size[1] > MOST_PIXELS:
        raise UsageError(f"--raw {text}: more than {MOST_PIXELS} pixels")
    return Stream(size, Fraction(match[4] or 25), Layout("rgb", depth=8 if match[1] == "rgb24" else 16), 0, True)


def raw_frames(pipe: IO[bytes], stream: Stream) -> Iterator[Sampled]:
    """Interleaved RGB, of 8 bits or of 16 in little-endian pairs of bytes. Raises as `y4m_frames`."""
    width, height = stream.size
    number = 0
    while first := pipe.read(1):
        rest = _Joined(first, pipe)
        pixels = _plane(rest, (height, 3 * width), stream.layout.dtype, number).reshape(height, width, 3)
        planes = [np.ascontiguousarray(pixels[:, :, channel]) for channel in (1, 2, 0)]
        yield Sampled(number, planes, stream.layout, 0, True)
        number += 1


class _Joined:
    """A pipe with bytes that were read already in front."""

    def __init__(self, first: bytes, pipe: IO[bytes]) -> None:
        self._first, self._pipe = first, pipe

    def read(self, size: int, /) -> bytes:
        first, self._first = self._first, b""
        return first + self._pipe.read(size - len(first))


class PipeWriter:
    """Enlarged frames written to a pipe.

    Args:
        size: width and height.
        layout: of y4m; those of RGB are in the format.

    Raises:
        OutputError: the reader is gone, or the disk is full.
    """

    def __init__(
        self, pipe: IO[bytes], format: PipeFormat, size: tuple[int, int], stream: Stream, *, inverse: bool = False,
        pool: ThreadPoolExecutor | None = None,
    ) -> None:  # fmt: skip
        self._pipe, self._format, self._stream, self._inverse, self._pool = pipe, format, stream, inverse, pool
        self.frames = 0
        self._layout = (
            y4m_layout(stream.layout) if format == "y4m" else Layout("rgb", depth=8 if format == "rgb24" else 16)
        )
        self._matrix = stream.matrix or MATRICES["bt709"]
        if format == "y4m":
            self._send(_header(size, stream, self._layout))

    def write(self, rgb: np.ndarray, time: int) -> None:
        """(3, H, W) or (1, H, W) float32; y4m knows no times."""
        if self._format == "y4m":
            planes = from_rgb(
                rgb, self._layout, self._matrix, self._stream.full, inverse=self._inverse, pool=self._pool
            )
            self._send(b"FRAME\n")
            for plane in planes:
                self._send(np.ascontiguousarray(plane))
        else:
            green, blue, red = from_rgb(np.broadcast_to(rgb, (3, *rgb.shape[1:])), self._layout, 0, True)
            self._send(np.stack([red, green, blue], axis=2))
        self.frames += 1

    def finish(self) -> None:
        try:
            self._pipe.flush()
        except OSError as error:
            raise OutputError(f"the output cannot be written: {error.strerror}") from error

    def _send(self, content: bytes | np.ndarray) -> None:
        try:
            self._pipe.write(content if isinstance(content, bytes) else content.data.cast("B"))
        except OSError as error:
            raise OutputError(f"the output cannot be written: {error.strerror}") from error


def y4m_layout(layout: Layout) -> Layout:
    """What y4m holds in the place of RGB."""
    return layout if layout.kind != "rgb" else Layout("yuv", depth=layout.depth)


def _header(size: tuple[int, int], stream: Stream, layout: Layout) -> bytes:
    deep = "" if layout.depth == 8 else f"p{layout.depth}" if layout.kind == "yuv" else str(layout.depth)
    name = {value: key for key, value in CHROMA.items() if key in ("422", "440", "444")} | {(True, True): "420mpeg2"}
    chroma = f"mono{deep}" if layout.kind == "grey" else stream.chroma or f"{name[layout.halved]}{deep}"
    if deep and not stream.chroma and layout.halved == (True, True):
        chroma = f"420{deep}"
    aspect = stream.aspect or Fraction(0)
    shown = f"{aspect.numerator}:{aspect.denominator if aspect else 0}"
    range_ = "FULL" if stream.full else "LIMITED"
    rate = f"{stream.rate.numerator}:{stream.rate.denominator}"
    return f"YUV4MPEG2 W{size[0]} H{size[1]} F{rate} Ip A{shown} C{chroma} XCOLORRANGE={range_}\n".encode()


def film_of(stream: Stream, path: Path) -> Film:
    """A stream as a film, so that it can be encoded as one."""
    tags = Tags(stream.matrix, 2, 2, FULL if stream.full else 1)
    return Film(
        path, 0, "", stream.size, stream.layout, tags, stream.aspect, None, 1 / stream.rate, plausible(stream.rate)
    )


def stream_of(film: Film) -> Stream:
    """A film as a stream, so that it can be written to a pipe."""
    return Stream(film.size, film.rate, film.layout, film.tags.matrix, film.tags.range == FULL, film.aspect)
