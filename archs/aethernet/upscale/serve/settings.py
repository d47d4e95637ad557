"""What may be chosen of a service: where it listens, what it computes with, and its limits. Each is a flag, too."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aethernet.errors import UsageError
from aethernet.flags import byte_size, flag, positive
from aethernet.upscale.serve.hosts import is_loopback

SHORTEST_TOKEN = 16
COMPUTING = "networks"
LIMITS = "limits: what goes beyond is refused in words"


def port(text: str) -> int:
    """A number of 0 to 65535."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Raises `UsageError` for what would leave the service open, or cannot work."""

    host: str = flag("address to listen at; another than this machine's own (loopback) takes a token (default: %(default)s)", "127.0.0.1", metavar="ADDRESS")  # fmt: skip
    port: int = flag("0 takes a free one (default: %(default)s)", 8765, type=port, metavar="N")
    token: str | None = flag(
        f"what clients have to know, of {SHORTEST_TOKEN} characters or more; auto makes one (default: of the environment, "
        "AETHERNET_TOKEN)", metavar="TEXT",
    )  # fmt: skip
    names: Sequence[str] = flag("by which browsers reach it, beside its addresses, as behind a proxy", (), nargs="+", metavar="NAME")  # fmt: skip

    models: Sequence[str] = flag("to choose from: names or files (default: those in the package)", (), group=COMPUTING, nargs="+", metavar="NAME|FILE")  # fmt: skip
    engine: str = flag("default: the fastest that is right here", "auto", group=COMPUTING, choices=("auto", "torch", "onnxruntime", "openvino"))  # fmt: skip
    device: str = flag("auto, cpu, cuda, cuda:1", "auto", group=COMPUTING, metavar="DEVICE")
    precision: str = flag("of networks in PyTorch", "auto", group=COMPUTING, choices=("auto", "fp32", "fp16", "bf16"))
    threads: int | None = flag("of the processor (default: all)", group=COMPUTING, type=positive, metavar="N")
    memory: int | None = flag("of main memory that the computing process is to stay within, such as 4G (default: half of what is free)", group=COMPUTING, type=byte_size, metavar="SIZE")  # fmt: skip

    max_bytes: int = flag("of an upload (default: 64M)", 64 * 2**20, group=LIMITS, type=byte_size, metavar="SIZE")
    max_pixels: int = flag("of a picture, all frames of an animation together (default: %(default)s)", 25_000_000, group=LIMITS, type=positive, metavar="N")  # fmt: skip
    max_seconds: int = flag("that computing a picture may take (default: %(default)s)", 900, group=LIMITS, type=positive, metavar="N")  # fmt: skip
    queue: int = flag("pictures that may wait or be computed at once (default: %(default)s)", 256, group=LIMITS, type=positive, metavar="N")  # fmt: skip
    queue_per_client: int = flag("the same, of one client (default: %(default)s)", 64, group=LIMITS, type=positive, metavar="N")  # fmt: skip
    keep: int = flag("seconds that a result can be fetched (default: %(default)s)", 1800, group=LIMITS, type=positive, metavar="N")  # fmt: skip
    disk: int = flag("of pictures and results together in the temporary folder (default: 8G)", 8 * 2**30, group=LIMITS, type=byte_size, metavar="SIZE")  # fmt: skip

    def __post_init__(self) -> None:
        if self.token is not None and (
            len(self.token) < SHORTEST_TOKEN
            or not self.token.isascii()
            or not self.token.isprintable()
            or " " in self.token
        ):
            raise UsageError(
                f"a token has {SHORTEST_TOKEN} printable ASCII characters or more, and no spaces; --token auto makes one"
            )
        if self.token is None and not is_loopback(self.host):
            raise UsageError(
                f"--host {self.host} can be reached from other machines: give --token auto, which makes a token that only "
                "those who know it get in with; or leave --host out"
            )

    def limits(self) -> dict[str, Any]:
        """Those that a client may want to know."""
        return {
            "bytes": self.max_bytes, "pixels": self.max_pixels, "seconds": self.max_seconds,
            "queue": self.queue_per_client, "keep": self.keep,
        }  # fmt: skip
