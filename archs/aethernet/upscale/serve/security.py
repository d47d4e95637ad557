"""Who is let in: right names, this site alone, the token; and what browsers are told to hold to."""

import hashlib
import hmac
import secrets
import socket

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aethernet.upscale.serve.hosts import LOOPBACK, address_of, cookie_name, host_of, is_loopback
from aethernet.upscale.serve.jobs import Refusal
from aethernet.upscale.serve.settings import Settings

SAFE = ("GET", "HEAD")
OPEN = ("/", "/page.css", "/page.js", "/icon.svg")
"""What holds no secrets, and asks for the token where there is one."""
TOKEN_COOKIE = "aethernet_token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


def refused(refusal: Refusal) -> Response:
    """The answer of the interface."""
    headers = {"retry-after": str(refusal.retry)} if refusal.retry else None
    return JSONResponse({"error": refusal.text}, refusal.status, headers)


def own_name(request: Request, name: str) -> str:
    """A cookie's name, which no service on another port of the same host uses."""
    return cookie_name(name, request.headers["host"])


def cookie_of(request: Request, name: str) -> str:
    return request.cookies.get(own_name(request, name), "")


class Tokens:
    """The token of a service, if it has one, and what a browser keeps in its place."""

    def __init__(self, token: str | None) -> None:
        self.token = token
        self._key = secrets.token_bytes(32)

    def admits(self, request: Request) -> bool:
        """Whether a request shows the token, or the cookie that was given for it."""
        if self.token is None:
            return True
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        by_header = kind.lower() == "bearer" and same(given.strip(), self.token)
        return by_header or same(cookie_of(request, TOKEN_COOKIE), self.cookie())

    def cookie(self) -> str:
        """Of no use to another run of the service, and nobody learns the token from it."""
        return hmac.new(self._key, (self.token or "").encode(), hashlib.sha256).hexdigest()


class Guard:
    """Around the whole app: what is not let in does not reach it."""

    def __init__(self, app: ASGIApp, settings: Settings, tokens: Tokens) -> None:
        self.app, self.settings, self.tokens = app, settings, tokens
        self._names = {name.lower().rstrip(".") for name in (*settings.names, settings.host, LOOPBACK)}
        if not is_loopback(settings.host):
            self._names.add(socket.gethostname().lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope, receive)
        try:
            self._check_host(request)
            self._check_site(request)
            if not (request.method in SAFE and request.url.path in OPEN):
                self._check_token(request)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, with_headers)
            return
        await self.app(scope, receive, with_headers)

    def _check_host(self, request: Request) -> None:
        """A name that is not ours is somebody else's, who has it point here (DNS rebinding)."""
        given = request.headers.getlist("host")
        host = host_of(given[0]) if len(given) == 1 else None
        if host is None:
            raise Refusal(400, "the request names no host")
        address = address_of(host)
        known = host.rstrip(".") in self._names
        if address is not None:  # nobody can have an address point elsewhere
            known = known or address.is_loopback or not is_loopback(self.settings.host)
        if not known:
            raise Refusal(421, f"this service is not known as {host}: --names {host} would allow it")

    def _check_site(self, request: Request) -> None:
        """Pages of other sites may lead here, and do nothing else."""
        site = request.headers.get("sec-fetch-site", "none")
        leads = (
            request.method in SAFE and request.url.path == "/" and request.headers.get("sec-fetch-mode") == "navigate"
        )
        if site not in ("same-origin", "none") and not leads:
            raise Refusal(403, "another site asks for this, which is not allowed")
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers["host"]:
            raise Refusal(403, "another site asks for this, which is not allowed")

    def _check_token(self, request: Request) -> None:
        if not self.tokens.admits(request):
            raise Refusal(401, "this service asks for its token: send it as Authorization: Bearer TOKEN")


def same(given: str, known: str) -> bool:
    """Compares in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), known.encode())
