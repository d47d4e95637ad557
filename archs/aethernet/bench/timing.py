"""Paired timing: callables take turns, so that a machine that slows down slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aethernet.errors import UsageError
from aethernet.progress import Progress
from aethernet.threads import fixed_threads
from aethernet.wording import how_many

Stopwatch = Callable[[Callable[[], object]], float]
"""Runs a callable once and returns the seconds it took."""


@dataclass(frozen=True)
class Timing:
    """One callable's times in milliseconds over all rounds.

    `ratio` is its time over that of the first callable, as the median of the rounds' own ratios: 2.0 is twice as slow.
    """

    median_ms: float
    p10_ms: float
    p90_ms: float
    ratio: float
    rounds: int


def cpu_stopwatch(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def cuda_stopwatch(run: Callable[[], object]) -> float:
    """Times by events on the current stream, which leaves out the launch of the first kernel from an idle host."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000


def time_in_turn(
    runs: Sequence[Callable[[], object]],
    *,
    stopwatches: Sequence[Stopwatch] | None = None,
    rounds: int = 10,
    warmup: int = 2,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Timing]:
    """Times callables in turn: in every round each runs once, and each round starts with the next one.

    Args:
        runs: the first one is what the others are compared with.
        stopwatches: one for each; by default the CPU's for all.
        rounds: measured runs of each.
        warmup: runs of each beforehand that do not count.
        threads: PyTorch's threads meanwhile; None leaves them. Other engines are given theirs when they are built.

    Raises:
        UsageError: nothing to time, or less than one round.
    """
    if not runs or rounds < 1 or warmup < 0:
        raise UsageError(
            f"{how_many(len(runs), 'callable')}, {how_many(rounds, 'round')}, {how_many(warmup, 'warm-up run')}: at least one callable and one round are "
            "needed"
        )
    clocks = stopwatches or [cpu_stopwatch] * len(runs)
    seconds = np.zeros((rounds, len(runs)))
    with fixed_threads(threads):
        for round_number in range(-warmup, rounds):
            for position in range(len(runs)):
                index = (round_number + position) % len(runs)
                elapsed = clocks[index](runs[index])
                if round_number >= 0:
                    seconds[round_number, index] = elapsed
            if progress is not None:
                progress(round_number + warmup + 1, rounds + warmup, "warm-up" if round_number < 0 else "rounds")
    return [_timing(own, seconds[:, 0]) for own in seconds.T]


def _timing(seconds: np.ndarray, first: np.ndarray) -> Timing:
    p10, median, p90 = np.percentile(seconds * 1000, [10, 50, 90]).tolist()
    ratio = statistics.median((seconds / first).tolist())
    return Timing(median, p10, p90, ratio, rounds=len(seconds))
