"""The one process that computes, as the one that serves sees it: started, given work, stopped, started anew."""

import asyncio
import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, Literal, Protocol

from aethernet.errors import EnvironmentProblem
from aethernet.upscale.serve import worker
from aethernet.upscale.serve.messages import Cancel, Network, Outcome, Ready, Step, Work
from aethernet.upscale.serve.settings import Settings
from aethernet.wording import how_many

START = 180.0
"""Seconds that a process may take until it is ready: PyTorch is imported from slow disks, too."""
GRACE = 2.0
"""Seconds that work goes on after it was cancelled, or its time was over, before its process is ended: a layer of a network
is not interrupted, nor is the writing of a file."""


class Handle(Protocol):
    """What is needed of a process."""

    @property
    def exitcode(self) -> int | None: ...

    def kill(self) -> None: ...

    def join(self, timeout: float | None = None) -> None: ...


Launch = Callable[[Settings, str], tuple[Connection, Handle]]
"""Starts a process that does `worker.work`; gives the end of the pipe to it."""


def launch(settings: Settings, folder: str) -> tuple[Connection, Handle]:
    """A process that shares nothing with this one but a pipe."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=worker.main, args=(theirs, settings, folder), name="aethernet-worker", daemon=True)
    with without_interrupts():
        process.start()
    theirs.close()
    return ours, process


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """What is started in here gets no Ctrl-C of the terminal, from its first moment on: who started it decides."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # multiprocessing's own helper, whose start would let the signal through again
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


class Died(Exception):
    """The process ended in the middle, or was ended; the text says how, `status` is that of HTTP."""

    def __init__(self, text: str, status: int = 500) -> None:
        super().__init__(text)
        self.status = status


class Lost(Exception):
    """The process ended for the sake of other work."""


@dataclass(eq=False)
class Running:
    """Work that the process has. `end` is when its time is over; None of the messages means that something else changed."""

    work: Work
    end: float
    began: float | None = None
    is_cancelled: bool = False
    is_late: bool = False
    fate: Literal["late", "died", "lost"] | None = None
    messages: "asyncio.Queue[Step | Outcome | None]" = field(default_factory=asyncio.Queue)


class Worker:
    """One process after the other. All methods are called in the event loop.

    Attributes:
        networks: of the process that runs, or of the last one.
    """

    def __init__(self, settings: Settings, folder: str, launch: Launch = launch) -> None:
        self.networks: tuple[Network, ...] = ()
        self._settings, self._folder, self._launch = settings, folder, launch
        self._connection: Connection | None = None
        self._handle: Handle | None = None
        self._first: asyncio.Future[Any] | None = None
        self._has_ended = False
        self._running: list[Running] = []

    async def ready(self) -> None:
        """Starts a process where there is none, or where the last one died meanwhile. Raises as `start`."""
        if self._has_ended:
            await self.stop()
        if self._connection is None:
            await self.start()

    async def start(self) -> None:
        """Raises `EnvironmentProblem` where it cannot compute, with the reason that it gave."""
        loop = asyncio.get_running_loop()
        connection, handle = await asyncio.to_thread(self._launch, self._settings, self._folder)
        self._connection, self._handle, self._has_ended = connection, handle, False
        self._first = loop.create_future()
        listening = threading.Thread(target=_listen, args=(connection, loop, self._take), name="listen", daemon=True)
        listening.start()
        try:
            first = await asyncio.wait_for(self._first, START)
        except asyncio.TimeoutError:
            first = Ready(problem=f"it was not ready after {START:.0f} seconds")
        problem = first.problem if isinstance(first, Ready) else f"it ended at once, {await _ending(handle)}"
        if problem:
            await self.stop()
            raise EnvironmentProblem(problem)
        self.networks = first.networks

    async def run(self, work: Work, step: Callable[[Step], None]) -> Outcome:
        """Does one piece of work; where another one is under way, between two steps of that.

        Raises:
            Died: its process ended meanwhile, or had to be ended.
            Lost: the same, for the sake of other work.
        """
        loop, handle = asyncio.get_running_loop(), self._handle
        assert handle is not None
        running = Running(work, loop.time() + work.seconds)
        self._running.append(running)
        try:
            self._send(work)
            while True:
                message = await self._message(running)
                if isinstance(message, Step):
                    step(message)
                elif message is not None:
                    if running.is_late and message.state == "cancelled" and not running.is_cancelled:
                        raise _too_long(work)
                    return message
                elif running.fate is not None and running.is_cancelled:
                    return Outcome(work.id, "cancelled")
                elif running.fate == "late":
                    raise _too_long(work)
                elif running.fate == "died":
                    raise Died(f"the process that computed it ended, {await _ending(handle)}")
                elif running.fate == "lost":
                    raise Lost
        finally:
            self._running.remove(running)
            for other in self._running:  # whose time it was not
                other.end += loop.time() - (running.began or loop.time())
                other.messages.put_nowait(None)

    async def _message(self, running: Running) -> Step | Outcome | None:
        """The next one; where its time is over, work is told to end, and then its process is ended."""
        loop = asyncio.get_running_loop()
        while True:
            if not running.messages.empty():
                return running.messages.get_nowait()
            left = max(0.0, running.end - loop.time()) if running is self._computed() else None
            try:
                return await asyncio.wait_for(running.messages.get(), left)
            except asyncio.TimeoutError:
                if running is not self._computed() or loop.time() < running.end:
                    continue
            if running.is_cancelled or running.is_late:
                self._lose("late")
                await self.stop()
            else:
                running.is_late, running.end = True, loop.time() + GRACE
                self._send(Cancel(running.work.id))

    def cancel(self, id: str) -> None:
        """Ends work soon, after a layer of its network; after `GRACE` with its process."""
        for running in self._running:
            if running.work.id == id:
                running.is_cancelled = True
                running.end = min(running.end, asyncio.get_running_loop().time() + GRACE)
                self._send(Cancel(id))
                running.messages.put_nowait(None)

    async def stop(self) -> None:
        """Ends the process; `start` gives another one."""
        connection, handle = self._connection, self._handle
        self._connection = self._handle = None
        self._has_ended = False
        if handle is not None:
            handle.kill()
            await asyncio.to_thread(handle.join, GRACE)
        if connection is not None:
            connection.close()

    def _computed(self) -> Running | None:
        """What the process is at: the last that has begun."""
        begun = [running for running in self._running if running.began is not None]
        if begun:
            return begun[-1]
        return self._running[0] if self._running else None

    def _take(self, connection: Connection, message: Any) -> None:
        """A message of a process; None for its end."""
        if connection is not self._connection:  # of one that was stopped
            return
        if self._first is not None and not self._first.done():
            self._first.set_result(message)
        elif message is None:
            self._has_ended = True
            self._lose("died")
        for running in self._running:
            if message is not None and running.work.id == getattr(message, "id", None):
                running.messages.put_nowait(message)
                if running.began is None:
                    running.began = asyncio.get_running_loop().time()
                    running.end = running.began + running.work.seconds

    def _lose(self, fate: Literal["late", "died"]) -> None:
        """The process ends, for the sake of what it is at."""
        computed = self._computed()
        for running in self._running:
            running.fate = fate if running is computed else "lost"
            running.messages.put_nowait(None)

    def _send(self, message: object) -> None:
        try:
            if self._connection is not None:
                self._connection.send(message)
        except OSError:
            pass  # it is gone, which who listens tells


def _too_long(work: Work) -> Died:
    text = f"it took longer than the {how_many(round(work.seconds), 'second')} allowed: give a smaller picture or a faster network"
    return Died(text, 422)


async def _ending(handle: Handle) -> str:
    """How it ended, in words."""
    await asyncio.to_thread(handle.join, GRACE)
    code = handle.exitcode
    if code is not None and code < 0:
        lack = ", perhaps for lack of memory" if code == -9 else ""
        return f"by signal {-code}{lack}"
    return f"with exit code {code}"


def _listen(connection: Connection, loop: asyncio.AbstractEventLoop, take: Callable[[Connection, Any], None]) -> None:
    """A thread: messages into the loop, None at their end."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            message = None
        except Exception:  # half a message, of who was killed while writing
            message = None
        try:
            loop.call_soon_threadsafe(take, connection, message)
        except RuntimeError:  # the loop is closed
            return
        if message is None:
            return
