"""The routes: the page, and the interface that the page uses as well."""

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from aethernet.errors import AetherError
from aethernet.upscale.serve.admission import FORMAT_NAMES, read_admitted, wish_of
from aethernet.upscale.serve.archive import zipped
from aethernet.upscale.serve.hosts import is_loopback
from aethernet.upscale.serve.jobs import Job, Refusal, download_name
from aethernet.upscale.serve.security import TOKEN_COOKIE, Guard, Tokens, cookie_of, own_name, refused
from aethernet.upscale.serve.service import ENDS, Service
from aethernet.upscale.serve.uploads import Body, receive
from aethernet.version import __version__
from aethernet.wording import how_many

PAGE = Path(__file__).with_name("page")
FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js", "/icon.svg": "icon.svg"}
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
SESSION = "aethernet_session"
SESSION_TEXT = re.compile(r"[\w-]{22,64}")
HEADERS_AT_ONCE = 2
"""Of pictures, which threads read."""
LONGEST_HEADER = 30.0
"""Seconds that reading one may take."""
POLL = 0.5
"""Seconds between two looks whether a client that waits is still there."""
WRONG_RANGES = {
    400: "the Range header is not of the form bytes=0-999",
    416: "the result has no such range: its length is in Content-Range",
}
MOST_ZIPPED = 250
"""Each is an open file."""


def build_app(service: Service) -> Guard:
    """The application; its life is the service's."""

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        try:
            await service.start()
        except AetherError as error:
            service.problem = error
            raise
        try:
            yield
        finally:
            await service.stop()

    tokens = Tokens(service.settings.token)
    page = {path: (PAGE / name).read_bytes() for path, name in FILES.items()}
    web = Web(service, tokens, page)
    routes = [
        *(Route(path, web.static, methods=["GET"]) for path in FILES),
        Route("/api", web.about, methods=["GET"]),
        Route("/api/session", web.enter, methods=["POST"]),
        Route("/api/upscale", web.upscale, methods=["POST"]),
        Route("/api/jobs", web.create, methods=["POST"]),
        Route("/api/jobs", web.list, methods=["GET"]),
        Route("/api/jobs/{id}", web.show, methods=["GET"]),
        Route("/api/jobs/{id}", web.remove, methods=["DELETE"]),
        Route("/api/jobs/{id}/result", web.result, methods=["GET"]),
        Route("/api/zip", web.archive, methods=["GET"]),
    ]
    handlers = {Refusal: _refusal, HTTPException: _http_error, ClientDisconnect: _gone, Exception: _fault}
    return Guard(Starlette(routes=routes, lifespan=life, exception_handlers=handlers), service.settings, tokens)


class Result(FileResponse):
    """A file; a range of it that cannot be given is refused in the form of all refusals."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: Response | None = None

        async def told(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start" and message["status"] in WRONG_RANGES:
                known = Headers(raw=message["headers"]).get("content-range")
                refusal = JSONResponse(
                    {"error": WRONG_RANGES[message["status"]]},
                    message["status"],
                    {"content-range": known} if known else None,
                )
            elif refusal is not None:
                await refusal(scope, receive, send)
            else:
                await send(message)

        await super().__call__(scope, receive, told)


class Once(Response):
    """An answer after which something is done, also where who asked hangs up in its middle."""

    def __init__(self, answer: Response, then: Callable[[], None]) -> None:
        self.answer, self.then = answer, then
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.answer(scope, receive, send)
        finally:
            self.then()


class Early(Response):
    """An answer to who has not sent all yet, which is read on behind it: who sends before it listens sees the answer, not a
    broken line."""

    def __init__(self, answer: Response, body: Body) -> None:
        self.answer, self.body_of_request = answer, body
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_unfinished(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await self.answer(scope, receive, send_unfinished)
        await self.body_of_request.drain()
        await send({"type": "http.response.body", "body": b""})


class Web:
    """The endpoints."""

    def __init__(self, service: Service, tokens: Tokens, page: dict[str, bytes]) -> None:
        self.service, self.tokens, self.page = service, tokens, page
        self._reading = asyncio.Semaphore(HEADERS_AT_ONCE)

    async def static(self, request: Request) -> Response:
        name = FILES[request.url.path]
        kind = TYPES[name.rpartition(".")[2]]
        response = Response(self.page[request.url.path], media_type=kind, headers={"cache-control": "no-cache"})
        if name == "index.html" and session_of(request) is None:
            name = own_name(request, SESSION)
            response.set_cookie(name, secrets.token_urlsafe(24), httponly=True, samesite="strict")
        return response

    async def about(self, request: Request) -> Response:
        service = self.service
        return JSONResponse(
            {
                "version": __version__,
                "networks": [asdict(network) for network in service.networks],
                "formats": FORMAT_NAMES,
                "limits": service.settings.limits(),
            }
        )

    async def enter(self, request: Request) -> Response:
        """Who comes here has shown the token: a browser keeps a cookie instead of it."""
        response = Response(status_code=204)
        if self.tokens.token is not None:
            name = own_name(request, TOKEN_COOKIE)
            response.set_cookie(name, self.tokens.cookie(), httponly=True, samesite="strict")
        return response

    async def upscale(self, request: Request) -> Response:
        """A picture in, a picture out."""
        job = await self._accepted(request)
        try:
            while not job.ended.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(job.ended.wait(), POLL)
                if not job.ended.is_set() and await request.is_disconnected():
                    raise ClientDisconnect
                if not job.ended.is_set() and self.service.is_ending:
                    raise Refusal(503, ENDS)
            return Once(self._file(job), lambda: self.service.remove(job))
        except BaseException:
            self.service.remove(job)
            raise

    async def create(self, request: Request) -> Response:
        job = await self._accepted(request)
        return JSONResponse(self.service.record(job), 201, {"location": f"/api/jobs/{job.id}"})

    async def list(self, request: Request) -> Response:
        return JSONResponse(
            {"jobs": [self.service.record(job) for job in self.service.of_session(session_of(request))]}
        )

    async def show(self, request: Request) -> Response:
        return JSONResponse(self.service.record(self._job(request)))

    async def remove(self, request: Request) -> Response:
        self.service.remove(self._job(request))
        return Response(status_code=204)

    async def result(self, request: Request) -> Response:
        return self._file(self._job(request))

    async def archive(self, request: Request) -> Response:
        """Those of the jobs that are named, or all of this browser that are done."""
        ids = request.query_params.getlist("job")
        jobs = [self.service.find(id) for id in ids] or self.service.of_session(session_of(request))
        done = [job for job in jobs if job.state == "done"]
        if not done:
            raise Refusal(404, "none of these pictures is done")
        if len(done) > MOST_ZIPPED:
            raise Refusal(
                422,
                f"{how_many(len(done), 'picture')} are done, and {MOST_ZIPPED} go into one file: name some by ?job=ID&job=ID",
            )
        files = [(job.result_name, job.target.open("rb")) for job in done]
        headers = {"content-disposition": 'attachment; filename="upscaled.zip"'}
        return StreamingResponse(zipped(files), media_type="application/zip", headers=headers)

    def _job(self, request: Request) -> Job:
        return self.service.find(request.path_params["id"])

    def _file(self, job: Job) -> Response:
        if job.state in ("waiting", "running"):
            raise Refusal(409, f"it is not done: {job.state}", retry=1)
        if job.state != "done" or job.outcome is None:
            status, text = (job.outcome.status, job.outcome.text) if job.state == "failed" and job.outcome else (410, "it was cancelled")  # fmt: skip
            raise Refusal(status, text)
        headers = {"x-network": quote(job.outcome.network), "content-security-policy": "default-src 'none'; sandbox"}
        return Result(job.target, headers=headers, media_type=job.media_type, filename=job.result_name)

    async def _accepted(self, request: Request) -> Job:
        """The job of a picture that was uploaded; what is refused leaves nothing behind."""
        body = request.state.body = Body(request, self.service.settings.max_bytes)
        client, session = client_of(request), session_of(request)
        try:
            with self.service.place(client) as path:
                upload = await receive(body, path)
                wish = wish_of(upload.fields, self.service.networks)
                async with self._reading:
                    reading = asyncio.to_thread(read_admitted, path, self.service.settings.max_pixels)
                    try:
                        header = await asyncio.wait_for(reading, LONGEST_HEADER)
                    except asyncio.TimeoutError:
                        raise Refusal(422, "its header cannot be read in a reasonable time") from None
                return self.service.add(client, session, download_name(upload.name), wish, path, header)
        except OSError as error:
            raise Refusal(503, f"the picture cannot be kept here: {error.strerror or error}", retry=60) from error


def session_of(request: Request) -> str | None:
    """The browser that a page was given to."""
    text = cookie_of(request, SESSION)
    return text if SESSION_TEXT.fullmatch(text) else None


def client_of(request: Request) -> str:
    """Who takes turns with others: a machine, or on this one a browser."""
    address = request.client.host if request.client else ""
    session = session_of(request)
    if session is not None and (not address or is_loopback(address)):
        return f"session {session}"
    return f"address {address}"


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    body = getattr(request.state, "body", None)
    return refused(error) if body is None else Early(refused(error), body)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: "there is nothing at this address", 405: f"{request.method} is not for this address"}
    return JSONResponse({"error": texts.get(error.status_code, error.detail)}, error.status_code, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    return refused(Refusal(400, "the client hung up"))  # which nobody hears


async def _fault(request: Request, error: Exception) -> Response:
    return refused(Refusal(500, "the service failed: its log says why"))
