"""Frames through the network, several at the same time where that is faster, in their order."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from queue import SimpleQueue
from typing import Any

import numpy as np

from aethernet.upscale.upscaler import Upscaler
from aethernet.upscale.video.decode import Sampled
from aethernet.upscale.video.resize import resized


@dataclass(frozen=True)
class Decoded:
    """A frame with its time or number, and as (C, H, W) float32 RGB or grey."""

    time: int
    frame: Sampled
    rgb: np.ndarray


@dataclass(frozen=True)
class Enlarged:
    """What became of it: (C, H, W) float32, not to be changed, for the next frame may be the same."""

    time: int
    rgb: np.ndarray


@dataclass
class Tally:
    """What was done so far.

    Attributes:
        frames: encoded in whole or begun segments.
        duplicates: of these, those that were equal to the frame before them and not computed again.
        damaged: packets that could not be decoded.
    """

    frames: int = 0
    duplicates: int = 0
    damaged: int = 0


class Enlarger:
    """Frames through the network, to the size of the result; one that equals the one before it gets the same result.

    Args:
        size: width and height of results.
    """

    def __init__(self, upscaler: Upscaler, size: tuple[int, int], tally: Tally) -> None:
        self._upscaler, self._size, self._tally = upscaler, size, tally

    def through(self, items: Iterable[Any]) -> Iterator[Any]:
        """For each `Decoded` an `Enlarged`, and anything else as it is, in the order in which they come."""
        rest = iter(items)
        for item in rest:
            if isinstance(item, Decoded):
                upscalers = self._upscaler.abreast(item.rgb.shape[1] * item.rgb.shape[2])
                rest = chain([item], rest)
                del item
                yield from self._one_by_one(rest) if len(upscalers) == 1 else self._abreast(rest, upscalers)
                return
            yield item

    def _one_by_one(self, items: Iterable[Any]) -> Iterator[Any]:
        former, result = None, None
        for item in items:
            if not isinstance(item, Decoded):
                yield item
                continue
            if result is not None and item.frame.equals(former):
                self._tally.duplicates += 1
            else:
                result = self._enlarged(self._upscaler, item.rgb)
            former = item.frame
            yield Enlarged(item.time, result)
            del item

    def _abreast(self, items: Iterable[Any], upscalers: Sequence[Upscaler]) -> Iterator[Any]:
        """One frame more is taken from `items` than are worked on, so that nobody waits for the next."""
        free: SimpleQueue[Upscaler] = SimpleQueue()
        for upscaler in upscalers:
            free.put(upscaler)

        def work(rgb: np.ndarray) -> np.ndarray:
            upscaler = free.get()
            try:
                return self._enlarged(upscaler, rgb)
            finally:
                free.put(upscaler)

        former: Sampled | None = None
        result: Future[np.ndarray] | None = None
        waiting: deque[tuple[int, Future[np.ndarray]] | Any] = deque()
        pool, begun = ThreadPoolExecutor(len(upscalers), "network"), 0
        try:
            for item in items:
                if isinstance(item, Decoded):
                    if result is not None and item.frame.equals(former):
                        self._tally.duplicates += 1
                    else:
                        result = pool.submit(work, item.rgb)
                    former = item.frame
                    waiting.append((item.time, result))
                    begun += 1
                else:
                    waiting.append(item)
                del item
                while waiting and (begun > len(upscalers) or not isinstance(waiting[0], tuple)):
                    begun -= isinstance(waiting[0], tuple)
                    yield _ended(waiting.popleft())
            while waiting:
                yield _ended(waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _enlarged(self, upscaler: Upscaler, rgb: np.ndarray) -> np.ndarray:
        return resized(upscaler.planes(rgb), self._size)


def _ended(item: tuple[int, Future[np.ndarray]] | Any) -> Any:
    return Enlarged(item[0], item[1].result()) if isinstance(item, tuple) else item
