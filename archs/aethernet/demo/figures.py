"""The rows of the demo's table: quality on held-out photographs, parameters, time and size."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aethernet.bench.quality import Upscaler, evaluate, mean_quality, network_upscaler
from aethernet.bench.timing import Candidate, time_candidates
from aethernet.checkpoint import load_network
from aethernet.data.degrade import bicubic_upscale

TIMED_SIZE = (256, 256)
ROUNDS, WARMUP = 7, 2


@dataclass(frozen=True)
class Row:
    """One stage of the model's life: means over the held-out pictures; None where a figure does not apply."""

    stage: str
    psnr: float
    ssim: float
    params: int | None = None
    ms_256: float | None = None
    file_bytes: int | None = None


def measure(
    weights: dict[str, Path], held_out: dict[str, np.ndarray], scale: int, tested: tuple[float, float]
) -> list[Row]:
    """Measures bicubic and each weights file, in this order, and puts in what `aethernet test` logged.

    Args:
        weights: files by the name of the stage.
        held_out: (H, W, 3) RGB uint8 pictures that the test pipeline measured too.
        scale: of all of them.
        tested: PSNR in dB and SSIM that the test pipeline found for the trained weights.

    Returns:
        The rows, bicubic first, `aethernet test` behind the stage `trained`. Times are medians of interleaved runs of
        PyTorch in float32 on a picture of 256x256.
    """
    networks = {stage: load_network(path) for stage, path in weights.items()}
    upscalers: dict[str, Upscaler] = {"bicubic": lambda picture: bicubic_upscale(picture, scale)}
    upscalers |= {stage: network_upscaler(network) for stage, network in networks.items()}
    quality = {stage: mean_quality(evaluate(upscale, held_out, scale)) for stage, upscale in upscalers.items()}
    x = torch.rand(1, 3, *TIMED_SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        timings = time_candidates(
            [Candidate(stage, functools.partial(network, x)) for stage, network in networks.items()],
            rounds=ROUNDS,
            warmup=WARMUP,
        )
    milliseconds = {timing.name: timing.median_ms for timing in timings}
    rows = []
    for stage, record in quality.items():
        network, path = networks.get(stage), weights.get(stage)
        rows.append(
            Row(
                stage,
                record.psnr,
                record.ssim,
                params=None if network is None else sum(parameter.numel() for parameter in network.parameters()),
                ms_256=milliseconds.get(stage),
                file_bytes=None if path is None else path.stat().st_size,
            )
        )
        if stage == "trained":
            rows.append(Row("aethernet test", *tested))
    return rows
