"""The process that computes, told by messages over a pipe: one picture at a time, and short ones between windows of long ones."""

import contextlib
import os
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from aethernet.errors import AetherError, EngineOutOfMemory, OutputError
from aethernet.upscale.serve.messages import Cancel, Outcome, Ready, Step, Work
from aethernet.upscale.serve.settings import Settings

if TYPE_CHECKING:
    from aethernet.upscale.serve.networks import Networks
    from aethernet.upscale.upscaler import Upscaler

BETWEEN_STEPS = 0.1
"""Seconds between two messages of progress, at least."""


class Stopped(BaseException):
    """Raised between windows where the client has cancelled: no handler of errors is to take it for one."""


@dataclass(eq=False)
class Task:
    """Work that is here; `upscaler` is what computes it, once it is known."""

    work: Work
    upscaler: "Upscaler | None" = None
    is_cancelled: bool = False

    def check(self) -> None:
        if self.is_cancelled:
            raise Stopped


class Desk:
    """What comes over the pipe, taken by a thread: work that waits, and the word to end what is computed.

    Of the tasks that are open, the last one is computed, between two windows of the one before it.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._arrived: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._known: dict[str, Task] = {}
        self._open: list[Task] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, name="listen", daemon=True).start()

    def wait(self) -> Task | None:
        """The next task; None where the other end is closed."""
        return self._arrived.get()

    def arrived(self) -> Task | None:
        """The next task, if there is one already."""
        try:
            return self._arrived.get_nowait()
        except queue.Empty:
            return None

    @contextlib.contextmanager
    def opened(self, task: Task) -> Iterator[None]:
        """While it is computed."""
        with self._lock:
            for below in self._open:  # the word to end one of them is not for this one; it looks when it goes on
                if below.upscaler is not None:
                    below.upscaler.choice.session.resume()
            self._open.append(task)
        try:
            yield
        finally:
            with self._lock:  # who is told to stop is this one, or none
                self._open.remove(task)
                self._known.pop(task.work.id, None)

    @contextlib.contextmanager
    def computed(self, task: Task, upscaler: "Upscaler", between: Callable[[], None]) -> Iterator[None]:
        """While it is, by this one, and `between` is called between layers; raises `Stopped` where it is not wanted any more."""
        session = upscaler.choice.session
        with self._lock:
            task.check()
            task.upscaler = upscaler
            session.resume()
        former, session.between = session.between, between
        try:
            yield
        finally:
            with self._lock:
                task.upscaler = None
                session.resume()
            session.between = former

    def is_at(self, task: Task) -> bool:
        return task is self._open[-1]

    def _listen(self) -> None:
        message: object = self
        while message is not None:
            try:
                message = self.connection.recv()
            except (EOFError, OSError):
                message = None
            if isinstance(message, Work):
                self._known[message.id] = task = Task(message)
                self._arrived.put(task)
            elif isinstance(message, Cancel):  # of what is done already, it is late
                self._cancel([message.id])
        self._cancel(list(self._known))
        self._arrived.put(None)

    def _cancel(self, ids: list[str]) -> None:
        with self._lock:
            for task in (self._known[id] for id in ids if id in self._known):
                task.is_cancelled = True
                if task.upscaler is not None and task is self._open[-1]:
                    task.upscaler.choice.session.stop()


def main(connection: Connection, settings: Settings, folder: str) -> None:
    """A process of its own. Where the one that serves is gone without a word, its folder is removed."""
    from aethernet.machine import forget_former_sizes, keep_freed_memory

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all: the one that serves decides
    keep_freed_memory()
    forget_former_sizes()
    if work(connection, settings):
        shutil.rmtree(folder, ignore_errors=True)


def work(connection: Connection, settings: Settings) -> bool:
    """Says that it is ready, or why not, then does what it is told. Returns whether the other end was closed."""
    with contextlib.suppress(EOFError, OSError):  # of the pipe alone: those of pictures are told
        try:
            import torch

            from aethernet.upscale.serve.networks import Networks

            if settings.threads:
                torch.set_num_threads(settings.threads)
            networks = Networks(settings)
        except (AetherError, ImportError, OSError) as error:
            connection.send(Ready(problem=str(error)))
            return False
        connection.send(Ready(networks.offered))
        desk = Desk(connection)
        while (task := desk.wait()) is not None:
            connection.send(outcome_of(task, networks, desk))
    return True


def outcome_of(task: Task, networks: "Networks", desk: Desk) -> Outcome:
    """Computes, and raises for nothing but the pipe."""
    from aethernet.runtimes.session import RunStopped
    from aethernet.upscale.pipeline import problem_of

    work = task.work
    try:
        with desk.opened(task):
            return _enlarged(task, networks, desk)
    except (Stopped, RunStopped):
        return Outcome(work.id, "cancelled")
    except (EngineOutOfMemory, MemoryError) as error:
        return Outcome(work.id, "failed", 503, _named(problem_of(error), work))
    except BrokenPipeError:
        raise
    except Exception as error:
        status = 503 if isinstance(error, OutputError) else 422 if isinstance(error, AetherError) else 500
        return Outcome(work.id, "failed", status, _named(problem_of(error), work))


def _enlarged(task: Task, networks: "Networks", desk: Desk) -> Outcome:
    from aethernet.data.picture.decoding import check_size
    from aethernet.data.picture.formats import unused_quality
    from aethernet.data.picture.header import read_header
    from aethernet.upscale.upscaler import Saving

    work, said = task.work, 0.0
    source, target = Path(work.source), Path(work.target)
    task.check()
    desk.connection.send(Step(work.id, 0, 1, "opening the network", work.network or "auto"))
    upscaler = networks.upscaler(work.network, work.scale, read_header(source))
    label = upscaler.model.label

    def between() -> None:
        if desk.is_at(task):  # layers of others call it as well
            report = upscaler.report
            while (other := desk.arrived()) is not None:
                desk.connection.send(outcome_of(other, networks, desk))
            upscaler.report = report
            task.check()

    def step(done: int, total: int, what: str) -> None:
        nonlocal said
        task.check()
        now = time.monotonic()
        if now - said >= BETWEEN_STEPS or done == total:
            said = now
            desk.connection.send(Step(work.id, done, total, what, label))
        between()

    desk.connection.send(Step(work.id, 0, 1, "reading", label))
    opened = upscaler.read(source)
    check_size(opened.size[0] * getattr(opened, "frames", 1), opened.size[1], work.pixels)  # headers may lie
    saving = Saving(work.format, work.quality, work.depth)
    output = upscaler.output(opened, saving)
    step(0, 1, "computing")
    notes = [*getattr(opened, "notices", ()), output.notice, unused_quality(work.quality, output.format)]
    saving = replace(saving, format=output.format, depth=output.depth)
    with desk.computed(task, upscaler, between):
        notes += upscaler.save(upscaler.enlarged(opened, step), opened, target, saving)
    notes += upscaler.report.notes
    width, height = (side * upscaler.scale for side in opened.size)
    return Outcome(
        work.id, "done", network=label, format=output.format, width=width, height=height, bytes=os.path.getsize(target),
        notes=tuple(dict.fromkeys(_named(note, work) for note in notes if note)),
    )  # fmt: skip


def _named(text: str, work: Work) -> str:
    """Without the paths of the service, which are nobody's business."""
    return text.replace(work.source, "the picture").replace(work.target, "the result")
