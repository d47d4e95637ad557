"""ONNX files in OpenVINO: compiled for the CPU, run, and asked which convolutions are computed in integers."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from aethernet.errors import CheckpointError
from aethernet.optional import optional_package

INTEGER_TYPES = ("u8", "i8")


def import_openvino() -> ModuleType:
    """The package, without its telemetry: importing that forks a process which sends data of use.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if missing: OpenVINO has a stub then
    return optional_package("openvino", "engine openvino")


def compile_openvino(path: Path, threads: int | None = None):
    """The compiled model of an ONNX file; `threads` None leaves their number to OpenVINO.

    Raises:
        CheckpointError: OpenVINO refuses the graph.
        MissingDependencyError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    # By default it computes in bf16 where the processor can, under the name of an fp32 model.
    options: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    try:
        return openvino.Core().compile_model(str(path), "CPU", options)
    except RuntimeError as error:
        *_, reason = [line.strip(" -") for line in str(error).splitlines() if "fail" in line.lower()] or [
            "no reason given"
        ]
        raise CheckpointError(f"OpenVINO refuses the exported graph: {reason}") from error


def openvino_function(compiled) -> Callable[[np.ndarray], np.ndarray]:
    """A compiled model as a function of one float32 batch (N, C, H, W), returned as float32."""
    request = compiled.create_infer_request()
    return lambda batch: np.array(request.infer([batch])[0], dtype=np.float32)


def openvino_integer_convolutions(compiled) -> tuple[int, int]:
    """How many convolutions OpenVINO computes in integers, of how many: from the graph that it executes."""
    types = [
        str(info["runtimePrecision"].astype(str))
        for info in (operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops())
        if "convolution" in str(info["layerType"].astype(str)).lower()
    ]
    return sum(kind in INTEGER_TYPES for kind in types), len(types)
