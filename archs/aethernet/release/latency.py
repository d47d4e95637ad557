"""Milliseconds of a bundle's files on this machine, in turn, as `aethernet bench speed` measures them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from aethernet.bench.engines import ENGINES, NotApplicable, Workload
from aethernet.bench.timing import time_in_turn
from aethernet.errors import EnvironmentProblem
from aethernet.progress import Progress
from aethernet.release.products import FP32, Product
from aethernet.release.records import SpeedRecord
from aethernet.runtimes.models import resolve_model
from aethernet.threads import fixed_threads
from aethernet.verify.gate import NCNN, ONNXRUNTIME, OPENVINO, PYTORCH

TITLES = {"eager": PYTORCH, "onnxruntime": ONNXRUNTIME, "openvino": OPENVINO, "ncnn": NCNN}
WARMUP = 1


def measure_latency(
    folder: Path,
    name: str,
    products: Sequence[Product],
    *,
    size: tuple[int, int],
    rounds: int,
    threads: int = 1,
    progress: Progress | None = None,
) -> list[SpeedRecord]:
    """Times every file in the engines that it is for, all in turn, on one picture of noise; float32 ONNX comes first.

    Args:
        products: those whose files are in `folder`; those without an engine are left out.
        size: height and width of the low-resolution input.
    """
    timed, runs = [], []
    ordered = sorted(products, key=lambda product: product != FP32)
    with tempfile.TemporaryDirectory() as scratch, fixed_threads(threads):
        for product in ordered:
            if not product.engines:
                continue
            model = resolve_model(str(folder / f"{name}{product.suffix}"))
            x = torch.rand(1, model.in_channels, *size, generator=torch.Generator().manual_seed(0))
            for engine in map(ENGINES.__getitem__, product.engines):
                try:
                    engine.check()
                    runs.append(engine.prepare(Workload(model, x, threads, Path(scratch))))
                except (EnvironmentProblem, NotApplicable):
                    continue  # the gate has said so
                timed.append((f"{name}{product.suffix}", TITLES[engine.name], product.precision))
        if not runs:
            return []
        timings = time_in_turn(runs, rounds=rounds, warmup=WARMUP, threads=threads, progress=progress)
    return [SpeedRecord(*file, timing) for file, timing in zip(timed, timings, strict=True)]
