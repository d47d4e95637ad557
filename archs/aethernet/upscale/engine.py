"""Which runtime a model runs in, and why."""

import hashlib
import importlib.util
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from aethernet.checkpoint import pretrained
from aethernet.errors import AetherError, MissingDependencyError, OutputError, UsageError
from aethernet.export.qdq import TARGETS
from aethernet.export.saturation import saturation
from aethernet.machine import cpu
from aethernet.network.network import AetherNet
from aethernet.runtimes.models import Model
from aethernet.runtimes.onnxruntime import OnnxRuntimeSession
from aethernet.runtimes.open import ENGINES, open_model
from aethernet.runtimes.pytorch import PRECISIONS, TorchSession
from aethernet.runtimes.session import Session
from aethernet.version import __version__

AUTO: Literal["auto"] = "auto"
PROBED_SIDE = 64
WORTH_EXPORTING = 45.0
"""Seconds of work in PyTorch from which on an ONNX file is written for ONNX Runtime, which takes about 8 seconds and
then saves a tenth (tiny) to a third (small) of the time."""
SAME_FLOAT, SAME_INT8 = 1e-3, 8 / 255
"""How far an engine may be from PyTorch on noise: order of sums; single steps of the grids, which ties decide."""
FEWEST_PIXELS = {"torch": 2**18, "onnxruntime": 2**20, "openvino": 2**18, "ncnn": 2**18}
"""Input pixels of a window from which on larger ones bring nothing; PyTorch and OpenVINO become slower on CPUs."""
GPU_PIXELS = 2**20


@dataclass(frozen=True)
class Choice:
    """An opened model, and in words why in this runtime."""

    session: Session
    precision: str
    reason: str

    @property
    def preferred_pixels(self) -> int:
        """The input pixels of a window, if memory allows and the halo does not cost more."""
        return FEWEST_PIXELS[self.session.engine] if self.session.device == "cpu" else GPU_PIXELS


def choose_engine(
    model: Model,
    engine: str = AUTO,
    *,
    device: str = AUTO,
    precision: str = AUTO,
    threads: int | None = None,
    pixels: int | None = None,
) -> Choice:
    """Opens a model where it runs fastest and right, or where it is told to.

    Args:
        engine: `auto`, `torch`, `onnxruntime`, `openvino` or `ncnn`.
        device: `auto` is the first GPU that PyTorch can use for a network, else the CPU.
        precision: of a network in PyTorch; `auto` is fp16 on a GPU and fp32 on a CPU.
        pixels: input pixels of the work ahead, if known: whether an export pays.

    Raises:
        AetherError: the subclass that fits.
    """
    if engine not in (AUTO, *ENGINES):
        raise UsageError(f"there is no engine {engine!r}: give {AUTO}, {', '.join(ENGINES)}")
    if precision not in (AUTO, *PRECISIONS):
        raise UsageError(f"precision must be {AUTO} or one of {', '.join(PRECISIONS)}, not {precision!r}")
    given = engine != AUTO
    if device == AUTO:
        on_gpu = model.network is not None and engine in (AUTO, "torch") and torch.cuda.is_available()
        device = "cuda" if on_gpu else "cpu"
    if precision == AUTO:
        in_torch = model.network is not None and engine in (AUTO, "torch")
        precision = "fp16" if in_torch and device.startswith("cuda") else "fp32"
    if given:
        return Choice(_open(model, engine, device, precision, threads), precision, "as asked for")
    if model.network is None:
        return _for_file(model, device, precision, threads)
    if device != "cpu" or precision != "fp32":
        reason = "as asked for" if device == "cpu" else "the network runs on the GPU"
        return Choice(_open(model, "torch", device, precision, threads), precision, reason)
    return _for_network(model, model.network, threads, pixels)


def _open(model: Model, engine: str, device: str, precision: str, threads: int | None) -> Session:
    folder = None if engine == "torch" or model.file is not None else onnx_folder(model)
    return open_model(
        model, engine, device=device, precision=precision, threads=threads, folder=folder,
        spinning=False,  # decoders and encoders work beside
    )  # fmt: skip


def _for_file(model: Model, device: str, precision: str, threads: int | None) -> Choice:
    if model.ncnn is not None:
        return Choice(_open(model, "ncnn", device, precision, threads), "as the file", "ncnn files run in it alone")
    target = model.metadata.get("target", "")
    order = ("openvino", "onnxruntime") if target == "openvino" and device == "cpu" else ("onnxruntime", "openvino")
    for engine in order:
        if installed(engine):
            session = _open(model, engine, device, precision, threads)
            return Choice(session, "as the file", _reason_for_file(target, engine))
    raise MissingDependencyError(f"{model.label} is an ONNX file, which needs a runtime: pip install onnxruntime")


def _reason_for_file(target: str, engine: str) -> str:
    titles: dict[str, str] = {name: kind.title for name, kind in TARGETS.items()}
    made_for = titles.get(target)
    if made_for is not None:
        fits = engine == ("onnxruntime" if target == "ort" else target)
        return f"the file is made for {made_for}{'' if fits else ', which does not run here'}"
    if engine == "onnxruntime":
        return "ONNX files run in it where it is installed"
    return "ONNX Runtime, which comes first for ONNX files, is not installed"


def _for_network(model: Model, network: torch.nn.Module, threads: int | None, pixels: int | None) -> Choice:
    """On a CPU, in float32 or of stage int8."""
    torch_session = open_model(model, "torch")
    stay = Choice(torch_session, "fp32", "")
    if isinstance(network, AetherNet):
        if network.config.stage == "qat":
            return _because(stay, "weights of stage qat are simulated in float")
        if network.config.stage == "int8":
            return _for_integers(model, stay, threads)
        if network.config.channel_attention:
            return _because(stay, "channel attention needs it for exact tiles")
    seconds = _seconds(torch_session, model) * (pixels or 0) / PROBED_SIDE**2
    if seconds < WORTH_EXPORTING:
        return _because(
            stay, "an ONNX file first would cost more than it saves" if pixels else "the amount of work is unknown"
        )
    if not can_export():
        return _because(stay, "ONNX Runtime and the exporter are not installed")
    try:
        session = _open(model, "onnxruntime", "cpu", "fp32", threads)
    except AetherError as error:
        return _because(stay, f"the network cannot be exported: {error}")
    difference, faster = _compare(torch_session, session, model)
    if difference > SAME_FLOAT:
        return _because(stay, f"ONNX Runtime differs from it by {difference:.1e} on this machine")
    if faster < 1.0:
        return _because(stay, f"it is {1 / faster:.2f} times as fast as ONNX Runtime on this machine")
    return Choice(session, "fp32", f"{faster:.2f} times as fast as PyTorch on this machine")


def _for_integers(model: Model, stay: Choice, threads: int | None) -> Choice:
    if not can_export():
        return _because(stay, "ONNX Runtime and the exporter, which compute int8 fast, are not installed")
    session = _open(model, "onnxruntime", "cpu", "fp32", threads)
    assert isinstance(session, OnnxRuntimeSession)
    if cpu().is_x86 and "VNNI" not in (cpu().features or ()) and saturation(session.path).possible:
        return _because(stay, "other engines compute these 8-bit weights wrong on a CPU without VNNI")
    difference, faster = _compare(stay.session, session, model)
    if difference > SAME_INT8:
        return _because(stay, f"ONNX Runtime differs from it by {difference:.1e} on this machine")
    return Choice(session, "int8", f"{faster:.1f} times as fast as PyTorch on this machine")


def _because(choice: Choice, reason: str) -> Choice:
    return Choice(choice.session, choice.precision, reason)


def _noise(model: Model) -> np.ndarray:
    side = max(model.least, -(-PROBED_SIDE // model.multiple) * model.multiple)
    return np.random.default_rng(0).random((1, model.in_channels, side, side), dtype=np.float32)


def _seconds(session: Session, model: Model) -> float:
    batch = _noise(model)
    session.run(batch)
    start = time.perf_counter()
    session.run(batch)
    return time.perf_counter() - start


def _compare(reference: Session, session: Session, model: Model) -> tuple[float, float]:
    """The largest difference on noise, and how many times as fast the second is."""
    batch = _noise(model)
    difference = float(np.abs(reference.run(batch) - session.run(batch)).max())
    ratios = [_seconds(reference, model) / _seconds(session, model) for _ in range(3)]
    return difference, sorted(ratios)[1]


def installed(engine: str) -> bool:
    """Whether an engine is there; it is imported only where it is used."""
    return importlib.util.find_spec(engine) is not None


def can_export() -> bool:
    """Whether an ONNX file can be written and run here."""
    return all(importlib.util.find_spec(package) for package in ("onnx", "onnxscript", "onnxruntime"))


def onnx_folder(model: Model) -> Path:
    """Where the ONNX or ncnn file of a network is kept: a folder for each content, in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    source = pretrained.path(model.spec) if model.spec in pretrained.available() else Path(model.spec)
    content = source.read_bytes() if source.is_file() else model.spec.encode()
    folder = Path(base) / "aethernet" / hashlib.sha256(content + __version__.encode()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}, for the exported file, cannot be made: {error.strerror}; set XDG_CACHE_HOME"
        ) from error
    return folder


def with_threads(model: Model, choice: Choice, threads: int) -> Choice:
    """The same once more, in a session of so many threads; of ONNX Runtime, OpenVINO and ncnn."""
    session = choice.session
    return replace(choice, session=_open(model, session.engine, session.device, "fp32", threads))


def with_fp32(model: Model, choice: Choice) -> Choice | None:
    """The same in fp32, for a network that fp16 or bf16 does not suit; None where there is nothing to change."""
    if isinstance(choice.session, TorchSession) and choice.session.precision != "fp32":
        session = open_model(model, "torch", device=choice.session.device)
        return Choice(session, "fp32", f"{choice.session.precision} does not suit this network")
    return None
