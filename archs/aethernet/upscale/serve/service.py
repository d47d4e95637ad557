"""`Service`: the jobs of all clients, whose turn it is, and how long results are kept."""

import asyncio
import contextlib
import logging
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from aethernet.data.picture.header import Header
from aethernet.errors import AetherError, EnvironmentProblem
from aethernet.upscale.serve.between import Paces
from aethernet.upscale.serve.jobs import Job, Refusal, Wish
from aethernet.upscale.serve.messages import Network, Outcome, Step, Work
from aethernet.upscale.serve.process import Died, Launch, Lost, Worker, launch
from aethernet.upscale.serve.settings import Settings
from aethernet.upscale.serve.turns import Turns
from aethernet.wording import how_many

logger = logging.getLogger(__name__)

ENDS = "the service ends"

SWEEP = 5.0
"""Seconds between two looks at what is older than it may be."""
AGAIN = 0.5
"""Seconds after which a task that goes on is cancelled again."""
LOOK = 0.5
"""Seconds between two looks whether who waits may be computed in the middle of a long picture."""
PAUSE = 2.0
"""Seconds after a process that could not be started."""


class Service:
    """From `start`, which starts the computing process, to `stop`, which leaves no file behind.

    Attributes:
        jobs: by their ids, in the order in which they came.
        problem: why it could not be started, for who has to tell; None where it was.
        is_ending: whether it takes no more pictures, and who waits is told so.
    """

    def __init__(self, settings: Settings, launch: Launch = launch) -> None:
        self.settings = settings
        self.jobs: dict[str, Job] = {}
        self.folder = Path()
        self.problem: AetherError | None = None
        self.is_ending = False
        self._launch = launch
        self._waiting: Turns[Job] = Turns()
        self._uploading: Counter[str] = Counter()
        self._running: list[Job] = []
        self._paces = Paces()
        self._tasks: list[asyncio.Task] = []

    async def start(self) -> None:
        """Raises `AetherError` where nothing can be computed."""
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="aethernet-serve-"))  # readable for this user alone
        except OSError as error:
            raise EnvironmentProblem(f"no temporary folder can be made: {error.strerror}; set TMPDIR") from error
        self._changed = asyncio.Event()
        self.worker = Worker(self.settings, str(self.folder), self._launch)
        try:
            await self.worker.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._tasks = [asyncio.create_task(self._compute()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        left = set(self._tasks)
        while left:  # before Python 3.12, `wait_for` loses a cancelling that comes together with what it waits for
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=AGAIN)
        await self.worker.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def networks(self) -> tuple[Network, ...]:
        return self.worker.networks

    @property
    def stored(self) -> int:
        """Bytes of all files."""
        return sum(job.stored for job in self.jobs.values())

    @contextlib.contextmanager
    def place(self, client: str) -> Iterator[Path]:
        """A place in the queue and in the folder for a picture that comes in; gone again unless `add` takes it.

        Raises:
            Refusal: 429 where this client has too many pictures here, 503 where all have, or the disk is full.
        """
        settings = self.settings
        if self.is_ending:
            raise Refusal(503, ENDS)
        own = self._uploading[client] + self._waiting.count(client) + sum(job.client == client for job in self._running)
        if own >= settings.queue_per_client:
            text = f"{how_many(own, 'picture')} of yours in work or waiting, and {settings.queue_per_client} may be: try again when one is done"
            raise Refusal(429, text, retry=5)
        if self._uploading.total() + len(self._waiting) + len(self._running) >= settings.queue:
            raise Refusal(
                503, f"{settings.queue} pictures wait or are computed, which is all that may: try again later", retry=10
            )
        if self.stored > settings.disk:
            raise Refusal(503, "the place for results is full: remove some of yours, or try again later", retry=60)
        path = self.folder / f"{secrets.token_hex(16)}.in"
        self._uploading[client] += 1
        try:
            yield path
        finally:
            self._uploading[client] -= 1
            if not self._uploading[client]:
                del self._uploading[client]
            if not any(job.source == path for job in self.jobs.values()):
                path.unlink(missing_ok=True)

    def add(self, client: str, session: str | None, name: str, wish: Wish, source: Path, header: Header) -> Job:
        """A job for a picture that was let in; it waits for its turn."""
        job = Job(client, session, name, wish, source, header, source.stat().st_size)
        self.jobs[job.id] = job
        self._waiting.add(client, job)
        self._changed.set()
        return job

    def find(self, id: str) -> Job:
        """Raises `Refusal`, 404."""
        job = self.jobs.get(id)
        if job is None:
            text = f"there is no such job: it was removed, or its result was kept for {how_many(self.settings.keep, 'second')}"
            raise Refusal(404, text)
        return job

    def record(self, job: Job) -> dict:
        ahead = None
        if job in self._running:
            ahead = 0 if job.state == "waiting" else None  # until who computes takes it up
        elif job.state == "waiting":
            ahead = self._waiting.ahead(job.client, job) + len(self._running)
        return job.record(ahead, self.settings.keep)

    def of_session(self, session: str | None) -> list[Job]:
        """The jobs of a browser, in their order."""
        return [job for job in self.jobs.values() if session is not None and job.session == session]

    def remove(self, job: Job) -> None:
        """Forgets a job and its files, and stops it if it is computed."""
        self.jobs.pop(job.id, None)
        if self._waiting.remove(job.client, job) or job.ended.is_set():
            self._end(job, job.outcome or Outcome(job.id, "cancelled"))
            self._delete(job)
        elif job in self._running:
            job.state = "cancelled"
            self.worker.cancel(job.id)

    async def _compute(self) -> None:
        """One job after the other, for ever."""
        while True:
            try:
                job = self._waiting.take()
            except IndexError:
                self._changed.clear()
                await self._changed.wait()
                continue
            self._running.append(job)
            await asyncio.gather(self._end_of(job), self._between(job))

    async def _between(self, long: Job) -> None:
        """Short pictures of others, while a long one is computed, which has half of the time."""
        turn = 0.0
        while long in self._running:
            self._changed.clear()
            job = self._waiting.take_first(lambda job: self._paces.fits(job, long)) if long.own >= turn else None
            if job is None:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), LOOK if self._waiting else None)
                continue
            self._running.append(job)
            await self._end_of(job)
            if job.began is not None:
                took = time.monotonic() - job.began
                long.lent += took
                turn = long.own + took

    async def _end_of(self, job: Job) -> None:
        """Computes one that is among those that run, and ends it."""
        outcome = None
        try:
            outcome = await self._outcome(job)
        except Lost:
            pass
        except Exception:  # a fault of ours ends this job, not the service
            logger.exception("job %s", job.id)
            outcome = Outcome(job.id, "failed", 500, "the service failed: its log says why")
        finally:
            self._running.remove(job)
            self._changed.set()
        if outcome is None and job.id in self.jobs:
            job.state, job.began, job.step, job.lent, job.spent, job.is_alone = "waiting", None, None, 0.0, 0.0, True
            self._waiting.put_back(job.client, job)
            return
        self._end(job, outcome or Outcome(job.id, "cancelled"))
        if job.state == "done":
            self._paces.learn(job)
        if job.id not in self.jobs:
            self._delete(job)

    async def _outcome(self, job: Job) -> Outcome:
        try:
            await self.worker.ready()
        except AetherError as error:
            await asyncio.sleep(PAUSE)
            return Outcome(job.id, "failed", 503, f"nothing can be computed: {error}")
        if job.id not in self.jobs:  # cancelled meanwhile
            return Outcome(job.id, "cancelled")
        wish = job.wish
        work = Work(
            job.id, str(job.source), str(job.target), wish.network, wish.scale, wish.format, wish.quality, wish.depth,
            float(self.settings.max_seconds), self.settings.max_pixels,
        )  # fmt: skip

        def step(step: Step) -> None:
            if job.began is None:
                job.began = time.monotonic()
            if job.state == "waiting":
                job.state = "running"
            job.step, job.spent = step, job.own
            self._changed.set()

        try:
            return await self.worker.run(work, step)
        except Died as error:
            logger.warning("job %s: %s", job.id, error)
            return Outcome(job.id, "failed", error.status, str(error))

    def _end(self, job: Job, outcome: Outcome) -> None:
        if not job.ended.is_set():
            job.outcome, job.over = outcome, time.monotonic()
            job.state = outcome.state if job.id in self.jobs else "cancelled"
            job.ended.set()
        job.source.unlink(missing_ok=True)
        if job.state != "done":
            job.target.unlink(missing_ok=True)

    def _delete(self, job: Job) -> None:
        for path in (job.source, job.target):
            with contextlib.suppress(OSError):  # on Windows, one that is being downloaded
                path.unlink(missing_ok=True)

    async def _sweep(self) -> None:
        """Removes what ended long ago."""
        while True:
            await asyncio.sleep(min(SWEEP, self.settings.keep))
            oldest = time.monotonic() - self.settings.keep
            for job in [job for job in self.jobs.values() if job.over is not None and job.over < oldest]:
                self.remove(job)
