"""A picture enlarged window by window, in strips of whole rows from top to bottom.

Pictures are arrays as `sources.py` tells.
"""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from aethernet.errors import EngineOutOfMemory, UnusableOutputError
from aethernet.network.picture_means import PictureMeans
from aethernet.progress import Progress
from aethernet.runtimes.pytorch import TorchSession
from aethernet.runtimes.session import Session
from aethernet.upscale.planes import Rounding, to_planes
from aethernet.upscale.sources import Padded, Source
from aethernet.upscale.tiles import Plan, Span
from aethernet.upscale.windows import Windows

BLACK, NOT_BLACK = 0.5 / 255, 16 / 255
"""A window that comes out below the first everywhere, of one that reaches the second somewhere, is suspicious."""


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
    clips: bool = True,
) -> Iterator[np.ndarray]:
    """Yields the enlarged picture in strips of rows (h, scale W, C), from top to bottom; rounds in so many threads.

    Without `clips`, a picture of float32 may come out below 0 and above 1.

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
                    rounding = Rounding(windows.in_channels, pool, threads, clips)
                    computed = number * len(plan.columns)
                    rows = padded.rows(row.start, row.stop)
                    for count in _fill(strip, rows, plan, row, first, session, windows, means, rounding):
                        computed += count
                        if progress is not None:
                            progress(computed, plan.count, "windows")
                    done = row.last
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
) -> Iterator[int]:
    """Computes the windows of one row into a strip that starts at input row `first`; yields how many, after each run."""
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
        yield len(columns)


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
