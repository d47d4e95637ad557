"""Many pictures, one after the other: the next ones are read and the last ones written while one is computed."""

import errno
import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from aethernet.data.picture.picture import Animation, Picture
from aethernet.data.picture.rows import FileRows
from aethernet.errors import AetherError, one_line
from aethernet.machine import cores
from aethernet.progress import Progress
from aethernet.upscale.claims import Claims
from aethernet.upscale.enlarge import Report
from aethernet.upscale.memory import free_memory
from aethernet.upscale.outputs import Task
from aethernet.upscale.processes import Process
from aethernet.upscale.upscaler import Saving, Upscaler

logger = logging.getLogger(__name__)

SHARE = 0.1
"""Of the free memory, each for pictures that were read ahead and for results that wait to be written."""
MOST_BYTES = 2**30
"""For each of the two, at most."""
READING = 16
"""Bytes for each pixel while a picture is read, about: see `MOST_PIXELS`."""
WRITING = 2
"""Times its bytes that a result takes while it is written."""
READERS_FOR_A_GPU = 8
POLL = 0.5
"""Seconds between two looks at what other processes are at."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""After which no other picture can be written; a file that is too large (EFBIG) stops itself alone."""

Beside = Callable[[Path, Path, Picture, Picture], list[str]]
"""Called with the paths of a source and its result and with both pictures; returns what the user should know."""
Outcome = Literal["enlarged", "present", "elsewhere", "failed", "left"]


@dataclass(frozen=True)
class Result:
    """What became of one picture.

    Attributes:
        outcome: `enlarged` by this call; `present` before it; `elsewhere`: by another process meanwhile; `failed`, with the
            problem in words; `left` for another run, since the disk is full.
        notes: what the user should know, such as what the format could not keep.
        model: that enlarged it; None unless enlarged.
        seconds: that computing took.
        report: of the windows; None unless enlarged.
    """

    task: Task
    outcome: Outcome
    problem: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    report: Report | None = None
    model: str | None = None


def settle(
    tasks: Sequence[Task], *, since: float | None = None, process: Process | None = None
) -> tuple[list[Result], list[Task]]:
    """What is known without computing anything, and the pictures that are to be enlarged.

    What killed processes left beside the results is removed. Arguments are those of `upscale_tasks`.
    """
    results, rest = [], []
    for task in tasks:
        if task.problem:
            results.append(Result(task, "failed", task.problem))
        elif not _is_done(task, since):
            rest.append(task)
        elif task.named and (process is None or process.count == 1):
            exists = f"{task.target} exists: give another place, or --force to overwrite it"
            results.append(Result(task, "failed", exists))
        else:
            results.append(Result(task, "present"))
    with Claims() as claims:
        claims.clean([task.target for task in tasks if not task.problem])
    return results, rest


def upscale_tasks(
    upscaler: Upscaler,
    tasks: Sequence[Task],
    *,
    saving: Saving | None = None,
    since: float | None = None,
    process: Process | None = None,
    progress: Callable[[Task], Progress] | None = None,
    beside: Beside | None = None,
) -> Generator[Result, None, None]:
    """Enlarges pictures; gives a result for each, in the order in which they are finished, and raises for none.

    Several processes that are given the same tasks share them: each picture is made by one. At its end, each waits for
    what the others are at, and takes over from those that were killed.

    Args:
        tasks: of `settle`.
        saving: quality and depth; formats are those of the tasks.
        since: results that are older, as `time.time()` counts, are made again; by default none that exist.
        process: which of several processes this one is.
        progress: makes the callback for one picture.
        beside: makes more of each still picture that is in memory as a whole, before its result is written.
    """
    waiting = (process or Process()).in_order(tasks)
    with Claims() as claims:
        pipeline = Pipeline(upscaler, saving or Saving(), claims, since, progress, beside)
        while waiting:
            yield from pipeline.run(waiting)
            waiting, pipeline.elsewhere = pipeline.elsewhere, []
            made = {task.target for task in waiting if _is_done(task, since)}
            yield from (Result(task, "elsewhere") for task in waiting if task.target in made)
            waiting = [task for task in waiting if task.target not in made]
            if pipeline.is_full:
                yield from (Result(task, "left") for task in waiting)
                break
            if waiting and all(claims.others_hold(task.target) for task in waiting):
                time.sleep(POLL)
        claims.clean([task.target for task in tasks])  # of those who were killed between a result and its claim


class Pipeline:
    """Reading, computing and writing at the same time; `run` may be called again and again.

    Pictures are computed in the caller's thread, all else in others. How much is read ahead, and how much waits to be
    written, is bounded by bytes; a picture that is larger than that goes alone.

    Attributes:
        elsewhere: pictures that `run` came across while others held them, or that others had made.
        is_full: whether the disk is, so that the rest was left.
    """

    def __init__(
        self,
        upscaler: Upscaler,
        saving: Saving,
        claims: Claims,
        since: float | None = None,
        progress: Callable[[Task], Progress] | None = None,
        beside: Beside | None = None,
    ) -> None:
        self.elsewhere: list[Task] = []
        self._upscaler, self._saving, self._claims = upscaler, saving, claims
        self._since, self._progress, self._beside = since, progress, beside
        # A CPU that computes has no time for more; a GPU is faster than one reader.
        self._workers = 1 if upscaler.choice.session.device == "cpu" else min(READERS_FOR_A_GPU, cores())
        free = free_memory(limit=upscaler.memory)
        self._most_bytes = MOST_BYTES if free is None else min(MOST_BYTES, int(SHARE * free))
        self._reading: deque[tuple[Task, int, Future]] = deque()
        self._writing: dict[Future[Result], int] = {}
        self.is_full = False

    def run(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """Results as they come; what was computed is written even where the caller breaks off."""
        waiting = deque(tasks)
        self._readers = ThreadPoolExecutor(self._workers, "read")
        self._writers = ThreadPoolExecutor(self._workers, "write")
        try:
            while waiting or self._reading:
                self._read_ahead(waiting)
                if self._reading:
                    yield from self._next()
                yield from self._written()
                if self.is_full:
                    break
            yield from self._written(until=0)
            yield from (Result(task, "left") for task in self._not_begun(waiting))
        finally:
            self._readers.shutdown(cancel_futures=True)
            self._writers.shutdown()
            self._reading.clear()
            self._writing.clear()

    def _not_begun(self, waiting: deque[Task]) -> list[Task]:
        return [*(task for task, _, _ in self._reading), *waiting]

    def _read_ahead(self, waiting: deque[Task]) -> None:
        """Starts to read, as far as memory is meant to go."""
        while waiting and len(self._reading) <= self._workers:
            task = waiting[0]
            need = READING * task.pixels
            if self._reading and sum(size for _, size, _ in self._reading) + need > self._most_bytes:
                return
            waiting.popleft()
            if _is_done(task, self._since) or self._claims.others_hold(task.target):
                self.elsewhere.append(task)
            else:
                self._reading.append((task, need, self._readers.submit(self._upscaler.read, task.source)))

    def _next(self) -> Iterator[Result]:
        """Computes what was read first."""
        task, _, future = self._reading.popleft()
        try:
            opened = future.result()
        except Exception as error:
            yield self._failed(task, error)
            return
        del future  # it holds the picture
        if isinstance(opened, Picture):
            yield from self._written(room_for=WRITING * self._upscaler.scale**2 * _bytes(opened))
        result = self._made(task, opened)  # who breaks off at a `yield` holds no claim
        if result is not None:
            yield result

    def _made(self, task: Task, opened: Picture | Animation | FileRows) -> Result | None:
        """What became of it, where that is known already; its claim is given back then, or else by who writes it."""
        held = False
        try:
            if _is_done(task, self._since) or not self._claims.take(task.target):
                self.elsewhere.append(task)
                return None
            held = True
            if _is_done(task, self._since):  # by who had the claim before
                self.elsewhere.append(task)
                return None
            result = self._enlarged(task, opened)
            held = result is not None
            return result
        except Exception as error:
            return self._failed(task, error)
        finally:
            if held:
                self._claims.release(task.target)

    def _enlarged(self, task: Task, opened: Picture | Animation | FileRows) -> Result | None:
        """Computes; a picture is then written in another thread, frames and rows of large ones are written meanwhile."""
        output = self._upscaler.output(opened, replace(self._saving, format=task.format))
        saving = replace(self._saving, format=output.format, depth=output.depth)
        notes = [*getattr(opened, "notices", ()), *([output.notice] if output.notice else [])]
        if task.notice:
            notes.append(task.notice)
        progress = self._progress(task) if self._progress else None
        start = time.perf_counter()
        enlarged = self._upscaler.enlarged(opened, progress)
        if isinstance(enlarged, Picture):
            result = self._result(task, notes, start)
            source = opened if isinstance(opened, Picture) and self._beside else None
            writing = self._writers.submit(self._write, result, source, enlarged, saving)
            self._writing[writing] = WRITING * _bytes(enlarged)
            return None
        if self._beside:
            notes.append("no comparison: it is made of still pictures whose result fits into memory")
        notes += self._upscaler.save(enlarged, opened, task.target, saving)
        return self._result(task, notes, start)

    def _write(self, result: Result, source: Picture | None, picture: Picture, saving: Saving) -> Result:
        task = result.task
        try:
            more = self._beside(task.source, task.target, source, picture) if self._beside and source else []
            notes = self._upscaler.save(picture, picture, task.target, saving)
            return replace(result, notes=tuple(dict.fromkeys([*result.notes, *notes, *more])))
        except Exception as error:
            return self._failed(task, error)
        finally:
            self._claims.release(task.target)

    def _written(self, room_for: int = 0, until: int | None = None) -> Iterator[Result]:
        """Results of what was written; waits until so many bytes are free, or so few pictures left."""
        while self._writing:
            most = self._workers + 1 if until is None else until
            is_short = sum(self._writing.values()) + room_for > self._most_bytes or len(self._writing) > most
            done, _ = wait(self._writing, None if is_short else 0, FIRST_COMPLETED)
            for future in done:
                del self._writing[future]
                yield future.result()
            if not is_short:
                return

    def _result(self, task: Task, notes: Sequence[str], start: float) -> Result:
        seconds, made_by = time.perf_counter() - start, self._upscaler
        return Result(task, "enlarged", "", tuple(notes), seconds, made_by.report, made_by.model.label)

    def _failed(self, task: Task, error: Exception) -> Result:
        if _number(error) in FULL:
            self.is_full = True
        if not isinstance(error, AetherError):
            logger.debug("%s", task.source, exc_info=error)
        return Result(task, "failed", problem_of(error))


def _is_done(task: Task, since: float | None) -> bool:
    try:
        status = task.target.stat()
    except OSError:
        return False
    return since is None or status.st_mtime >= since


def problem_of(error: BaseException) -> str:
    """In words, on one line."""
    if isinstance(error, AetherError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "memory does not suffice"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {one_line(error)}"


def _number(error: BaseException | None) -> int | None:
    """The system's number of what went wrong, also behind an error of ours."""
    while error is not None:
        if isinstance(error, OSError):
            return error.errno
        error = error.__cause__
    return None


def _bytes(picture: Picture) -> int:
    return picture.color.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)
