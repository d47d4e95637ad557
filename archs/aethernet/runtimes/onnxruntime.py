"""ONNX files in ONNX Runtime, and what a picture must look like for them."""

import importlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aethernet.errors import CheckpointError, EngineError, EngineOutOfMemory, MissingDeviceError, UsageError, one_line
from aethernet.optional import optional_package
from aethernet.runtimes.session import RunStopped, Session, with_batch, with_bytes

INTEGER_CONVOLUTIONS = ("QLinearConv", "ConvInteger")
CONVOLUTIONS = (*INTEGER_CONVOLUTIONS, "Conv", "ConvTranspose", "FusedConv", "NhwcFusedConv")

ELEMENT_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
"""What a picture may be made of: floats in [0, 1], or bytes."""


@dataclass(frozen=True)
class OnnxFacts:
    """What a picture must look like for a file: its channels, and how much larger it comes out.

    `batch` and `size` (height, width) are set where the file takes no others; `metadata` are the file's own texts.
    """

    scale: int
    in_channels: int
    batch: int | None = None
    size: tuple[int, int] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class OnnxRuntimeSession(Session):
    """An ONNX file of floats or bytes, sizes free or fixed.

    Args:
        threads: that work inside one operator; None leaves their number to the runtime.
        as_written: the runtime fuses nothing: quantised convolutions are computed as the float operations between the
            rounding steps of the file.
        spinning: threads without work ask for it again and again, which is faster by microseconds an operator where nothing
            else runs. Else they sleep, and leave their core to what works beside.

    Raises:
        CheckpointError: no such file, or not a picture-to-picture ONNX model.
        UsageError: a device that ONNX Runtime does not know here.
        EnvironmentProblem: ONNX Runtime, or the device, is missing.
    """

    engine = "onnxruntime"

    def __init__(
        self,
        path: Path,
        device: str = "cpu",
        threads: int | None = None,
        *,
        as_written: bool = False,
        spinning: bool = True,
    ) -> None:
        self.path, self.device = Path(path), device
        self.session = _inference_session(self.path, device, threads, as_written=as_written, spinning=spinning)
        self._options = optional_package("onnxruntime", "running an ONNX file").RunOptions()
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.metadata: dict[str, str] = dict(metadata)
        self.channels_last = metadata.get("layout") == "NHWC"
        entry = self.session.get_inputs()[0]
        self.element_type = ELEMENT_TYPES[entry.type]
        shape = entry.shape
        self.input_shape: list[int | str | None] = (
            [shape[0], shape[3], shape[1], shape[2]] if self.channels_last else list(shape)
        )
        """N, C, H, W; numbers where the file takes nothing else."""
        self._name, self._outputs = entry.name, [self.session.get_outputs()[0].name]
        run = with_bytes(self._raw, self.channels_last) if self.element_type is np.uint8 else self._floats
        count = self.input_shape[0]
        self._run = with_batch(run, count) if isinstance(count, int) else run

    def run(self, batch: np.ndarray) -> np.ndarray:
        try:
            return self._run(batch)
        except runtime_errors() as error:
            if self._is_stopped:
                raise RunStopped from error
            texts = ("bad_alloc", "bad allocation", "Failed to allocate memory", "out of memory")
            kind = EngineOutOfMemory if any(text in str(error) for text in texts) else EngineError
            raise kind(f"ONNX Runtime broke off on {self.path.name}: {one_line(error)}") from error

    def stop(self) -> None:
        super().stop()
        self._options.terminate = True

    def resume(self) -> None:
        super().resume()
        self._options.terminate = False

    def integer_convolutions(self) -> tuple[int, int]:
        """Counted in the graph that ONNX Runtime makes of the file.

        A convolution that is not quantised in the way a runtime expects falls back to float without a word.
        """
        onnx = optional_package("onnx", "counting the convolutions of an ONNX file")
        with tempfile.TemporaryDirectory() as folder:
            optimized = Path(folder) / "optimized.onnx"
            _inference_session(self.path, "cpu", 1, optimized=optimized)
            kinds = [node.op_type for node in onnx.load(str(optimized)).graph.node]
        return sum(kind in INTEGER_CONVOLUTIONS for kind in kinds), sum(kind in CONVOLUTIONS for kind in kinds)

    def _raw(self, batch: np.ndarray) -> np.ndarray:
        self.check_stopped()
        return self.session.run(self._outputs, {self._name: batch}, self._options)[0]

    def _floats(self, batch: np.ndarray) -> np.ndarray:
        return self._raw(batch.astype(self.element_type, copy=False)).astype(np.float32, copy=False)


def _inference_session(
    path: Path,
    device: str,
    threads: int | None,
    *,
    optimized: Path | None = None,
    as_written: bool = False,
    spinning: bool = True,
):
    """The runtime's own session; the graph that it has made of the file goes to `optimized`, if given."""
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
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = runtime.InferenceSession(str(path), options, providers=_providers(runtime, device))
    except runtime_errors() as error:
        raise CheckpointError(f"ONNX Runtime cannot load {path}: {one_line(error)}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise CheckpointError(
            f"{path} takes inputs of shapes {[entry.shape for entry in inputs]}, not one picture (N, C, H, W)"
        )
    if inputs[0].type not in ELEMENT_TYPES:
        raise CheckpointError(f"{path} takes {inputs[0].type}: float32 or float16 in [0, 1], or bytes are needed")
    return session


def _providers(runtime, device: str) -> list:
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    if kind != "cuda":
        raise UsageError(f"device {device!r} is not known to ONNX Runtime here: give cpu or cuda")
    if "CUDAExecutionProvider" not in runtime.get_available_providers():
        raise MissingDeviceError(
            f"device {device!r} needs ONNX Runtime's GPU build: pip install onnxruntime-gpu, or leave it out"
        )
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]


def runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises for a file that it cannot use; its exceptions have no common base.

    A message that quotes a name of the file that is no text in UTF-8 does not become one of them.
    """
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    return (*(getattr(state, name) for name in names), state.RuntimeException, UnicodeDecodeError)


def inspect_onnx(path: Path, side: int = 32) -> OnnxFacts:
    """Finds the channels and the scale of a file by running it once on a small picture.

    Raises:
        CheckpointError: a file that is no upscaler.
    """
    session = OnnxRuntimeSession(path, as_written=True)  # once, on a few pixels
    batch, channels, height, width = session.input_shape
    if channels not in (1, 3):
        raise CheckpointError(f"{path} takes {channels!r} channels: 1 (grey) or 3 (RGB) is needed")
    sides = [length if isinstance(length, int) else side for length in (height, width)]
    shape = (batch if isinstance(batch, int) else 1, channels, *sides)
    try:
        out = session.run(np.zeros(shape, np.float32))
    except EngineError as error:
        raise CheckpointError(
            f"ONNX Runtime cannot run {path} on {shape}: {one_line(error.__cause__ or error)}"
        ) from error
    scale, remainder = divmod(out.shape[-1], sides[1])
    if out.ndim != 4 or remainder or out.shape[-2] != sides[0] * scale:
        raise CheckpointError(f"{path} makes {out.shape} of {shape}: it is no upscaler")
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    return OnnxFacts(scale, channels, batch if isinstance(batch, int) else None, size, session.metadata)
