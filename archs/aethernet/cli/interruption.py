"""Commands that are ended from outside."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def ended_like_interrupted() -> Iterator[None]:
    """A polite kill (SIGTERM) inside the block cleans up as Ctrl-C does."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
