"""The encoder of one segment."""

import contextlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from aethernet.errors import OutputError, UsageError, one_line
from aethernet.upscale.video.codecs import Encoding
from aethernet.upscale.video.colours import from_rgb
from aethernet.upscale.video.library import address, pyav

UNIT = Fraction(1, 1000)
"""Of time in segments: frames have their number in them, and get their times when all are joined."""
REORDERED = 64
"""Frames that no encoder reorders by."""


def check_encoder(encoding: Encoding) -> None:
    """One grey frame, in memory: what the encoder refuses is told before the work."""
    width, height = encoding.size
    try:
        with pyav().open(io.BytesIO(), "w", format="matroska") as container:
            stream = _add(container, encoding)
            frame = _frame(encoding, [np.zeros(encoding.layout.plane_shape(plane, height, width), encoding.layout.dtype)
                                      for plane in range(encoding.layout.channels)], 0)  # fmt: skip
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (pyav().error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise UsageError(
            f"{encoding.encoder} does not encode {width}x{height} pixels of {encoding.layout.name} with these settings "
            f"({one_line(error)}): give another --codec, --preset or --to-height"
        ) from error


def _add(container: Any, encoding: Encoding) -> Any:
    stream = container.add_stream(encoding.encoder, rate=encoding.rate, options=dict(encoding.options))
    context = stream.codec_context
    context.width, context.height = encoding.size
    context.pix_fmt = encoding.layout.name
    context.time_base = 1 / encoding.rate
    stream.time_base = UNIT
    tags = encoding.tags
    context.colorspace, context.color_primaries, context.color_trc = tags.matrix, tags.primaries, tags.transfer
    context.color_range = tags.range
    if encoding.aspect:
        context.sample_aspect_ratio = encoding.aspect
    context.thread_count = int(encoding.options["threads"])
    return stream


def _frame(encoding: Encoding, planes: list[np.ndarray], number: int) -> Any:
    width, height = encoding.size
    frame = pyav().VideoFrame(width, height, encoding.layout.name)
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(plane, encoding.layout.dtype).reshape(
            -1, plane.line_size // encoding.layout.dtype.itemsize
        )
        rows[: samples.shape[0], : samples.shape[1]] = samples
    tags = encoding.tags
    frame.colorspace, frame.color_primaries, frame.color_trc = tags.matrix, tags.primaries, tags.transfer
    frame.color_range = tags.range
    frame.pts, frame.time_base = number, 1 / encoding.rate
    return frame


class SegmentWriter:
    """Encodes the frames of one segment into a Matroska file; use it in a `with` statement.

    Args:
        inverse: see `from_rgb`.
        pool: threads that convert.

    Raises:
        OutputError: the encoder or the disk breaks off.
    """

    def __init__(
        self, path: Path, encoding: Encoding, *, inverse: bool = False, pool: ThreadPoolExecutor | None = None
    ) -> None:
        self._path, self._encoding, self._inverse, self._pool = path, encoding, inverse, pool
        self.times: list[int] = []
        self.order: list[int] = []
        self._container = pyav().open(address(path), "w", format="matroska")
        self._stream = _add(self._container, encoding)

    def __enter__(self) -> "SegmentWriter":
        return self

    def write(self, rgb: np.ndarray, time: int) -> None:
        """(3, H, W) or (1, H, W) float32, and when it is shown."""
        with self._encoding_errors():
            planes = encoded_planes(rgb, self._encoding, inverse=self._inverse, pool=self._pool)
            frame = _frame(self._encoding, planes, len(self.times))
            self.times.append(time)
            self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """After the last frame; the file is whole then."""
        with self._encoding_errors():
            if self.times:
                self._mux(self._stream.encode(None))
            self._container.close()

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(Exception):
            self._container.close()

    def _mux(self, packets: list) -> None:
        for packet in packets:
            self.order.append(round(packet.pts * packet.time_base * self._encoding.rate))
            packet.pts, packet.dts = self.order[-1], len(self.order) - REORDERED  # x265 errs in those of short films
            packet.time_base, packet.duration = UNIT, 1
            self._container.mux(packet)

    @contextlib.contextmanager
    def _encoding_errors(self) -> Iterator[None]:
        try:
            yield
        except (pyav().error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno and 0 < error.errno < 1000:
                raise OSError(error.errno, os.strerror(error.errno), os.fspath(self._path)) from error
            raise OutputError(f"{self._encoding.encoder} broke off: {one_line(error)}") from error


def encoded_planes(
    rgb: np.ndarray, encoding: Encoding, *, inverse: bool = False, pool: ThreadPoolExecutor | None = None
) -> list[np.ndarray]:
    """A picture as the planes that an encoder takes, its last row or column repeated where the codec needs even sizes."""
    width, height = encoding.size
    below, right = height - rgb.shape[1], width - rgb.shape[2]
    if below or right:
        rgb = np.pad(rgb, ((0, 0), (0, below), (0, right)), mode="edge")
    return from_rgb(rgb, encoding.layout, encoding.tags.matrix, encoding.tags.range == 2, inverse=inverse, pool=pool)
