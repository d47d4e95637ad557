"""ONNX files as subjects of a measurement: read, counted, run, and written for networks that are not ours."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aethernet.errors import CheckpointError
from aethernet.optional import optional_package

ELEMENT_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
"""What a picture may be made of: floats in [0, 1], or bytes."""


@dataclass(frozen=True)
class OnnxFacts:
    """What a picture must look like for a file: its channels, and how much larger it comes out.

    `batch` and `size` (height, width) are set where the file takes no others. A file for a runtime that does not run here
    is `foreign` (TensorRT): ONNX Runtime computes it as written, since its fused kernels tell nothing of the other's.
    """

    scale: int
    in_channels: int
    batch: int | None = None
    size: tuple[int, int] | None = None
    foreign: bool = False


def open_session(path: Path, threads: int | None = None, *, optimized: Path | None = None, as_written: bool = False):
    """An ONNX Runtime session on the CPU; `threads` work inside one operator, None leaves it to the runtime.

    The graph that the runtime has made of the file goes to `optimized`, if given. With `as_written` the runtime fuses
    nothing: quantised convolutions are computed as the float operations between the rounding steps of the file.

    Raises:
        CheckpointError: no such file, or not a picture-to-picture ONNX model.
        MissingDependencyError: ONNX Runtime is not installed.
    """
    runtime = optional_package("onnxruntime", "running an ONNX file")
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file: give an .onnx file that exists")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    if as_written:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if optimized is not None:
        options.log_severity_level = 3  # it warns that such a graph suits this machine only
        options.optimized_model_filepath = str(optimized)
    # Waiting threads that keep spinning would slow down whoever is measured next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except runtime_errors() as error:
        raise CheckpointError(f"ONNX Runtime cannot load {path}: {str(error).splitlines()[0]}") from error
    if len(session.get_inputs()) != 1 or len(session.get_inputs()[0].shape) != 4:
        shapes = [entry.shape for entry in session.get_inputs()]
        raise CheckpointError(f"{path} takes inputs of shapes {shapes}, not one picture (N, C, H, W)")
    if session.get_inputs()[0].type not in ELEMENT_TYPES:
        raise CheckpointError(
            f"{path} takes {session.get_inputs()[0].type}: float32 or float16 in [0, 1], or bytes are needed"
        )
    return session


def runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises for a file that it cannot use; its exceptions have no common base."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    return (*(getattr(state, name) for name in names), state.RuntimeException)


def channels_last(session) -> bool:
    """Whether a file takes (N, H, W, C), as those of ours say that do."""
    return session.get_modelmeta().custom_metadata_map.get("layout") == "NHWC"


def input_shape(session) -> list[int | str | None]:
    """The N, C, H, W that a file takes; numbers where they are fixed."""
    shape = session.get_inputs()[0].shape
    return [shape[0], shape[3], shape[1], shape[2]] if channels_last(session) else shape


def session_function(session) -> Callable[[np.ndarray], np.ndarray]:
    """A session as a function of one float32 batch (N, C, H, W) in [0, 1], returned as float32; files of bytes too."""
    name, kind = session.get_inputs()[0].name, ELEMENT_TYPES[session.get_inputs()[0].type]
    output = [session.get_outputs()[0].name]
    if kind is not np.uint8:
        return lambda batch: session.run(output, {name: batch.astype(kind, copy=False)})[0].astype(
            np.float32, copy=False
        )
    last = channels_last(session)

    def run(batch: np.ndarray) -> np.ndarray:
        levels = np.rint(batch * 255.0).clip(0, 255).astype(np.uint8)
        out = session.run(output, {name: np.ascontiguousarray(levels.transpose(0, 2, 3, 1)) if last else levels})[0]
        return (out.transpose(0, 3, 1, 2) if last else out).astype(np.float32) / 255.0

    return run


def inspect_onnx(path: Path, side: int = 32) -> OnnxFacts:
    """Finds the channels and the scale of a file by running it once on a small picture."""
    session = open_session(path, as_written=True)  # once, on a few pixels
    batch, channels, height, width = input_shape(session)
    if channels not in (1, 3):
        raise CheckpointError(f"{path} takes {channels!r} channels: 1 (grey) or 3 (RGB) is needed")
    sides = [length if isinstance(length, int) else side for length in (height, width)]
    shape = (batch if isinstance(batch, int) else 1, channels, *sides)
    try:
        out = session_function(session)(np.zeros(shape, np.float32))
    except runtime_errors() as error:
        raise CheckpointError(f"ONNX Runtime cannot run {path} on {shape}: {str(error).splitlines()[0]}") from error
    scale, remainder = divmod(out.shape[-1], sides[1])
    if out.ndim != 4 or remainder or out.shape[-2] != sides[0] * scale:
        raise CheckpointError(f"{path} makes {out.shape} of {shape}: it is no upscaler")
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    foreign = session.get_modelmeta().custom_metadata_map.get("target") == "tensorrt"
    return OnnxFacts(scale, channels, batch if isinstance(batch, int) else None, size, foreign)
