"""The body of a request as a file: streamed, bounded in bytes and in time."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from aethernet.upscale.serve.jobs import Refusal

PATIENCE = 30.0
"""Seconds that a client may say nothing in the middle of an upload."""
LONGEST = 900.0
"""Seconds that an upload may take."""
AROUND = 2**16
"""Bytes that a form may hold beside its picture."""
AT_ONCE = 2**18
"""Bytes that are gathered before they are written."""
RAW = "application/octet-stream"
NAME = "name"


class Form(MultiPartParser):
    spool_max_size = 2**16


@dataclass(frozen=True)
class Upload:
    """What came with a picture: its name, as the client gave it, and the fields of the form or of the address."""

    name: str | None
    fields: dict[str, str]


class Body:
    """The body of a request that is allowed so many bytes."""

    def __init__(self, request: Request, most: int) -> None:
        self.request, self.most, self.has_ended = request, most, False

    def too_large(self) -> Refusal:
        return Refusal(413, f"the upload has more than the {self.most / 2**20:,.0f} MB that are allowed")

    async def stream(self, more: int = 0) -> AsyncGenerator[bytes, None]:
        """Its parts; raises `Refusal` (413, 408) and `ClientDisconnect`."""
        declared = self.request.headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared) > self.most + more:
            raise self.too_large()
        loop = asyncio.get_running_loop()
        end, count = loop.time() + LONGEST, 0
        while not self.has_ended:
            part = await self._part(min(PATIENCE, max(0.0, end - loop.time())))
            count += len(part)
            if count > self.most + more:
                raise self.too_large()
            if part:
                yield part

    async def drain(self) -> None:
        """Reads on, without end for nobody."""
        left = self.most
        try:
            while not self.has_ended and left > 0:
                left -= len(await self._part(PATIENCE / 3))
        except (Refusal, ClientDisconnect):
            pass

    async def _part(self, patience: float) -> bytes:
        try:
            message = await asyncio.wait_for(self.request.receive(), patience)
        except asyncio.TimeoutError:
            raise Refusal(408, "the upload took too long") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.has_ended = not message.get("more_body", False)
        return message.get("body", b"")


async def receive(body: Body, path: Path) -> Upload:
    """Writes the picture of a request to a file: a form with one file in it, or the body itself.

    Raises:
        Refusal: 413 too many bytes, 415 another kind of body, 422 no picture in it, 400 a broken form, 408 too slow.
        ClientDisconnect: the client is gone.
    """
    request = body.request
    kind = request.headers.get("content-type", RAW).partition(";")[0].strip().lower()
    fields: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        _put(fields, name, value)
    if kind == "multipart/form-data":
        return await _form(body, path, fields)
    if kind != RAW and not kind.startswith("image/"):
        raise Refusal(415, f"{kind} is no upload of a picture: send a form (multipart/form-data) with a file, or the file itself as image/*")  # fmt: skip
    size = 0
    with open(path, "wb") as file:
        gathered = bytearray()
        async for part in body.stream():
            gathered += part
            if len(gathered) >= AT_ONCE:
                size += await asyncio.to_thread(file.write, gathered)
                gathered = bytearray()
        size += file.write(gathered)
    if not size:
        raise Refusal(422, "there is no picture in the request: its body is empty")
    return Upload(fields.pop(NAME, None), fields)


def _put(fields: dict[str, str], name: str, value: str) -> None:
    """Raises `Refusal` (422) for a field that is there with another value."""
    if fields.setdefault(name, value) != value:
        raise Refusal(422, f"{name} is given twice, as {fields[name]!r} and as {value!r}: give it once")


async def _form(body: Body, path: Path, fields: dict[str, str]) -> Upload:
    try:
        form = await Form(
            body.request.headers, body.stream(AROUND), max_files=1, max_fields=8, max_part_size=1024
        ).parse()  # fmt: skip
    except (MultiPartException, FormParserError) as error:  # of which later versions of Starlette make the first
        raise Refusal(400, f"the form cannot be read: {getattr(error, 'message', error)}") from error
    try:
        name = None
        size = 0
        for key, value in form.multi_items():
            if isinstance(value, UploadFile):
                name, size = value.filename, value.size or 0
                if size > body.most:
                    raise body.too_large()
                with open(path, "wb") as file:
                    await asyncio.to_thread(shutil.copyfileobj, value.file, file, AT_ONCE)
            else:
                _put(fields, key, value)
    finally:
        await form.close()
    if not size:
        raise Refusal(422, "there is no picture in the form: send it as a file, as in curl -F file=@photo.jpg")
    return Upload(fields.pop(NAME, None) or name, fields)
