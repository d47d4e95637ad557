"""The one process that computes, as the one that serves sees it: started, given work, stopped, started anew."""

import asyncio
import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, Protocol

from aethernet.errors import EnvironmentProblem
from aethernet.upscale.serve import worker
from aethernet.upscale.serve.messages import Cancel, Network, Outcome, Ready, Step, Work
from aethernet.upscale.serve.settings import Settings
from aethernet.wording import how_many

START = 180.0
"""Seconds that a process may take until it is ready: PyTorch is imported from slow disks, too."""
GRACE = 5.0
"""Seconds that work goes on after it was cancelled, or its time was over, before its process is ended: work looks up
between two windows only."""


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
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._kill_at = 0.0
        self._now = ""

    async def ready(self) -> None:
        """Starts a process where there is none, or where the last one died meanwhile. Raises as `start`."""
        while not self._messages.empty():
            if self._messages.get_nowait() is None:
                await self.stop()
        if self._connection is None:
            await self.start()

    async def start(self) -> None:
        """Raises `EnvironmentProblem` where it cannot compute, with the reason that it gave."""
        loop = asyncio.get_running_loop()
        messages: asyncio.Queue[Any] = asyncio.Queue()
        self._messages = messages
        self._connection, self._handle = await asyncio.to_thread(self._launch, self._settings, self._folder)
        listening = threading.Thread(
            target=_listen, args=(self._connection, loop, messages), name="listen", daemon=True
        )
        listening.start()
        try:
            first = await asyncio.wait_for(messages.get(), START)
        except asyncio.TimeoutError:
            first = Ready(problem=f"it was not ready after {START:.0f} seconds")
        problem = first.problem if isinstance(first, Ready) else f"it ended at once, {await self._ending()}"
        if problem:
            await self.stop()
            raise EnvironmentProblem(problem)
        self.networks = first.networks

    async def run(self, work: Work, step: Callable[[Step], None]) -> Outcome:
        """Does one piece of work; raises `Died` where its process ended meanwhile, or had to be ended."""
        assert self._connection is not None
        loop, messages = asyncio.get_running_loop(), self._messages
        self._kill_at, self._now = loop.time() + work.seconds + GRACE, work.id
        is_cancelled = False
        try:
            self._send(work)
            while True:
                try:
                    message = await asyncio.wait_for(messages.get(), max(0.0, self._kill_at - loop.time()))
                except asyncio.TimeoutError:
                    await self.stop()
                    if is_cancelled:
                        return Outcome(work.id, "cancelled")
                    raise Died(
                        f"it took longer than the {how_many(round(work.seconds), 'second')} allowed", 422
                    ) from None
                if message is None:
                    ending = await self._ending()
                    await self.stop()
                    if is_cancelled:
                        return Outcome(work.id, "cancelled")
                    raise Died(f"the process that computed it ended, {ending}")
                if isinstance(message, Cancel):
                    is_cancelled = is_cancelled or message.id == work.id
                elif isinstance(message, Step) and message.id == work.id:
                    step(message)
                elif isinstance(message, Outcome) and message.id == work.id:
                    return message
        finally:
            self._now = ""

    def cancel(self, id: str) -> None:
        """Ends work soon, between two windows; after `GRACE` with its process."""
        if id != self._now:
            return
        self._kill_at = min(self._kill_at, asyncio.get_running_loop().time() + GRACE)
        self._send(Cancel(id))
        self._messages.put_nowait(Cancel(id))  # wakes who waits, for the new time

    async def stop(self) -> None:
        """Ends the process; `start` gives another one."""
        connection, handle = self._connection, self._handle
        self._connection = self._handle = None
        if handle is not None:
            handle.kill()
            await asyncio.to_thread(handle.join, GRACE)
        if connection is not None:
            connection.close()

    def _send(self, message: object) -> None:
        try:
            if self._connection is not None:
                self._connection.send(message)
        except OSError:
            pass  # it is gone, which who listens tells

    async def _ending(self) -> str:
        """How it ended, in words."""
        assert self._handle is not None
        await asyncio.to_thread(self._handle.join, GRACE)
        code = self._handle.exitcode
        if code is not None and code < 0:
            lack = ", perhaps for lack of memory" if code == -9 else ""
            return f"by signal {-code}{lack}"
        return f"with exit code {code}"


def _listen(connection: Connection, loop: asyncio.AbstractEventLoop, messages: "asyncio.Queue[Any]") -> None:
    """A thread: messages into the loop's queue, None at their end."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            message = None
        except Exception:  # half a message, of who was killed while writing
            message = None
        try:
            loop.call_soon_threadsafe(messages.put_nowait, message)
        except RuntimeError:  # the loop is closed
            return
        if message is None:
            return
