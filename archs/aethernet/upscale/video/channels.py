"""Three threads that work on a film at the same time: one decodes, the network enlarges, one encodes."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

AHEAD = 1
"""Frames that wait between two threads, beside the one that each is at."""
POLL = 0.1


class Stopped(Exception):
    """Another thread has failed, or the caller breaks off."""


class Channel:
    """From one thread to the next; both leave it when work is stopped."""

    def __init__(self, stop: threading.Event, size: int = AHEAD) -> None:
        self._items: queue.Queue[Any] = queue.Queue(size)
        self._stop = stop

    def put(self, item: Any) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                return self._items.put(item, timeout=POLL)
        raise Stopped

    def __iter__(self) -> Iterator[Any]:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                if (item := self._items.get(timeout=POLL)) is None:
                    return
                yield item
                del item
        raise Stopped


def overlap(
    stop: threading.Event,
    decode: Callable[[], None],
    network: Callable[[], None],
    encode: Callable[[], None],
    *,
    leave_source: bool = False,
) -> None:
    """Runs the network in this thread and the others beside it. Raises what any of them raises, after all have ended.

    Args:
        stop: of the channels between them.
        leave_source: a failure does not wait for the decoder, which may stand at a pipe that gives nothing.
    """
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            pass
        except BaseException as error:
            errors.append(error)
            stop.set()

    decoder, encoder = (
        threading.Thread(target=guarded, args=(work,), name=name, daemon=True)
        for work, name in ((decode, "decode"), (encode, "encode"))
    )
    decoder.start()
    encoder.start()
    try:
        with contextlib.suppress(Stopped):
            network()
    except BaseException:
        stop.set()
        raise
    finally:
        encoder.join()
        if not leave_source:
            decoder.join()
    if errors:
        raise errors[0]
    decoder.join()
