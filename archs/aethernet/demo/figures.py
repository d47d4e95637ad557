"""The rows of the demo's table: quality on held-out photographs, parameters, time and size."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aethernet.bench.timing import time_in_turn
from aethernet.checkpoint.checkpoint import load_network
from aethernet.data.bicubic import bicubic_upscale
from aethernet.quality.evaluation import Upscaler, evaluate, mean_quality, network_upscaler
from aethernet.quality.scores import onnx_upscaler
from aethernet.runtimes.onnxruntime import OnnxRuntimeSession

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
    ms_onnx: float | None = None
    file_bytes: int | None = None


def measure(
    weights: dict[str, Path],
    onnx: dict[str, Path],
    held_out: dict[str, np.ndarray],
    scale: int,
    tested: tuple[float, float],
) -> list[Row]:
    """Measures bicubic, each weights file and each ONNX file, in this order, and puts in what `aethernet test` logged.

    Args:
        weights: files by the name of the stage.
        onnx: ONNX files by the name of the stage.
        held_out: (H, W, 3) RGB uint8 pictures that the test pipeline measured too.
        scale: of all of them.
        tested: PSNR in dB and SSIM that the test pipeline found for the trained weights.

    Returns:
        The rows, bicubic first, `aethernet test` behind the stage `trained`. Times are medians of interleaved runs on a
        picture of 256x256: of PyTorch in float32 with all threads for weights, of ONNX Runtime with one for ONNX files.
    """
    networks = {stage: load_network(path) for stage, path in weights.items()}
    upscalers: dict[str, Upscaler] = {"bicubic": lambda picture: bicubic_upscale(picture, scale)}
    upscalers |= {stage: network_upscaler(network) for stage, network in networks.items()}
    upscalers |= {stage: onnx_upscaler(path, in_channels=3) for stage, path in onnx.items()}
    quality = {stage: mean_quality(evaluate(upscale, held_out, scale)) for stage, upscale in upscalers.items()}
    x = torch.rand(1, 3, *TIMED_SIZE, generator=torch.Generator().manual_seed(0))
    in_torch = {stage: functools.partial(network, x) for stage, network in networks.items()}
    sessions = {stage: OnnxRuntimeSession(path, threads=1) for stage, path in onnx.items()}
    in_onnx = {stage: functools.partial(session.run, x.numpy()) for stage, session in sessions.items()}
    rows = []
    ms_torch, ms_onnx = _milliseconds(in_torch), _milliseconds(in_onnx)
    files = weights | onnx
    for stage, record in quality.items():
        network = networks.get(stage)
        rows.append(
            Row(
                stage,
                record.psnr,
                record.ssim,
                params=None if network is None else sum(parameter.numel() for parameter in network.parameters()),
                ms_256=ms_torch.get(stage),
                ms_onnx=ms_onnx.get(stage),
                file_bytes=files[stage].stat().st_size if stage in files else None,
            )
        )
        if stage == "trained":
            rows.append(Row("aethernet test", *tested))
    return rows


@torch.inference_mode()
def _milliseconds(runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    if not runs:
        return {}
    timings = time_in_turn(list(runs.values()), rounds=ROUNDS, warmup=WARMUP)
    return {name: timing.median_ms for name, timing in zip(runs, timings, strict=True)}
