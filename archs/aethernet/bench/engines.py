"""The ways to run a model that a speed table compares."""

import copy
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from aethernet.errors import (
    CheckpointError,
    EnvironmentProblem,
    ExportError,
    MissingDependencyError,
    MissingDeviceError,
    StageError,
    UsageError,
)
from aethernet.export.onnx import require_exporter
from aethernet.optional import optional_package
from aethernet.runtimes.models import Model
from aethernet.runtimes.ncnn import NcnnSession
from aethernet.runtimes.ncnn_files import ncnn_file
from aethernet.runtimes.onnx_files import onnx_file
from aethernet.runtimes.onnxruntime import OnnxRuntimeSession
from aethernet.runtimes.openvino import OpenVinoSession, import_openvino

Forward = Callable[[], object]
"""Runs one forward pass."""


class NotApplicable(Exception):
    """This engine cannot run this model; the text says why."""


@dataclass(frozen=True)
class Workload:
    """One model to prepare for one engine: the input x (1, C, H, W) float32 in [0, 1], threads, a scratch folder."""

    model: Model
    x: Tensor
    threads: int
    folder: Path

    def network(self) -> nn.Module:
        """A copy of the network, which the engine may change."""
        if self.model.network is None:
            raise NotApplicable(f"{self.model.file_kind} holds no PyTorch network")
        return copy.deepcopy(self.model.network)

    def onnx(self) -> Path:
        """The model as an ONNX file, written once for all engines that read one."""
        if self.model.ncnn is not None:
            raise NotApplicable("an ncnn file is no ONNX file")
        try:
            return onnx_file(self.model, self.folder, self.x)
        except ExportError as error:
            raise NotApplicable(str(error)) from error

    def ncnn(self) -> Path:
        """The model as an ncnn file, written once."""
        try:
            return ncnn_file(self.model, self.folder)
        except (ExportError, StageError) as error:
            raise NotApplicable(str(error)) from error


@dataclass(frozen=True)
class Engine:
    """A name, what it computes in, where, and how to prepare a model for it."""

    name: str
    precision: str
    device: str
    prepare: Callable[[Workload], Forward]
    check: Callable[[], None]


def _eager(work: Workload) -> Forward:
    return _forward(work.network(), work.x)


def _channels_last(work: Workload) -> Forward:
    network = work.network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    return _forward(network, work.x.to(memory_format=torch.channels_last))


def _compile(work: Workload) -> Forward:
    return _forward(torch.compile(work.network()), work.x)


def _bf16(work: Workload) -> Forward:
    forward = _forward(work.network(), work.x)

    def run() -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return forward()

    return run


def _onnxruntime(work: Workload) -> Forward:
    session, batch = OnnxRuntimeSession(work.onnx(), threads=work.threads), work.x.numpy()
    return lambda: session.run(batch)


def _openvino(work: Workload) -> Forward:
    try:
        session = OpenVinoSession(work.onnx(), work.threads)
    except CheckpointError as error:  # such as shapes that OpenVINO cannot follow in attention windows
        raise NotApplicable(str(error)) from error
    batch = work.x.numpy()
    return lambda: session.run(batch)


def _ncnn(work: Workload) -> Forward:
    session, batch = NcnnSession(work.ncnn(), work.threads), work.x.numpy()
    return lambda: session.run(batch)


def _cuda(work: Workload) -> Forward:
    return _forward(work.network().cuda(), work.x.cuda())


def _cuda_fp16(work: Workload) -> Forward:
    network = work.network().cuda().half().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as above
    return _forward(network, work.x.cuda().half().to(memory_format=torch.channels_last))


def _forward(network: Callable[[Tensor], Tensor], x: Tensor) -> Forward:
    @torch.inference_mode()
    def run() -> Tensor:
        return network(x)

    return run


def _always() -> None:
    """PyTorch on the CPU is there."""


def _needs_compiler() -> None:
    if not shutil.which(os.environ.get("CXX", "g++")) and not shutil.which("clang++"):
        raise MissingDependencyError("engine compile needs a C++ compiler: install g++, or set CXX to yours")


def _needs_onnxruntime() -> None:
    optional_package("onnxruntime", "engine onnxruntime")
    require_exporter()


def _needs_openvino() -> None:
    import_openvino()
    require_exporter()


def _needs_ncnn() -> None:
    optional_package("ncnn", "engine ncnn")


def _needs_cuda() -> None:
    if not torch.cuda.is_available():
        raise MissingDeviceError(
            "engine cuda needs an NVIDIA GPU and a PyTorch built for CUDA: leave it out of --engines"
        )


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("eager", "fp32", "cpu", _eager, _always),
        Engine("channels_last", "fp32", "cpu", _channels_last, _always),
        Engine("compile", "fp32", "cpu", _compile, _needs_compiler),
        Engine("bf16", "bf16 autocast", "cpu", _bf16, _always),
        Engine("onnxruntime", "fp32", "cpu", _onnxruntime, _needs_onnxruntime),
        Engine("openvino", "fp32", "cpu", _openvino, _needs_openvino),
        Engine("ncnn", "fp32", "cpu", _ncnn, _needs_ncnn),
        Engine("cuda", "fp32", "cuda", _cuda, _needs_cuda),
        Engine("cuda_fp16", "fp16", "cuda", _cuda_fp16, _needs_cuda),
    )
}
"""Every engine by name."""

DEFAULT_ENGINES = ("eager", "onnxruntime", "cuda")
"""Those that are measured unless asked otherwise, as far as this machine has them."""


def pick_engines(names: list[str] | None, *, ncnn: bool = False) -> tuple[list[Engine], list[str]]:
    """The engines to use, and why any of the default ones is left out.

    Args:
        names: what the user asked for; None for the default.
        ncnn: whether the default has ncnn, too, because a file of its own is there.

    Raises:
        UsageError: no such engine.
        EnvironmentProblem: an engine that was asked for cannot run here.
    """
    for name in names or ():
        if name not in ENGINES:
            raise UsageError(f"there is no engine {name!r}; known: {', '.join(ENGINES)}")
    if names:
        for name in names:
            ENGINES[name].check()
        return [ENGINES[name] for name in dict.fromkeys(names)], []
    present, missing = [], []
    for name in (*DEFAULT_ENGINES, "ncnn") if ncnn else DEFAULT_ENGINES:
        try:
            ENGINES[name].check()
            present.append(ENGINES[name])
        except EnvironmentProblem as problem:
            missing.append(f"{name} left out: {problem}")
    return present, missing
