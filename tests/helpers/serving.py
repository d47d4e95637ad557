"""A service in this process: who computes is a thread, with the real work, or one that does as the picture's quality says."""

import contextlib
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from aethernet.upscale.serve.app import build_app
from aethernet.upscale.serve.messages import Cancel, Network, Outcome, Ready, Step, Work
from aethernet.upscale.serve.service import Service
from aethernet.upscale.serve.settings import Settings

ADDRESS = "http://localhost:8765"
DIES, HANGS, WAITS = 1, 2, 3
"""Qualities of JPEG that `scripted` takes for orders: to die, to go on for ever, to go on until it is cancelled."""


class Threaded:
    """As a process: killing it closes its end of the pipe."""

    def __init__(self, target: Callable, connection: Connection, settings: Settings) -> None:
        self.connection, self.exitcode = connection, None
        self.thread = threading.Thread(target=self._run, args=(target, settings), daemon=True)
        self.thread.start()

    def _run(self, target: Callable, settings: Settings) -> None:
        with contextlib.suppress(OSError, EOFError):
            target(self.connection, settings)
        self.exitcode = -9
        self.connection.close()

    def kill(self) -> None:
        self.exitcode = -9
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.connection.fileno())) as pipe:
            pipe.shutdown(socket.SHUT_RDWR)

    def join(self, timeout: float | None = None) -> None:
        pass


def threaded(target: Callable) -> Callable:
    """For the argument `launch` of a service."""

    def launch(settings: Settings, folder: str):
        ours, theirs = Pipe()
        return ours, Threaded(target, theirs, settings)

    return launch


def scripted(connection: Connection, settings: Settings) -> None:
    """Gives the source as its result, unless the quality says otherwise."""
    connection.send(Ready((Network("net_x2", 2), Network("net_x4", 4))))
    while True:
        work = connection.recv()
        if not isinstance(work, Work):
            continue
        connection.send(Step(work.id, 1, 4, "windows", "net_x2"))
        if work.quality == DIES:
            return
        if work.quality == HANGS:
            time.sleep(600)
        if work.quality == WAITS:
            while not isinstance(connection.recv(), Cancel):
                pass
            connection.send(Outcome(work.id, "cancelled"))
            continue
        done(work, connection)


def done(work: Work, connection: Connection) -> None:
    """Gives the source as the result."""
    content = Path(work.source).read_bytes()
    Path(work.target).write_bytes(content)
    connection.send(Outcome(work.id, "done", 200, "", "net_x2", "png", 8, 6, len(content), ("a note",)))


def picture(size: tuple[int, int] = (19, 13), kind: str = "PNG", seed: int = 0) -> bytes:
    """A file of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


@contextlib.contextmanager
def serving(target: Callable = scripted, **settings) -> Iterator[TestClient]:
    """A client of a service of its own; `client.service` is that."""
    service = Service(Settings(**settings), threaded(target))
    with TestClient(build_app(service), base_url=ADDRESS, client=("127.0.0.1", 50000)) as client:
        client.service = service
        yield client


def wait(client: TestClient, id: str, *states: str) -> dict:
    """The record of a job once it is in one of these states, by default once it is over."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        record = client.get(f"/api/jobs/{id}").json()
        if record["state"] in (states or ("done", "failed", "cancelled")):
            return record
        time.sleep(0.02)
    raise AssertionError(record)


@contextlib.contextmanager
def listening(target: Callable = scripted, *, http: Any = "auto", **settings) -> Iterator[tuple[str, Service]]:
    """A service that browsers and other processes reach; gives its address."""
    service = Service(Settings(**settings), threaded(target))
    with socket.create_server(("127.0.0.1", 0), backlog=256) as place:
        config = uvicorn.Config(
            build_app(service), log_config=None, access_log=False, ws="none", http=http, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([place],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{place.getsockname()[1]}", service
        finally:
            server.should_exit = True
            thread.join(30)
