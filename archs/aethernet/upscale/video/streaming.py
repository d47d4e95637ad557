"""Frames from a source to a sink as they come: for pipes and for folders of frames, without parts to go on with."""

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from aethernet.data.picture.picture import Picture
from aethernet.data.picture.writing import write_picture
from aethernet.errors import DataError, UsageError
from aethernet.upscale.claims import Claims
from aethernet.upscale.outputs import format_of
from aethernet.upscale.upscaler import Upscaler
from aethernet.upscale.video.channels import Channel, overlap
from aethernet.upscale.video.decode import Sampled
from aethernet.upscale.video.enlarger import Decoded, Enlarger, Tally
from aethernet.upscale.video.film import Film


class Sink(Protocol):
    """Where enlarged frames go."""

    def write(self, rgb: np.ndarray, time: int) -> None: ...

    def finish(self) -> None: ...


def stream_frames(
    frames: Iterator[Sampled],
    sink: Sink,
    upscaler: Upscaler,
    size: tuple[int, int],
    progress: Callable[[Tally], None] | None = None,
    *,
    wanted: Callable[[int], bool] = lambda number: True,
) -> Tally:
    """Decodes, enlarges and writes at the same time.

    Args:
        size: width and height of results.
        wanted: whether a frame, by its number, is to be made; others are passed over.

    Raises:
        AetherError: what the source, the network or the sink raises.
        DataError: no frame at all.
    """
    stop, tally = threading.Event(), Tally()
    decoded, enlarged = Channel(stop), Channel(stop)
    seen = [0]

    def decode() -> None:
        for number, frame in enumerate(frames):
            seen[0] = number + 1
            if wanted(number):
                decoded.put(Decoded(number, frame, frame.rgb()))
        decoded.put(None)

    def encode() -> None:
        for item in enlarged:
            sink.write(item.rgb, item.time)
            del item
            tally.frames += 1
            if progress is not None:
                progress(tally)
        if not seen[0]:
            raise DataError("there is no frame in the input")
        sink.finish()

    def network() -> None:
        for item in Enlarger(upscaler, size, tally).through(decoded):
            enlarged.put(item)
            del item
        enlarged.put(None)

    overlap(stop, decode, network, encode, leave_source=True)
    return tally


class FrameFolder:
    """Enlarged frames as pictures of a pattern such as frames/%06d.png, each whole or not there.

    Args:
        deep: whether they have 16 bits.
        claims: tell other processes which frame this one is at.

    Raises:
        UsageError: a pattern without a number, or of an ending that is not written.
    """

    def __init__(self, pattern: Path, deep: bool, claims: Claims, *, first: int = 1) -> None:
        check_pattern(pattern)
        self._pattern, self._deep, self._claims, self._first = pattern, deep, claims, first
        self._format = format_of(pattern)

    def path(self, number: int) -> Path:
        return self._pattern.with_name(self._pattern.name % (self._first + number))

    def wanted(self, number: int) -> bool:
        """Whether it is not there, and nobody else makes it; it is this process's then."""
        path = self.path(number)
        if path.exists() or not self._claims.take(path):
            return False
        if path.exists():
            self._claims.release(path)
            return False
        return True

    def write(self, rgb: np.ndarray, time: int) -> None:
        try:
            write_picture(self.path(time), picture_of(rgb, self._deep), format=self._format)
        finally:
            self._claims.release(self.path(time))

    def finish(self) -> None:
        pass


def check_pattern(pattern: Path) -> None:
    """Raises `UsageError` for one without exactly one number."""
    if not re.fullmatch(r"(?:[^%]|%%)*%\d*d(?:[^%]|%%)*", pattern.name):
        raise UsageError(f"{pattern}: is no pattern of frames: give one number in the name, as in frames/%06d.png")


def picture_of(rgb: np.ndarray, deep: bool = False) -> Picture:
    """(3, H, W) or (1, H, W) float32 as a picture of 8 or 16 bits, clipped."""
    most = np.float32(65535 if deep else 255)
    levels = np.rint(np.clip(rgb, 0, 1) * most).astype(np.uint16 if deep else np.uint8)
    return Picture(np.ascontiguousarray(levels.transpose(1, 2, 0)), depth=16 if deep else 8)


MOST_STRETCHED = 8
"""Samples that are said to be wider or higher than this are taken for square, as players do with what is no shape."""


def preview(upscaler: Upscaler, frame: Sampled, target: Path, film: Film, *, name: str) -> None:
    """One frame as bicubic and the network enlarge it, side by side as players show them, as a PNG.

    Args:
        film: that it is of, which says how it is turned and stretched.

    Raises:
        OutputError: the disk does not take it.
    """
    from aethernet.upscale.compare import write_comparison

    rgb = frame.rgb()
    before, after = (turned(planes, film.matrix) for planes in (rgb, upscaler.planes(rgb)))
    aspect = film.aspect
    if aspect is not None and not 1 / MOST_STRETCHED <= aspect <= MOST_STRETCHED:
        aspect = None
    if aspect is not None and film.is_turned:
        aspect = 1 / aspect
    write_comparison(target, picture_of(before), picture_of(after), name=name, aspect=aspect)


def turned(planes: np.ndarray, matrix: tuple[int, ...] | None) -> np.ndarray:
    """(C, H, W) as players show it: turned by quarters and mirrored, as the display matrix says."""
    if matrix is None:
        return planes
    across, down = matrix[0], matrix[4]
    if abs(matrix[1]) > abs(matrix[0]):
        planes, across, down = planes.transpose(0, 2, 1), matrix[3], matrix[1]
    return planes[:, :: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
