"""ONNX files in OpenVINO: compiled for the CPU, run, and asked which convolutions are computed in integers."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from aethernet.errors import CheckpointError, EngineError, EngineOutOfMemory, one_line
from aethernet.optional import optional_package
from aethernet.runtimes.session import RunStopped, Session, with_batch, with_bytes

INTEGER_TYPES = ("u8", "i8")


def import_openvino() -> ModuleType:
    """The package, without its telemetry: importing that forks a process which sends data of use.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if missing: OpenVINO has a stub then
    return optional_package("openvino", "engine openvino")


class OpenVinoSession(Session):
    """An ONNX file, compiled for the CPU; `threads` None leaves their number to OpenVINO.

    Raises:
        CheckpointError: no such file, or OpenVINO refuses the graph.
        MissingDependencyError: OpenVINO is not installed.
    """

    engine, device = "openvino", "cpu"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        openvino = import_openvino()
        self.path = Path(path)
        if not self.path.is_file():
            raise CheckpointError(f"{path} is not a file: give an .onnx file that exists")
        # By default it computes in bf16 where the processor can, under the name of an fp32 model.
        options: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            self.compiled = openvino.Core().compile_model(str(path), "CPU", options)
        except RuntimeError as error:
            reasons = [line.strip(" -") for line in str(error).splitlines() if "fail" in line.lower()]
            raise CheckpointError(
                f"OpenVINO refuses the exported graph: {(reasons or ['no reason given'])[-1]}"
            ) from error
        self._request = self.compiled.create_infer_request()
        entry = self.compiled.input(0)
        fixed = [side.get_length() if side.is_static else None for side in entry.get_partial_shape()]
        self._type = entry.get_element_type().to_dtype()
        last = fixed[1] not in (1, 3)  # the file's own texts do not come with the compiled model
        run = with_bytes(self._infer, last) if self._type == np.uint8 else self._infer
        self._run = with_batch(run, fixed[0]) if fixed[0] is not None else run

    def run(self, batch: np.ndarray) -> np.ndarray:
        try:
            return self._run(batch)
        except (RuntimeError, MemoryError) as error:
            if self._is_stopped:
                raise RunStopped from error
            lacks = isinstance(error, MemoryError) or "alloc" in str(error)
            kind = EngineOutOfMemory if lacks else EngineError
            raise kind(f"OpenVINO broke off on {self.path.name}: {one_line(error)}") from error

    def stop(self) -> None:
        super().stop()
        self._request.cancel()

    def integer_convolutions(self) -> tuple[int, int]:
        """Counted in the graph that OpenVINO executes."""
        types = [
            str(info["runtimePrecision"].astype(str))
            for info in (operation.get_rt_info() for operation in self.compiled.get_runtime_model().get_ops())
            if "convolution" in str(info["layerType"].astype(str)).lower()
        ]
        return sum(kind in INTEGER_TYPES for kind in types), len(types)

    def _infer(self, batch: np.ndarray) -> np.ndarray:
        self.check_stopped()
        self._request.start_async([batch.astype(self._type, copy=False)])
        self._request.wait()
        self.check_stopped()  # the word may have come a moment before it was busy
        out = self._request.get_output_tensor(0).data
        return np.array(out, dtype=np.uint8 if self._type == np.uint8 else np.float32)
