"""A picture on its way through the service, and what is told of it."""

import asyncio
import re
import secrets
import time
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aethernet.data.picture.formats import FORMATS
from aethernet.data.picture.header import Header
from aethernet.upscale.serve.messages import Outcome, Step

LONGEST_NAME = 100
MEDIA_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "tiff": "image/tiff", "avif": "image/avif", "gif": "image/gif",
}  # fmt: skip


class Refusal(Exception):
    """What a client asked for and does not get: an HTTP status and the reason; `retry` says after how many seconds it may."""

    def __init__(self, status: int, text: str, retry: int | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.retry = status, text, retry


@dataclass(frozen=True)
class Wish:
    """How a picture is to be enlarged; `network` None is the best one."""

    network: str | None
    scale: int
    format: str = "same"
    quality: int | None = None
    depth: int | Literal["same"] = "same"


@dataclass(eq=False)
class Job:
    """One picture. `client` is who waits for a turn, `session` the browser that may list it, or None."""

    client: str
    session: str | None
    name: str
    wish: Wish
    source: Path
    header: Header | None
    bytes: int
    id: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    state: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    created: float = field(default_factory=time.time)
    began: float | None = None
    """As `over`, by a clock that nobody sets."""
    over: float | None = None
    lent: float = 0.0
    """Seconds that others were computed meanwhile."""
    spent: float = 0.0
    """Seconds of its own, at the last step."""
    is_alone: bool = False
    """Whether nobody is computed meanwhile any more: it was lost so once."""
    step: Step | None = None
    outcome: Outcome | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def target(self) -> Path:
        return self.source.with_suffix(".out")

    @property
    def stored(self) -> int:
        """Bytes that its files take."""
        return (self.outcome.bytes if self.outcome else 0) if self.ended.is_set() else self.bytes

    @property
    def pixels(self) -> int:
        """Of all frames."""
        return self.header.pixels if self.header else 0

    @property
    def own(self) -> float:
        """Seconds that it was computed so far."""
        return 0.0 if self.began is None else (self.over or time.monotonic()) - self.began - self.lent

    @property
    def whole(self) -> float:
        """Seconds that it takes in all, as it looks at its last step; twice those so far, where it has made none."""
        return self.spent * self.step.total / self.step.done if self.step and self.step.done else 2 * self.own

    @property
    def left(self) -> float:
        """Seconds that it will take, by the same guess."""
        return self.whole - self.spent if self.step and self.step.done else self.own

    @property
    def result_name(self) -> str:
        """For who downloads it: the source's name, the scale, and the ending of the result's format."""
        assert self.outcome is not None
        return f"{Path(self.name).stem}_x{self.wish.scale}.{self.outcome.format}"

    @property
    def media_type(self) -> str:
        assert self.outcome is not None
        return MEDIA_TYPES[self.outcome.format]

    def record(self, ahead: int | None, keep: int) -> dict[str, Any]:
        """As JSON. `ahead` are the pictures before it, `keep` the seconds that results can be fetched."""
        now = time.monotonic()
        found: dict[str, Any] = {
            "id": self.id, "name": self.name, "state": self.state, "scale": self.wish.scale,
            "network": self.wish.network or "auto", "created": round(self.created, 3),
        }  # fmt: skip
        if self.header is not None:
            found["source"] = {
                "format": self.header.format, "width": self.header.size[0], "height": self.header.size[1],
                "frames": self.header.frames, "bytes": self.bytes,
            }  # fmt: skip
        if ahead is not None:
            found["ahead"] = ahead
        if self.step is not None:
            found["network"] = self.step.network
            found["progress"] = {"done": self.step.done, "total": self.step.total, "what": self.step.what}
        if self.began is not None:
            found["seconds"] = round((self.over or now) - self.began, 1)
        if self.outcome is not None and self.state == "failed":
            found["error"], found["status"] = self.outcome.text, self.outcome.status
        if self.outcome is not None and self.state == "done":
            found["network"], found["notes"] = self.outcome.network, list(self.outcome.notes)
            found["result"] = {
                "name": self.result_name, "type": self.media_type, "format": FORMATS[self.outcome.format].name,
                "width": self.outcome.width, "height": self.outcome.height, "bytes": self.outcome.bytes,
                "url": f"/api/jobs/{self.id}/result",
            }  # fmt: skip
        if self.over is not None:
            found["kept_for"] = max(0, round(self.over + keep - now))
        return found


def download_name(name: str | None) -> str:
    """What a client called a picture as a name that is safe to give back: no path, no control characters, not hidden."""
    text = unicodedata.normalize("NFC", name or "")
    text = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    text = re.split(r"[/\\]", text)[-1]
    text = re.sub(r'[<>:"|?*]', "_", text).strip(" .")
    stem, dot, ending = text.rpartition(".")
    if not dot:
        stem, ending = text, ""
    stem, ending = stem[:LONGEST_NAME].strip(" ."), ending[:10]
    return (f"{stem}.{ending}" if ending else stem) if stem else "picture"
