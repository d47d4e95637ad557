"""Opening a model in a runtime."""

import copy
from pathlib import Path

from aethernet.errors import UsageError
from aethernet.runtimes.models import Model
from aethernet.runtimes.onnx_files import onnx_file
from aethernet.runtimes.onnxruntime import OnnxRuntimeSession
from aethernet.runtimes.openvino import OpenVinoSession
from aethernet.runtimes.pytorch import TorchSession
from aethernet.runtimes.session import Session

ENGINES = ("torch", "onnxruntime", "openvino")


def open_model(
    model: Model,
    engine: str | None = None,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    threads: int | None = None,
    folder: Path | None = None,
) -> Session:
    """Opens a model in a runtime of its user's choice.

    Args:
        engine: `torch`, `onnxruntime` or `openvino`; by default PyTorch for networks and ONNX Runtime for files.
        device: for PyTorch and ONNX Runtime; OpenVINO runs on the CPU here.
        precision: of networks in PyTorch: fp32, fp16, bf16. Files keep theirs.
        threads: of the other two; PyTorch's are the process's own (`torch.set_num_threads`).
        folder: where the ONNX file of a network may be written; needed for that.

    Raises:
        AetherError: the subclass that fits: an engine that cannot run this, or is not installed.
    """
    engine = engine or ("torch" if model.network is not None else "onnxruntime")
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}: give {', '.join(ENGINES)}")
    if engine == "torch":
        if model.network is None:
            raise UsageError(f"{model.label} is an ONNX file, which PyTorch does not run: give another engine")
        return TorchSession(copy.deepcopy(model.network), device, precision)
    if precision != "fp32":
        raise UsageError(f"precision {precision} is for PyTorch: give {engine} a file of that precision")
    if model.onnx is None and folder is None:
        raise UsageError(f"{model.label} is no ONNX file, which {engine} needs: export it first")
    path = model.onnx or onnx_file(model, Path(folder or "."))
    if engine == "openvino":
        if device != "cpu":
            raise UsageError(f"OpenVINO runs on the CPU here, not on {device!r}: leave the device out")
        return OpenVinoSession(path, threads)
    return OnnxRuntimeSession(path, device, threads, as_written=model.for_tensorrt)
