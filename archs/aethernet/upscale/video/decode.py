"""Frames of a film, from any place in it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from aethernet.errors import DataError
from aethernet.upscale.video.colours import FULL, WEIGHTS, Layout, to_rgb
from aethernet.upscale.video.film import Film
from aethernet.upscale.video.library import decoded, open_source, pyav
from aethernet.upscale.video.probe import check_frame
from aethernet.upscale.video.timeline import Segment, Timeline

STEPS_BACK = (0, 10, 120, None)
"""Seconds before a time that decoding begins at, until its frame is found; None is the beginning."""


@dataclass(frozen=True)
class Sampled:
    """One frame: its time in the stream's units, and its planes of samples."""

    time: int
    planes: list[np.ndarray]
    layout: Layout
    matrix: int
    full: bool

    def rgb(self) -> np.ndarray:
        """(3, H, W) or (1, H, W) float32, see `to_rgb`."""
        return to_rgb(self.planes, self.layout, self.matrix, self.full)

    def equals(self, other: "Sampled | None") -> bool:
        """Whether a network makes the same of both."""
        return (
            other is not None
            and (self.layout, self.matrix, self.full) == (other.layout, other.matrix, other.full)
            and all(np.array_equal(mine, its) for mine, its in zip(self.planes, other.planes, strict=True))
        )


def all_frames(film: Film, threads: int = 1, damaged: list[int] | None = None) -> Iterator[Sampled]:
    """From the first to the last, without looking at the whole file first. Raises as `FrameReader.frames`."""
    reader = FrameReader(film, Timeline((0,), (), True, 1, {}, ""), threads, damaged)
    try:
        yield from reader.frames(Segment(0, None, None, 0))
    finally:
        reader.close()


def frame_at(film: Film, seconds: float) -> Sampled:
    """The frame that is shown so many seconds after the file's beginning; the last one behind the end.

    Raises as `FrameReader.frames`.
    """
    time = round((Fraction(seconds) + film.begins) / film.time_base)
    for back in STEPS_BACK:  # files without an index lead to any place, and frames come from the next key frame on
        chosen = None
        with open_source(film.path) as container:
            stream = container.streams[film.stream]
            if back is not None:
                place = time - round(back / film.time_base)
                with contextlib.suppress(pyav().error.FFmpegError, OSError, OverflowError):
                    container.seek(place, stream=stream, backward=True, any_frame=False)
            for frame in decoded(container, stream):
                late = frame.pts is not None and frame.pts > time
                if late and (chosen is not None or back is not None):
                    break
                chosen = frame
                if late:
                    break
            if chosen is not None:
                return sampled(film, chosen.pts or 0, chosen)
    raise DataError(f"{film.path}: no frame of its video can be decoded: damaged, empty or encrypted")


class FrameReader:
    """The frames of segments; cheapest in their order.

    Args:
        threads: of the decoder.
        damaged: gets a number for each packet that cannot be decoded.
    """

    def __init__(self, film: Film, timeline: Timeline, threads: int = 1, damaged: list[int] | None = None) -> None:
        self._film, self._timeline, self._threads = film, timeline, threads
        self.damaged: list[int] = [] if damaged is None else damaged
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._held: Any = None
        self._next: int | None = None
        self._count = 0
        self._sought = False

    def frames(self, segment: Segment) -> Iterator[Sampled]:
        """Raises `DataError` for frames that are interlaced or of another size or format than the first."""
        found = self._next == segment.number
        if not found:
            self._go_to(segment)
        self._next = None
        first = True
        while True:
            item = self._take()
            if first and not found and self._sought and (item is None or item[0] > (segment.start or 0)):
                # The file led to a later place than it was asked for: from the beginning, then.
                self._open(None)
                found = True
                continue
            if item is None:
                break
            time, frame = item
            if segment.stop is not None and time >= segment.stop:
                self._held = item
                break
            if segment.start is not None and time < segment.start:
                found = True
                continue
            first = False
            yield sampled(self._film, time, frame)
        self._next = segment.number + 1

    def close(self) -> None:
        self._frames, self._held = iter(()), None
        if self._container is not None:
            self._container.close()
            self._container = None

    def _go_to(self, segment: Segment) -> None:
        self._open(segment.start if self._timeline.seekable and segment.number else None)

    def _open(self, start: int | None) -> None:
        self.close()
        self._container = open_source(self._film.path)
        stream = self._container.streams[self._film.stream]
        stream.codec_context.thread_count = self._threads
        self._count, self._sought = 0, start is not None
        if start is not None:
            place = self._timeline.before(start)
            if place is None:
                self._sought = False
            else:
                try:
                    self._container.seek(place, stream=stream, backward=True, any_frame=False)
                except (pyav().error.FFmpegError, OSError, OverflowError):
                    self._open(None)
                    return
        self._frames = decoded(self._container, stream, self.damaged)

    def _take(self) -> tuple[int, Any] | None:
        if self._held is not None:
            item, self._held = self._held, None
            return item
        frame = next(self._frames, None)
        if frame is None:
            return None
        time = self._timeline.time_of(self._count, frame)
        self._count += 1
        return time, frame


def sampled(film: Film, time: int, frame: Any) -> Sampled:
    """A decoded frame; raises as `FrameReader.frames`."""
    check_frame(film.path, frame, film.size, film.progressive, film.time_base)
    full = film.tags.range == FULL
    if frame.format.name.startswith("yuvj"):
        full = True
    elif int(frame.color_range) in (1, FULL):
        full = int(frame.color_range) == FULL
    matrix = int(frame.colorspace) if int(frame.colorspace) in WEIGHTS else film.tags.matrix
    if frame.format.name not in (film.layout.name, film.layout.name.replace("yuv", "yuvj")):
        frame = frame.reformat(format=film.layout.name)
    return Sampled(time, planes_of(frame, film.layout), film.layout, matrix, full)


def planes_of(frame: Any, layout: Layout) -> list[np.ndarray]:
    """Views of a frame's planes; they keep it alive."""
    planes = []
    for number, plane in enumerate(frame.planes):
        height, width = layout.plane_shape(number, frame.height, frame.width)
        rows = np.frombuffer(plane, layout.dtype).reshape(-1, plane.line_size // layout.dtype.itemsize)
        planes.append(rows[:height, :width])
    return planes
