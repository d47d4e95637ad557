"""The speed of several models in several engines, paired: the rows of `aethernet bench speed`."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aethernet.bench.complexity import Complexity, network_complexity
from aethernet.bench.engines import NotApplicable, Workload, pick_engines
from aethernet.bench.memory import peak_memory
from aethernet.bench.ncnn_complexity import ncnn_complexity
from aethernet.bench.onnx_complexity import onnx_complexity
from aethernet.bench.timing import Timing, cpu_stopwatch, cuda_stopwatch, time_in_turn
from aethernet.conditions import Conditions, measurement_conditions
from aethernet.errors import UsageError
from aethernet.progress import Progress
from aethernet.runtimes.models import Model, resolve_model
from aethernet.threads import fixed_threads
from aethernet.wording import how_many


@dataclass(frozen=True)
class SpeedRow:
    """One model in one engine. `peak_memory` is in bytes; None if it was not measured."""

    model: str
    scale: int
    engine: str
    precision: str
    timing: Timing
    complexity: Complexity
    peak_memory: int | None


@dataclass(frozen=True)
class SpeedReport:
    """A speed table: its rows in the order asked for, what was left out and why, and what it was measured on."""

    rows: list[SpeedRow]
    notes: list[str]
    conditions: Conditions


def measure_speed(
    models: Sequence[str],
    *,
    size: tuple[int, int],
    engines: list[str] | None = None,
    threads: int = 1,
    rounds: int = 10,
    warmup: int = 2,
    memory: bool = True,
    progress: Progress | None = None,
) -> SpeedReport:
    """Times one forward pass of every model in every engine, all in turn, for one picture of noise.

    Args:
        models: texts as `resolve_model` takes them; the first one in the first engine is what ratios refer to.
        size: height and width of the low-resolution input.
        engines: names of `ENGINES`; None for what is at hand of the default ones.
        threads: for every engine alike.
        memory: also measure peak memory, each in a process of its own, which takes a few seconds a row.

    Raises:
        AetherError: an unknown model or engine, a missing package, or nothing to measure.
    """
    specs = list(dict.fromkeys(models))
    chosen, notes = pick_engines(engines, ncnn=any(Path(spec).suffix == ".param" for spec in specs))
    height, width = size
    if height < 1 or width < 1 or threads < 1:
        raise UsageError(f"size {height}x{width} with {how_many(threads, 'thread')}: all must be at least 1")
    measured, runs, stopwatches = [], [], []
    with tempfile.TemporaryDirectory() as scratch, fixed_threads(threads):
        for model in [resolve_model(spec) for spec in specs]:
            x = torch.rand(1, model.in_channels, height, width, generator=torch.Generator().manual_seed(0))
            complexity = _complexity(model, height, width)
            for engine in chosen:
                try:
                    runs.append(engine.prepare(Workload(model, x, threads, Path(scratch))))
                except NotApplicable as reason:
                    notes.append(f"{model.label} with {engine.name} left out: {reason}")
                    continue
                stopwatches.append(cuda_stopwatch if engine.device == "cuda" else cpu_stopwatch)
                measured.append((model, engine, complexity))
        if not runs:
            raise UsageError(f"nothing to measure: {'; '.join(notes)}")
        timings = time_in_turn(
            runs, stopwatches=stopwatches, rounds=rounds, warmup=warmup, threads=threads, progress=progress
        )
        rows = []
        for number, ((model, engine, complexity), timing) in enumerate(zip(measured, timings, strict=True), start=1):
            peak = peak_memory(model, engine.name, height, width, threads, Path(scratch)) if memory else None
            rows.append(SpeedRow(model.label, model.scale, engine.name, _precision(model, engine.precision),
                                 timing, complexity, peak))  # fmt: skip
            if memory and progress is not None:
                progress(number, len(measured), "memory")
    device = "cuda" if all(engine.device == "cuda" for _, engine, _ in measured) else "cpu"
    precision = " and ".join(dict.fromkeys(row.precision for row in rows))
    conditions = measurement_conditions(
        threads=threads, precision=precision, size=f"input {height}x{width}", device=device
    )
    return SpeedReport(rows, notes, conditions)


def _complexity(model: Model, height: int, width: int) -> Complexity:
    if model.network is not None:
        return network_complexity(model.network, height, width, model.in_channels)
    if model.ncnn is not None:
        return ncnn_complexity(model.ncnn, height, width)
    assert model.onnx is not None
    return onnx_complexity(model.onnx, height, width)


def _precision(model: Model, precision: str) -> str:
    return "as the file" if model.file is not None else precision
