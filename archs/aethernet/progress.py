"""How long work tells how far it is."""

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Protocol, TypeVar

Progress = Callable[[int, int, str], None]
"""Called after each step with the steps done, all steps, and what was done last."""


class Titled(Protocol):
    """Makes the callback of one part of the work, from the part's title and what its steps are."""

    def __call__(self, title: str, unit: str = "picture") -> Progress: ...


def silent(title: str, unit: str = "picture") -> Progress:
    """A `Titled` that tells nobody."""
    return lambda *_: None


T = TypeVar("T")


def counted(items: Iterable[T], progress: Progress | None) -> Iterator[T]:
    """The items, each told of when the next one is asked for. Where their number is unknown, it is that of those so far."""
    for done, item in enumerate(items, start=1):
        yield item
        if progress is not None:
            progress(done, len(items) if isinstance(items, Sized) else done, "")
