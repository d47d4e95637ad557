"""`aethernet serve`: a page to drop pictures on, and a small HTTP interface."""

import argparse
import logging
import os
import secrets
import socket

from aethernet.errors import UsageError
from aethernet.flags import add_flags, with_options
from aethernet.upscale.serve.settings import Settings

HELP = "A page to drop pictures on, in a browser on this machine, and a small HTTP interface."
TOKEN = "AETHERNET_TOKEN"
AUTO = "auto"
CONNECTIONS = 1000
"""At once; further ones are told that the service is busy."""
FOR_REQUESTS = 5
"""Seconds that requests may go on after Ctrl-C."""


def configure(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, Settings)


def run(args: argparse.Namespace) -> int:
    """Serves until Ctrl-C, which is exit code 0."""
    from aethernet.optional import optional_package

    for name in ("starlette", "uvicorn", "python_multipart"):
        optional_package(name, "aethernet serve", "starlette uvicorn python-multipart")
    settings = settings_of(args)
    with listen(settings.host, settings.port) as listening:
        try:
            return serve(settings, listening)
        except KeyboardInterrupt:
            return 0


def serve(settings: Settings, listening: socket.socket) -> int:
    import uvicorn

    from aethernet.cli.progress import status
    from aethernet.cli.voice import print_error
    from aethernet.upscale.serve.app import build_app
    from aethernet.upscale.serve.patience import PatientProtocol
    from aethernet.upscale.serve.service import Service

    service = Service(settings)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            with status("starting the process that computes"):
                await super().startup(sockets)
            if self.started:
                logger.setLevel(logging.ERROR)
                address = address_of(settings, listening)
                print_error(f"open {address} in a browser; Ctrl-C ends it")

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            service.is_ending = True
            await super().shutdown(sockets)

    config = uvicorn.Config(
        build_app(service), log_config=None, access_log=False, server_header=False, proxy_headers=False, ws="none",
        http=PatientProtocol, lifespan="on", timeout_graceful_shutdown=FOR_REQUESTS, limit_concurrency=CONNECTIONS,
    )  # fmt: skip
    logger = logging.getLogger("uvicorn")
    logger.setLevel(logging.CRITICAL)  # it would print where the service could not start; why is told below
    try:
        Server(config).run(sockets=[listening])
    except SystemExit:  # of a start that failed
        if service.problem is None:
            raise
    if service.problem is not None:
        raise service.problem
    return 0


def settings_of(args: argparse.Namespace) -> Settings:
    token = args.token or os.environ.get(TOKEN) or None
    return with_options(Settings, args, token=secrets.token_urlsafe(24) if token == AUTO else token)


def listen(host: str, port: int) -> socket.socket:
    """Before anything is loaded, so that a port that is taken is told at once."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=256)
    except OSError as error:
        problem = error.strerror or str(error)
        raise UsageError(
            f"{host}, port {port}, cannot be listened at: {problem}: give another --port or --host"
        ) from error


def address_of(settings: Settings, listening: socket.socket) -> str:
    """What to open, with the token behind #, which browsers send to nobody."""
    host, port = listening.getsockname()[:2]
    everywhere = host in ("0.0.0.0", "::")
    name = socket.gethostname() if everywhere else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/{f'#token={settings.token}' if settings.token else ''}"
