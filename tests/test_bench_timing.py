"""Turn-taking, statistics and the conditions, with clocks that the test turns."""

import datetime
import functools
from collections.abc import Iterator

import pytest
import torch

from aethernet.bench.timing import Timing, time_in_turn
from aethernet.conditions import measurement_conditions, own_command
from aethernet.errors import UsageError
from aethernet.threads import fixed_threads


def time_scripted(seconds: dict[str, list[float]], **options) -> tuple[list[Timing], list[str]]:
    """Times callables whose stopwatches show the given seconds one after the other; also returns their calls."""
    calls: list[str] = []

    def stopwatch(times: Iterator[float]):
        def watch(run) -> float:
            run()
            return next(times)

        return watch

    runs = [functools.partial(calls.append, name) for name in seconds]
    return time_in_turn(runs, stopwatches=[stopwatch(iter(each)) for each in seconds.values()], **options), calls


def test_everyone_runs_once_a_round_and_the_order_rotates():
    _, calls = time_scripted({name: [1.0] * 4 for name in "abc"}, rounds=3, warmup=1)
    rounds = ["".join(calls[i : i + 3]) for i in range(0, 12, 3)]
    assert [sorted(each) for each in rounds] == [["a", "b", "c"]] * 4
    assert rounds[1:] == ["abc", "bca", "cab"]


def test_warm_up_does_not_count():
    (timing,), _ = time_scripted({"a": [99.0, 99.0, 0.002, 0.004, 0.003]}, rounds=3, warmup=2)
    assert timing.median_ms == pytest.approx(3.0)
    assert timing.rounds == 3
    assert timing.ratio == 1.0


def test_the_ratio_pairs_rounds():
    """The machine slows down tenfold half-way: medians of times mix both halves, paired ratios do not."""
    seconds = {"first": [1.0, 1.0, 10.0, 10.0, 10.0], "second": [2.0, 2.0, 20.0, 20.0, 20.0]}
    timings, _ = time_scripted(seconds, rounds=5, warmup=0)
    assert [timing.ratio for timing in timings] == [1.0, 2.0]


def test_spread():
    (timing,), _ = time_scripted({"a": [i / 1000 for i in range(1, 12)]}, rounds=11, warmup=0)
    assert (timing.p10_ms, timing.median_ms, timing.p90_ms) == pytest.approx((2.0, 6.0, 10.0))


def test_progress_covers_warm_up_and_rounds():
    seen = []
    time_scripted({"a": [1.0] * 3}, rounds=2, warmup=1, progress=lambda *args: seen.append(args))
    assert seen == [(1, 3, "warm-up"), (2, 3, "rounds"), (3, 3, "rounds")]


def test_threads_hold_inside_and_are_restored_after_an_error():
    former = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), fixed_threads(1):
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == former


@pytest.mark.parametrize("arguments", [{"rounds": 0}, {"warmup": -1}])
def test_refused_numbers(arguments):
    with pytest.raises(UsageError, match="one round"):
        time_scripted({"a": [1.0]}, **arguments)
    with pytest.raises(UsageError, match="0 callables"):
        time_in_turn([])


def test_conditions():
    conditions = measurement_conditions(
        threads=3, precision="fp32", size="input 8x8", command="aethernet bench speed x"
    )
    assert conditions.threads == 3
    assert conditions.cores >= 1
    assert conditions.torch == torch.__version__
    assert datetime.date.fromisoformat(conditions.date)
    for text in (conditions.device, "3 threads of", "fp32", "input 8x8", "`aethernet bench speed x`"):
        assert text in conditions.sentence()


def test_the_command_can_be_typed_again():
    assert own_command(["/usr/bin/aethernet", "bench", "a b"]) == "aethernet bench 'a b'"
    assert own_command(["/lib/aethernet/__main__.py", "bench"]) == "python -m aethernet bench"
