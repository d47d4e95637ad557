"""A film from its file to its result: planned, computed in segments, joined."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aethernet.errors import OutputError
from aethernet.upscale.claims import Claims
from aethernet.upscale.pipeline import POLL
from aethernet.upscale.processes import Process
from aethernet.upscale.upscaler import Upscaler
from aethernet.upscale.video.enlarger import Tally
from aethernet.upscale.video.film import Assumptions
from aethernet.upscale.video.join import join
from aethernet.upscale.video.pipeline import FilmPipeline
from aethernet.upscale.video.plan import Parts
from aethernet.upscale.video.prepare import Coding, Opened, Prepared, open_film, plan_of, prepare, target_of
from aethernet.upscale.video.timeline import Segment

Tell = Callable[[int, int, Tally], None]
"""Called with the frames that are done, by former runs and other processes too; all frames; and what this process did."""


@dataclass(frozen=True)
class FilmResult:
    """What became of a film.

    Attributes:
        outcome: `enlarged`, or `elsewhere`: joined by another process.
        frames: in the result; packets that the file tells to show nothing of are none.
        tally: what this process did of it.
        seconds: in all.
        notes: what the user should know.
    """

    target: Path
    outcome: Literal["enlarged", "elsewhere"]
    frames: int
    tally: Tally
    seconds: float
    notes: tuple[str, ...] = ()


def upscale_film(
    upscaler: Upscaler,
    path: str | Path,
    out: str | Path | None = None,
    *,
    coding: Coding | None = None,
    assume: Assumptions | None = None,
    stream: int | None = None,
    force: bool = False,
    process: Process | None = None,
    progress: Tell | None = None,
) -> FilmResult:
    """Enlarges a video file, with all that is in it.

    A run that was killed goes on where it was when it is started again with the same arguments.

    Args:
        out: a file .mkv, .mp4, .mov or .webm, or a folder; by default beside it, as in film_x2.mkv.
        stream: the index of the pictures, where a file has several video streams.
        force: overwrite a file that exists, and remove parts of a run that differs.
        process: which of several processes this one is: they share the segments.

    Raises:
        AetherError: the subclass that fits, with what to do.

    Example:
        >>> from aethernet.upscale import Upscaler  # doctest: +SKIP
        >>> from aethernet.upscale.video import upscale_film  # doctest: +SKIP
        >>> upscale_film(Upscaler("aether_tiny_x2"), "film.mkv", "large.mkv").frames  # doctest: +SKIP
    """
    target = target_of(Path(path), out, upscaler.scale)
    opened = open_film(path, target, assume=assume, stream=stream, force=force)
    prepared = prepare(opened, upscaler.scale, coding, process=process, force=force)
    return run_film(prepared, upscaler, force=force, process=process, progress=progress)


def run_film(
    prepared: Prepared,
    upscaler: Upscaler,
    *,
    force: bool = False,
    process: Process | None = None,
    progress: Tell | None = None,
) -> FilmResult:
    """Computes what was prepared, goes on where a former run was killed, and joins it; see `upscale_film`."""
    start, opened, process = time.time(), prepared.opened, process or Process()
    film, timeline, parts, segments = opened.film, opened.timeline, opened.parts, prepared.segments
    if process.count > 1 and _is_made(opened):
        return FilmResult(opened.target, "elsewhere", len(timeline.times), Tally(), 0.0, prepared.notes)
    parts.settle(plan_of(prepared, upscaler), force=force)
    present = sum(segment.frames for segment in segments if parts.is_done(segment))

    def tell(tally: Tally) -> None:
        if progress is not None:
            progress(min(present + tally.frames, len(timeline.times)), len(timeline.times), tally)

    gpu = upscaler.choice.session.device != "cpu"
    pipeline = FilmPipeline(
        film, timeline, parts, prepared.encoding, upscaler, prepared.size,
        threads=prepared.threads if gpu else 1, progress=tell,
    )  # fmt: skip
    with Claims() as claims:
        claims.clean([parts.path(segment) for segment in segments])
        _compute(pipeline, segments, parts, claims, process)
        joined = _join(prepared, claims)
        claims.clean([opened.target])
    tally, notes = pipeline.tally, [*prepared.notes, *(joined[1] if joined else ())]
    if tally.damaged:
        notes.append(f"{tally.damaged} damaged packets could not be decoded")
    return FilmResult(
        opened.target,
        "elsewhere" if joined is None else "enlarged",
        len(timeline.times) if joined is None else joined[0],
        tally,
        time.time() - start,
        tuple(notes),
    )


def _is_made(opened: Opened) -> bool:
    """Whether another process has been faster with all of it."""
    try:
        return opened.target.stat().st_mtime >= opened.since
    except OSError:
        return False


def _compute(
    pipeline: FilmPipeline, segments: Sequence[Segment], parts: Parts, claims: Claims, process: Process
) -> None:
    """Until all segments are there, whoever makes them."""
    order = process.in_order(list(segments))
    while parts.folder.exists():
        missing = [segment for segment in order if not parts.is_done(segment)]
        if not missing:
            return
        if all(claims.others_hold(parts.path(segment)) for segment in missing):
            time.sleep(POLL)
            continue
        pipeline.run(missing, claims)


def _join(prepared: Prepared, claims: Claims) -> tuple[int, tuple[str, ...]] | None:
    """The frames of the result and what the user should know of it, where this process joined the segments; None where another one did, which it waits for."""
    opened = prepared.opened
    target, parts = opened.target, opened.parts
    while True:
        if not parts.folder.exists():
            if target.exists():
                return None
            raise OutputError(f"{parts.folder} was removed while it was used: run the same again")
        if claims.take(target):
            try:
                if not parts.folder.exists():
                    continue
                _check_room(parts, target)
                joined = join(
                    opened.film, opened.timeline, prepared.segments, parts, prepared.encoding, prepared.kept, target
                )
                parts.remove()
                return joined
            finally:
                claims.release(target)
        time.sleep(POLL)


def _check_room(parts: Parts, target: Path) -> None:
    need = sum(path.stat().st_size for path in parts.folder.glob("*.mkv"))
    free = shutil.disk_usage(target.parent).free
    if need > free:
        raise OutputError(
            f"{target} needs about {need / 2**20:.0f} MiB, and {free / 2**20:.0f} are free: make room and run the same again, "
            "which only joins what is computed"
        )
