"""A picture enlarged window by window, in strips of whole rows from top to bottom.

Pictures here are arrays (H, W, C) with 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha) channels, of uint8,
uint16 or float32 in [0, 1]; what comes out is of the same kind.
"""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from aethernet.errors import EngineOutOfMemory, UnusableOutputError
from aethernet.network.picture_means import PictureMeans
from aethernet.progress import Progress
from aethernet.runtimes.pytorch import TorchSession
from aethernet.runtimes.session import Session
from aethernet.upscale.halo import Halo
from aethernet.upscale.tiles import Plan, Span, plan_windows

BLACK, NOT_BLACK = 0.5 / 255, 16 / 255
"""A window that comes out below the first everywhere, of one that reaches the second somewhere, is suspicious."""

ROWS_AT_ONCE = 32
"""They stay in the cache between the steps of rounding, which halves its time."""


class Source(Protocol):
    """A picture whose rows can be read, again and again."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""

    @property
    def dtype(self) -> np.dtype: ...

    def rows(self, first: int, last: int) -> np.ndarray:
        """(last - first, W, C)."""


class ArraySource:
    """A picture in memory, (H, W, C)."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.shape: tuple[int, int, int] = pixels.shape
        self.dtype = pixels.dtype

    def rows(self, first: int, last: int) -> np.ndarray:
        return self.pixels[first:last]


@dataclass(frozen=True)
class Windows:
    """How windows are chosen.

    Attributes:
        scale: of the model.
        in_channels: of the model: 1 or 3.
        halo: what it sees.
        pixels: of a window, at most; None for no limit.
        side: of a window, at most, in the place of `pixels`.
        size: the only height and width that the model takes.
        batch: windows that are computed at once.
        multiple, least: what the sides of a picture must be multiples of, and be at least.
        passes: over the picture, to gather the means of channel attention.
    """

    scale: int
    in_channels: int
    halo: Halo
    pixels: int | None = None
    side: int | None = None
    size: tuple[int, int] | None = None
    batch: int = 1
    multiple: int = 1
    least: int = 1
    passes: int = 2

    def plan(self, height: int, width: int) -> Plan:
        """Raises `ValueError` for windows of which nothing is left."""
        return plan_windows(
            height, width, self.halo.pixels,
            pixels=self.pixels, side=self.side, size=self.size, multiple=self.multiple,
        )  # fmt: skip

    def halved(self, height: int, width: int) -> "Windows":
        """The same with windows of half the area; raises `ValueError` where that is not possible."""
        if self.size is not None:
            raise ValueError("the model takes one size only")
        if self.batch > 1:
            return dataclasses.replace(self, batch=self.batch // 2)
        rows, columns = self.plan(height, width).window
        smaller = dataclasses.replace(self, side=None, pixels=rows * columns // 2)
        smaller.plan(height, width)
        return smaller


@dataclass
class Report:
    """What became of one picture: filled while it is enlarged.

    Attributes:
        plan: the windows that were computed last.
        passes: over the picture for the means of channel attention.
        change: of the last of these passes, the largest change of any channel's weight; None where there was none.
        notes: what the user should know.
    """

    plan: Plan | None = None
    passes: int = 0
    change: float | None = None
    notes: list[str] = dataclasses.field(default_factory=list)


def enlarge(
    source: Source,
    session: Session,
    windows: Windows,
    report: Report,
    safer: Callable[[], tuple[Session, str] | None] = lambda: None,
    progress: Progress | None = None,
    threads: int = 1,
) -> Iterator[np.ndarray]:
    """Yields the enlarged picture in strips of rows (h, scale W, C), from top to bottom; rounds in so many threads.

    Where memory does not suffice, the windows become smaller from that row on: the result is the same. Where the model
    gives what are no numbers, or black, `safer` is asked for another session and a note, and the row is computed anew.

    Raises:
        EngineError: the model breaks off, or `UnusableOutputError` with no other session to take.
    """
    padded = Padded(source, windows)
    if note := padded.note(windows):
        report.notes.append(note)
    height, width, channels = padded.shape
    means, scale, done = None, windows.scale, 0
    with ThreadPoolExecutor(threads, "round") as pool:
        while done < height:
            try:
                if means is None and windows.halo.attention and windows.plan(height, width).count > 1:
                    means, windows = _gather(padded, session, windows, report, progress)
                plan = report.plan = windows.plan(height, width)
                for number, row in enumerate(plan.rows):
                    if row.last <= done:
                        continue
                    first = max(row.first, done)
                    strip = np.empty(((row.last - first) * scale, width * scale, channels), source.dtype)
                    rounding = Rounding(windows.in_channels, pool, threads)
                    _fill(strip, padded.rows(row.start, row.stop), plan, row, first, session, windows, means, rounding)
                    done = row.last
                    if progress is not None:
                        progress((number + 1) * len(plan.columns), plan.count, "windows")
                    yield padded.cropped(strip, first)
            except (EngineOutOfMemory, MemoryError) as error:
                windows = _smaller(windows, height, width, report, error)
            except UnusableOutputError as error:
                other = safer()
                if other is None:
                    raise
                session, means = other[0], None
                report.notes.append(f"{error}: {other[1]}")


def _fill(
    strip: np.ndarray,
    rows: np.ndarray,
    plan: Plan,
    row: Span,
    first: int,
    session: Session,
    windows: Windows,
    means: PictureMeans | None,
    rounding: "Rounding",
) -> None:
    """Computes the windows of one row into a strip that starts at input row `first`."""
    scale = windows.scale
    for start in range(0, len(plan.columns), windows.batch):
        columns = plan.columns[start : start + windows.batch]
        cut = [rows[:, column.start : column.stop] for column in columns]
        batch = np.concatenate([to_planes(window, windows.in_channels) for window in cut])
        if means is None:
            out = session.run(batch)
        else:
            with means.applied():
                out = session.run(batch)
        brightest = 0.0
        for column, part in zip(columns, np.split(out, len(columns)), strict=True):
            top, left = (first - row.start) * scale, (column.first - column.start) * scale
            bottom, right = (row.last - row.start) * scale, (column.last - column.start) * scale
            target = strip[:, column.first * scale : column.last * scale]
            brightest = max(brightest, rounding(part[:, :, top:bottom, left:right], target))
        if brightest < BLACK and batch.max() > NOT_BLACK:
            raise UnusableOutputError("the model gives black for a picture that is not black")


def _gather(
    source: "Padded", session: Session, windows: Windows, report: Report, progress: Progress | None
) -> tuple[PictureMeans, Windows]:
    """The means of channel attention, from passes over all windows; and the windows that memory sufficed for."""
    assert isinstance(session, TorchSession)  # what `find_halo` sees the attention of
    means = PictureMeans(session.network)
    height, width, _ = source.shape
    while True:
        plan, passes = windows.plan(height, width), min(windows.passes, means.count)
        try:
            for number in range(passes):
                with means.gathering():
                    for index, row in enumerate(plan.rows):
                        rows = source.rows(row.start, row.stop)
                        for column in plan.columns:
                            session.gather(
                                means,
                                to_planes(rows[:, column.start : column.stop], windows.in_channels),
                                slice(row.first - row.start, row.last - row.start),
                                slice(column.first - column.start, column.last - column.start),
                            )
                        if progress is not None:
                            what = f"means of the whole picture, pass {number + 1} of {passes}"
                            progress((index + 1) * len(plan.columns), plan.count, what)
            report.passes, report.change = passes, means.change
            return means, windows
        except (EngineOutOfMemory, MemoryError) as error:
            windows = _smaller(windows, height, width, report, error)


def _smaller(windows: Windows, height: int, width: int, report: Report, error: BaseException) -> Windows:
    try:
        windows = windows.halved(height, width)
    except ValueError as reason:
        raise EngineOutOfMemory(
            f"{str(error) or 'out of memory'}; smaller windows are not possible: {reason}"
        ) from error
    rows, columns = windows.plan(height, width).window
    report.notes.append(f"out of memory: goes on with windows of {columns}x{rows}")
    return windows


class Padded:
    """A picture with its last rows and columns repeated, up to the size that a model needs.

    Only for models of one size, of multiples, or of a least size; other pictures pass as they are.
    """

    def __init__(self, source: Source, windows: Windows) -> None:
        self.source, self.scale = source, windows.scale
        height, width, channels = source.shape
        least = windows.size or (windows.least, windows.least)
        padded = [
            max(-(-length // windows.multiple) * windows.multiple, low)
            for length, low in zip((height, width), least, strict=True)
        ]
        self.shape = (padded[0], padded[1], channels)

    def note(self, windows: Windows) -> str:
        """What is not exact: a model of one size pads with zeros where this picture goes on. "" where all is."""
        if windows.size is None or self.shape == self.source.shape:
            return ""
        rows, columns = windows.size
        return (
            f"smaller than the {columns}x{rows} that the file takes: up to {windows.halo.pixels} pixels from the right and the "
            "bottom edge the result is not exact; give a file of free sizes, or the weights"
        )

    def rows(self, first: int, last: int) -> np.ndarray:
        height, width, _ = self.source.shape
        rows = self.source.rows(min(first, height - 1), min(last, height))
        below, right = last - first - len(rows), self.shape[1] - width
        return np.pad(rows, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else rows

    def cropped(self, strip: np.ndarray, first: int) -> np.ndarray:
        """A strip that starts at input row `first`, without what was added."""
        height, width, _ = self.source.shape
        return strip[: max(0, (height - first) * self.scale), : width * self.scale]


def to_planes(window: np.ndarray, in_channels: int) -> np.ndarray:
    """(H, W, C) of any kind -> (N, in_channels, H, W) float32 in [0, 1], contiguous.

    A network of three channels gets colours as one picture and grey or alpha as another of three equal channels; a network
    of one channel gets every channel as a picture.
    """
    planes = np.ascontiguousarray(window.transpose(2, 0, 1), dtype=np.float32)
    if window.dtype != np.float32:
        planes /= np.float32(np.iinfo(window.dtype).max)
    if in_channels == 1:
        return planes[:, None]
    if window.shape[2] == 3:
        return planes[None]
    single = [np.broadcast_to(plane, (3, *plane.shape)) for plane in (planes if len(planes) < 3 else planes[3:])]
    return np.stack([planes[:3], *single] if len(planes) > 3 else single)


@dataclass(frozen=True)
class Rounding:
    """From what a network made of `to_planes` to levels, in several threads."""

    in_channels: int
    pool: ThreadPoolExecutor
    threads: int

    def __call__(self, out: np.ndarray, target: np.ndarray) -> float:
        """(N, channels, H, W) float32, clipped to [0, 1] and rounded half to even, into `target` (H, W, C).

        Returns:
            The largest value in `out`.

        Raises:
            UnusableOutputError: values that are not finite numbers.
        """
        planes = self._planes(out, target.shape[2])
        rows = max(ROWS_AT_ONCE, -(-len(target) // self.threads))
        parts = [slice(top, top + rows) for top in range(0, len(target), rows)]
        return max(self.pool.map(lambda part: _round([plane[part] for plane in planes], target[part]), parts))

    def _planes(self, out: np.ndarray, channels: int) -> list[np.ndarray]:
        """One (H, W) for each channel of the picture."""
        if self.in_channels == 1:
            return list(out[:, 0])
        pictures = list(out)
        planes = list(pictures.pop(0)) if channels >= 3 else []
        return planes + [picture.mean(axis=0) for picture in pictures]


def _round(planes: list[np.ndarray], target: np.ndarray) -> float:
    """See `Rounding`. The extremes are taken where the numbers are at hand: a NaN is both, an infinity is one."""
    whole = np.float32(1 if target.dtype == np.float32 else np.iinfo(target.dtype).max)
    largest = 0.0
    for top in range(0, len(target), ROWS_AT_ONCE):
        part = target[top : top + ROWS_AT_ONCE]
        for channel, plane in enumerate(planes):
            levels = plane[top : top + ROWS_AT_ONCE] * whole
            low, high = levels.min(), levels.max()
            if not (np.isfinite(low) and np.isfinite(high)):
                raise UnusableOutputError("the model gives values that are not finite numbers")
            largest = max(largest, float(high / whole))
            if target.dtype != np.float32:
                np.rint(levels, out=levels)
            if low < 0 or high > whole:
                np.clip(levels, 0, whole, out=levels)
            part[:, :, channel] = levels.astype(target.dtype, copy=False)
    return largest
