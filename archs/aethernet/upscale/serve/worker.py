"""The process that computes: one picture at a time, told by messages over a pipe."""

import contextlib
import os
import shutil
import signal
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from aethernet.errors import AetherError, EngineOutOfMemory, OutputError
from aethernet.upscale.serve.messages import Cancel, Outcome, Ready, Step, Work
from aethernet.upscale.serve.settings import Settings
from aethernet.wording import how_many

if TYPE_CHECKING:
    from aethernet.upscale.serve.networks import Networks

BETWEEN_STEPS = 0.1
"""Seconds between two messages of progress, at least."""


class Stopped(BaseException):
    """Raised between windows where the client has cancelled: no handler of errors is to take it for one."""


class TooLong(BaseException):
    """Raised between windows where the time is over."""


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
        while True:
            task = connection.recv()
            if isinstance(task, Work):  # a cancelling of what is done already is late
                connection.send(outcome_of(task, networks, connection))
    return True


def outcome_of(task: Work, networks: "Networks", connection: Connection) -> Outcome:
    """Computes, and raises for nothing but the pipe."""
    from aethernet.upscale.pipeline import problem_of

    try:
        return _enlarged(task, networks, connection)
    except Stopped:
        return Outcome(task.id, "cancelled")
    except TooLong:
        text = f"it took longer than the {how_many(round(task.seconds), 'second')} allowed: give a smaller picture or a faster network"
        return Outcome(task.id, "failed", 422, text)
    except (EngineOutOfMemory, MemoryError) as error:
        return Outcome(task.id, "failed", 503, _named(problem_of(error), task))
    except BrokenPipeError:
        raise
    except Exception as error:
        status = 422 if isinstance(error, AetherError) and not isinstance(error, OutputError) else 500
        return Outcome(task.id, "failed", status, _named(problem_of(error), task))


def _enlarged(task: Work, networks: "Networks", connection: Connection) -> Outcome:
    from aethernet.data.picture.decoding import check_size
    from aethernet.data.picture.formats import unused_quality
    from aethernet.data.picture.header import read_header
    from aethernet.upscale.upscaler import Saving

    source, target = Path(task.source), Path(task.target)
    deadline, said = time.monotonic() + task.seconds, 0.0
    upscaler = networks.upscaler(task.network, task.scale, read_header(source))
    label = upscaler.model.label

    def step(done: int, total: int, what: str) -> None:
        nonlocal said
        while connection.poll():
            message = connection.recv()
            if isinstance(message, Cancel) and message.id == task.id:
                raise Stopped
        now = time.monotonic()
        if now > deadline and done < total:
            raise TooLong
        if now - said >= BETWEEN_STEPS or done == total:
            said = now
            connection.send(Step(task.id, done, total, what, label))

    connection.send(Step(task.id, 0, 1, "reading", label))
    opened = upscaler.read(source)
    check_size(opened.size[0] * getattr(opened, "frames", 1), opened.size[1], task.pixels)  # headers may lie
    saving = Saving(task.format, task.quality, task.depth)
    output = upscaler.output(opened, saving)
    step(0, 1, "computing")
    notes = [*getattr(opened, "notices", ()), output.notice, unused_quality(task.quality, output.format)]
    saving = replace(saving, format=output.format, depth=output.depth)
    notes += upscaler.save(upscaler.enlarged(opened, step), opened, target, saving)
    notes += upscaler.report.notes
    width, height = (side * upscaler.scale for side in opened.size)
    return Outcome(
        task.id, "done", network=label, format=output.format, width=width, height=height, bytes=os.path.getsize(target),
        notes=tuple(dict.fromkeys(_named(note, task) for note in notes if note)),
    )  # fmt: skip


def _named(text: str, task: Work) -> str:
    """Without the paths of the service, which are nobody's business."""
    return text.replace(task.source, "the picture").replace(task.target, "the result")
