"""Opening a model in a runtime."""

import copy
from pathlib import Path

from aethernet.errors import UsageError
from aethernet.runtimes.models import Model
from aethernet.runtimes.ncnn import NcnnSession
from aethernet.runtimes.ncnn_files import ncnn_file
from aethernet.runtimes.onnx_files import onnx_file
from aethernet.runtimes.onnxruntime import OnnxRuntimeSession
from aethernet.runtimes.openvino import OpenVinoSession
from aethernet.runtimes.pytorch import TorchSession
from aethernet.runtimes.session import Session

ENGINES = ("torch", "onnxruntime", "openvino", "ncnn")
TITLES = {"openvino": "OpenVINO", "ncnn": "ncnn"}


def open_model(
    model: Model,
    engine: str | None = None,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    threads: int | None = None,
    folder: Path | None = None,
    spinning: bool = True,
) -> Session:
    """Opens a model in a runtime of its user's choice.

    Args:
        engine: `torch`, `onnxruntime`, `openvino` or `ncnn`; by default PyTorch for networks, ONNX Runtime for ONNX files,
            and ncnn for its own.
        device: for PyTorch and ONNX Runtime; the others run on the CPU here.
        precision: of networks in PyTorch: fp32, fp16, bf16. Files keep theirs.
        threads: of the others; PyTorch's are the process's own (`torch.set_num_threads`).
        folder: where the ONNX or ncnn file of a network may be written; needed for that.
        spinning: of ONNX Runtime's threads, see `OnnxRuntimeSession`.

    Raises:
        AetherError: the subclass that fits: an engine that cannot run this, or is not installed.
    """
    engine = engine or _own_engine(model)
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}: give {', '.join(ENGINES)}")
    if engine == "torch":
        if model.network is None:
            raise UsageError(f"{model.label} is {model.file_kind}, which PyTorch does not run: give another engine")
        return TorchSession(copy.deepcopy(model.network), device, precision)
    if precision != "fp32":
        raise UsageError(f"precision {precision} is for PyTorch: give {engine} a file of that precision")
    if model.file is not None and (model.ncnn is not None) != (engine == "ncnn"):
        raise UsageError(f"{model.label} is {model.file_kind}, which {engine} does not run: leave the engine out")
    if model.file is None and folder is None:
        kind = "ncnn" if engine == "ncnn" else "ONNX"
        raise UsageError(f"{model.label} is no {kind} file, which {engine} needs: export it first")
    if engine != "onnxruntime" and device != "cpu":
        raise UsageError(f"{TITLES[engine]} runs on the CPU here, not on {device!r}: leave the device out")
    folder = Path(folder or ".")
    if engine == "ncnn":
        return NcnnSession(ncnn_file(model, folder), threads)
    path = onnx_file(model, folder)
    if engine == "openvino":
        return OpenVinoSession(path, threads)
    return OnnxRuntimeSession(path, device, threads, as_written=model.for_tensorrt, spinning=spinning)


def _own_engine(model: Model) -> str:
    if model.network is not None:
        return "torch"
    return "ncnn" if model.ncnn is not None else "onnxruntime"
