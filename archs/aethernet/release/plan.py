"""The files of a bundle: what each is for, the runtimes that it is verified in, and what it may differ."""

from collections.abc import Callable
from dataclasses import dataclass

from aethernet.verify.agreement import Agreement

FLOAT_ERROR = 1e-4
"""Largest difference of a float32 file, on the [0, 1] range."""
HALF_AGREEMENT = 60.0
"""dB between a float16 file and the network. 8 bits themselves are 59 dB."""

PYTORCH, ONNXRUNTIME, OPENVINO = "PyTorch", "ONNX Runtime", "OpenVINO"
AS_WRITTEN = "ONNX Runtime, as written"
"""ONNX Runtime without any fusion: the file's own float operations between its rounding steps."""


@dataclass(frozen=True)
class Product:
    """One file of a bundle.

    Attributes:
        suffix: behind the bundle's name.
        precision: `float32`, `float16` or `int8`.
        purpose: for whom, in a few words.
        runtimes: where it is verified.
        engine: the engine of `aethernet.bench` that it is timed in on this machine, if any.
        remark: what its figures do not tell.
    """

    suffix: str
    precision: str
    purpose: str
    runtimes: tuple[str, ...]
    engine: str = ""
    remark: str = ""

    @property
    def for_x86(self) -> bool:
        """Whether the file is made to run on CPUs, and not as it is written."""
        return AS_WRITTEN not in self.runtimes


TRAINING = Product(".safetensors", "float32", "training form: train on, or fuse", (PYTORCH,))
FUSED = Product("_fused.safetensors", "float32", "PyTorch: the plain graph", (PYTORCH,), "eager")
FUSED_PTH = Product("_fused.pth", "float32", "PyTorch and tools that read .pth only", (PYTORCH,))
QAT = Product("_qat.safetensors", "int8", "the network on int8 grids (stage qat): fine-tune or export", (PYTORCH,))
INT8 = Product("_int8.safetensors", "int8", "the network in integers (stage int8): export", (PYTORCH,))
FP32 = Product("_fp32.onnx", "float32", "every ONNX runtime", (ONNXRUNTIME, OPENVINO), "onnxruntime openvino")
FP16 = Product(
    "_fp16.onnx",
    "float16",
    "GPUs: TensorRT, DirectML, CUDA",
    (ONNXRUNTIME, OPENVINO),
    "onnxruntime openvino",
    "On a CPU both runtimes compute float16 files in float32: the milliseconds say nothing about a GPU.",
)
INT8_ORT = Product("_int8_ort.onnx", "int8", "ONNX Runtime on x86", (ONNXRUNTIME,), "onnxruntime")
INT8_OPENVINO = Product("_int8_openvino.onnx", "int8", "OpenVINO", (ONNXRUNTIME, OPENVINO), "openvino")
INT8_TENSORRT = Product(
    "_int8_tensorrt.onnx",
    "int8",
    "TensorRT",
    (AS_WRITTEN,),
    "",
    "TensorRT does not run here. The file was computed by ONNX Runtime as it is written, nothing fused, which gives the "
    "numbers that TensorRT is asked for; build the engine with the line of the report and compare once.",
)
PRODUCTS = (TRAINING, FUSED, FUSED_PTH, FP32, FP16, QAT, INT8, INT8_ORT, INT8_OPENVINO, INT8_TENSORRT)
"""Everything that a bundle can hold, in the order of its tables."""


@dataclass(frozen=True)
class Budget:
    """What a file may differ from the network, as a text, as a test, and as the figure that was found."""

    text: str
    holds: Callable[[Agreement], bool]
    found: Callable[[Agreement], str]


def budget(precision: str, max_drop: float) -> Budget:
    """The gate of a precision; a figure that is not a number does not hold.

    Args:
        max_drop: the PSNR in dB (Y, mean over pictures) that an int8 file may lose.
    """
    if precision == "float32":
        return Budget(
            f"max error at most {FLOAT_ERROR:g}",
            lambda found: found.max_error <= FLOAT_ERROR,
            lambda found: f"max error {found.max_error:.1e}",
        )
    if precision == "float16":
        return Budget(
            f"agreement at least {HALF_AGREEMENT:g} dB",
            lambda found: found.agreement >= HALF_AGREEMENT,
            lambda found: f"agreement {found.agreement:.1f} dB",
        )
    return Budget(
        f"mean drop at most {max_drop:g} dB",
        lambda found: found.drop <= max_drop,
        lambda found: f"mean drop {found.drop:.3f} dB, {found.worst_drop:.2f} dB on {found.worst}",
    )
