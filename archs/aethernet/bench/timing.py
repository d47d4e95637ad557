"""Paired timing: candidates take turns, so that a machine that slows down slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aethernet.errors import UsageError
from aethernet.progress import Progress
from aethernet.threads import fixed_threads

Stopwatch = Callable[[Callable[[], object]], float]
"""Runs a callable once and returns the seconds it took."""


@dataclass(frozen=True)
class Timing:
    """One candidate's times in milliseconds over all rounds.

    `ratio` is its time over that of the first candidate, as the median of the rounds' own ratios: 2.0 is twice as slow.
    """

    name: str
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


@dataclass(frozen=True)
class Candidate:
    """Something to time: its name in the table, the callable, and the clock that fits where it runs."""

    name: str
    run: Callable[[], object]
    stopwatch: Stopwatch = cpu_stopwatch


def time_candidates(
    candidates: Sequence[Candidate],
    *,
    rounds: int = 10,
    warmup: int = 2,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Timing]:
    """Times callables in turn: in every round each runs once, and each round starts with the next one.

    Args:
        candidates: the first one is what the others are compared with.
        rounds: measured runs of each.
        warmup: runs of each beforehand that do not count.
        threads: PyTorch's threads meanwhile; None leaves them. Other engines are given theirs when they are built.

    Raises:
        UsageError: no candidate, or less than one round.
    """
    if not candidates or rounds < 1 or warmup < 0:
        raise UsageError(
            f"{len(candidates)} candidates, {rounds} rounds, {warmup} warm-up runs: at least one candidate and one "
            "round are needed"
        )
    seconds = np.zeros((rounds, len(candidates)))
    with fixed_threads(threads):
        for round_number in range(-warmup, rounds):
            for position in range(len(candidates)):
                index = (round_number + position) % len(candidates)
                elapsed = candidates[index].stopwatch(candidates[index].run)
                if round_number >= 0:
                    seconds[round_number, index] = elapsed
            if progress is not None:
                progress(round_number + warmup + 1, rounds + warmup, "warm-up" if round_number < 0 else "rounds")
    return [_timing(candidate.name, seconds[:, i], seconds[:, 0]) for i, candidate in enumerate(candidates)]


def _timing(name: str, seconds: np.ndarray, first: np.ndarray) -> Timing:
    p10, median, p90 = np.percentile(seconds * 1000, [10, 50, 90]).tolist()
    ratio = statistics.median((seconds / first).tolist())
    return Timing(name, median, p10, p90, ratio, rounds=len(seconds))
