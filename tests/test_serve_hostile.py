"""Hostile uploads to `aethernet serve`: a picture or a reason in words, whatever comes; the next sound one is enlarged."""

import contextlib
import functools
import io
import socket
import warnings

import numpy as np
import pytest
from helpers import picture_files as make
from helpers.upscaling import write_network
from test_hostile_pictures import huge, sound_files

pytest.importorskip("uvicorn", reason="the extra web is not installed")
pytest.importorskip("httpx", reason="the client of the tests is not installed")

import httpx
from helpers.serving import listening, picture
from PIL import Image

from aethernet.upscale.serve import worker

UPLOADS = 100
ANSWERS = {200, 400, 413, 415, 422}
KINDS = ("png", "png16", "jpeg", "gif", "bmp", "ppm", "tiff16")
NAMES = ("../../etc/passwd", "a\r\nSet-Cookie: x=y", "\x00", "x" * 3000, "\u202e.png", "", "con", "a/b\\c.png", "'; rm -rf /", "%00.png")  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    model = write_network(tmp_path_factory.mktemp("model") / "net.safetensors")
    with listening(worker.work, models=[str(model)], engine="torch", max_bytes=2**18, max_pixels=10_000) as found:
        yield found


@functools.cache
def bomb() -> bytes:
    """8,000 x 8,000 black pixels in some kilobytes."""
    file = io.BytesIO()
    Image.new("1", (8000, 8000)).save(file, "PNG")
    return file.getvalue()


def hostile(seed: int, sound: list[bytes]) -> tuple[bytes, dict]:
    """A body and the other arguments of a request."""
    generator = np.random.default_rng(seed)
    name = NAMES[seed % len(NAMES)]
    kind = seed % 10
    if kind < 4:
        return make.damaged(seed, sound), {"params": {"name": name}}
    if kind == 4:
        return huge(KINDS[seed // 10 % len(KINDS)], 60_000, 60_000), {"params": {"name": name}}
    if kind == 5:
        return generator.bytes(int(generator.integers(1, 5000))), {"params": {"name": name}}
    if kind == 6:
        return bomb(), {"params": {"name": name}}
    if kind == 7:
        return b"x" * (2**18 + int(generator.integers(0, 3)) - 1), {"params": {"name": name}}
    whole = httpx.Request(
        "POST", "http://x", files={"file": (name.replace("\x00", "0"), sound[0])}, data={"scale": "2"}
    )
    whole.read()
    form, head = bytearray(whole.content), {"content-type": whole.headers["content-type"]}
    if kind == 8:  # a form that is cut off, or of which bytes were changed
        for place in generator.integers(0, min(400, len(form)), 5):
            form[place] = generator.integers(0, 256)
        return bytes(form), {"headers": head}
    return bytes(form[: generator.integers(1, len(form))]), {"headers": head}


@pytest.mark.parametrize("count", [30, pytest.param(UPLOADS, marks=pytest.mark.slow)])
def test_hostile_uploads(service, count):
    address, running = service
    sound = list(sound_files())
    statuses = []
    with httpx.Client(base_url=address, timeout=60) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged files
        for seed in range(count):
            body, how = hostile(seed, sound)
            head = {"content-type": "image/png"} | how.pop("headers", {})
            answer = client.post("/api/upscale", content=body, headers=head, **how)
            assert answer.status_code in ANSWERS, (seed, answer.text)
            statuses.append(answer.status_code)
            if answer.status_code != 200:
                text = answer.json()["error"]
                assert text.strip() and "\n" not in text and len(text) < 500, (seed, text)
                assert str(running.folder) not in text
            assert "set-cookie" not in answer.headers
        assert sum(status != 200 for status in statuses) > count / 2  # some damage is not to be seen
        assert client.post("/api/upscale", content=picture(), headers={"content-type": "image/png"}).status_code == 200
    assert list(running.folder.iterdir()) == [] and running.jobs == {}


def test_a_bomb_is_refused_by_its_header(service, monkeypatch):
    """Nothing is decoded for it."""
    monkeypatch.setattr("aethernet.upscale.upscaler.Upscaler.read", None)
    for data in (bomb(), *(huge(kind, 60_000, 60_000) for kind in KINDS)):
        answer = httpx.post(f"{service[0]}/api/upscale", content=data, headers={"content-type": "image/png"})
        assert answer.status_code == 422 and "more than the 10,000" in answer.json()["error"], answer.text


REQUESTS = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /api/upscale HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: -5\r\n\r\nx",
    b"POST /api/upscale HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\nx",
    b"POST /api/upscale HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/upscale HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nContent-Length: 1\r\n\r\nx",
    b"POST /api/upscale HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\nContent-Length: 1\r\n\r\nx",
    b"GET /api HTTP/1.1\r\nHost: localhost\r\nCookie: aethernet_session=" + b"\xff" * 40 + b"\r\n\r\n",
    b"GET /api HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    b"GET http://evil.example/api HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /api HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)


def test_what_is_no_sound_request(service):
    """Nobody gets more than a refusal, and the service goes on."""
    address, running = service
    port = int(address.rpartition(":")[2])
    random = [np.random.default_rng(seed).bytes(500) for seed in range(10)]
    for request in (*REQUESTS, *random):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            answer = b""
            with contextlib.suppress(OSError):  # the service may have closed before all is sent
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    answer += part
        assert answer == b"" or answer.split()[1] in (b"200", b"400", b"404", b"405", b"413", b"415", b"421", b"431"), (
            answer
        )
        assert b"evil" not in request or b" 200 " not in answer.split(b"\r\n")[0] + b" ", request
    assert httpx.get(f"{address}/api").status_code == 200
    assert not running.jobs and list(running.folder.iterdir()) == []
