"""The files that a network is given away as: what each is for, what it is written from, and where it is verified."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aethernet.errors import UsageError
from aethernet.export.form import Form
from aethernet.export.onnx import Precision, check_choices, file_suffix
from aethernet.export.qdq import TargetName
from aethernet.verify.gate import AS_WRITTEN, NCNN, ONNXRUNTIME, OPENVINO, PYTORCH


@dataclass(frozen=True)
class Product:
    """One kind of file.

    Attributes:
        suffix: behind the network's name.
        precision: `float32`, `float16` or `int8`.
        stage: of the network that it is written from.
        purpose: for whom, in a few words.
        runtimes: where it is verified.
        engines: of `aethernet.bench`, in which it is timed on this machine.
        every_x86: whether it must be right on every x86 CPU, with and without VNNI.
        remark: what its figures do not tell.
        target: of an int8 ONNX file.
    """

    suffix: str
    precision: str
    stage: str
    purpose: str
    runtimes: tuple[str, ...]
    engines: tuple[str, ...] = ()
    every_x86: bool = False
    remark: str = ""
    target: TargetName = "ort"

    @property
    def is_onnx(self) -> bool:
        return self.suffix.endswith(".onnx")

    @property
    def is_ncnn(self) -> bool:
        """Whether it is a `.param`, which has its weights in a `.bin` beside it."""
        return self.suffix.endswith(".param")

    @property
    def onnx_precision(self) -> Precision:
        """As `export_onnx` calls it."""
        names: dict[str, Precision] = {"float32": "fp32", "float16": "fp16", "int8": "int8"}
        return names[self.precision]

    @property
    def for_x86(self) -> bool:
        """Whether the file is made to run on CPUs, and not as it is written."""
        return AS_WRITTEN not in self.runtimes


TRAINING = Product(".safetensors", "float32", "train", "training form: train on, or fuse", (PYTORCH,))
FUSED = Product("_fused.safetensors", "float32", "fused", "PyTorch: the plain graph", (PYTORCH,), ("eager",))
FUSED_PTH = Product("_fused.pth", "float32", "fused", "PyTorch and tools that read .pth only", (PYTORCH,))
QAT = Product(
    "_qat.safetensors", "int8", "qat", "the network on int8 grids (stage qat): fine-tune or export", (PYTORCH,)
)
INT8 = Product("_int8.safetensors", "int8", "int8", "the network in integers (stage int8): export", (PYTORCH,))
FP32 = Product(
    "_fp32.onnx", "float32", "fused", "every ONNX runtime", (ONNXRUNTIME, OPENVINO), ("onnxruntime", "openvino")
)
FP16 = Product(
    "_fp16.onnx", "float16", "fused", "GPUs: TensorRT, DirectML, CUDA", (ONNXRUNTIME, OPENVINO), ("onnxruntime", "openvino"),
    remark="On a CPU both runtimes compute float16 files in float32: the milliseconds say nothing about a GPU.",
)  # fmt: skip
INT8_ORT = Product(
    "_int8_ort.onnx", "int8", "int8", "ONNX Runtime on x86", (ONNXRUNTIME,), ("onnxruntime",), every_x86=True
)
INT8_OPENVINO = Product(
    "_int8_openvino.onnx", "int8", "int8", "OpenVINO", (ONNXRUNTIME, OPENVINO), ("openvino",), every_x86=True,
    target="openvino",
)  # fmt: skip
INT8_TENSORRT = Product(
    "_int8_tensorrt.onnx", "int8", "int8", "TensorRT", (AS_WRITTEN,), target="tensorrt",
    remark="TensorRT does not run here. The file was computed by ONNX Runtime as it is written, nothing fused, which gives "
    "the numbers that TensorRT is asked for; build the engine with the line of the report and compare once.",
)  # fmt: skip
NOT_BELOW_ZERO = (
    "Its output ends at 0, for the programs turn it into bytes by a conversion that is undefined below; it was compared with the "
    "network's output ended alike."
)
NCNN_FP32 = Product(
    "_fp32.param",
    "float32",
    "fused",
    "ncnn: Upscayl, Real-ESRGAN-ncnn-vulkan",
    (NCNN,),
    ("ncnn",),
    remark=NOT_BELOW_ZERO,
)
NCNN_FP16 = Product(
    "_fp16.param",
    "float16",
    "fused",
    "ncnn, weights in float16: half the size",
    (NCNN,),
    ("ncnn",),
    remark=NOT_BELOW_ZERO,
)
BUNDLE = (
    TRAINING,
    FUSED,
    FUSED_PTH,
    FP32,
    FP16,
    NCNN_FP32,
    NCNN_FP16,
    QAT,
    INT8,
    INT8_ORT,
    INT8_OPENVINO,
    INT8_TENSORRT,
)
"""Everything that a bundle can hold, in the order of its tables."""
NcnnName = Literal["ncnn"]
NCNN_TARGET: NcnnName = "ncnn"
NCNN_PACKAGES = ("ncnn", "pnnx")
"""What ncnn files are verified and written with: the extra `ncnn`."""
FLOAT_NCNN = {"fp32": NCNN_FP32, "fp16": NCNN_FP16}
FLOAT_ONNX = {"fp32": FP32, "fp16": FP16}
INT8_ONNX = {product.target: product for product in (INT8_ORT, INT8_OPENVINO, INT8_TENSORRT)}


def onnx_products(
    precisions: Sequence[Precision],
    targets: Sequence[TargetName] = ("ort",),
    form: Form | None = None,
    opset: int | None = None,
) -> list[Product]:
    """The ONNX files of these precisions, int8 for each target, in a form; float ones first, none twice.

    Each is verified in the one runtime that takes every form, and may be right on CPUs with VNNI alone: whoever asks for
    weights on 8 bits knows where.

    Raises:
        UsageError: no or unknown precisions or targets, a wrong operator set.
    """
    form = form or Form()
    if not precisions:
        raise UsageError("no precision was given: fp32, fp16 or int8")
    if "int8" in precisions and not targets:
        raise UsageError("int8 files are written for a runtime: give a target, ort, openvino or tensorrt")
    products = []
    for precision in sorted(dict.fromkeys(precisions), key=lambda precision: precision == "int8"):
        suited: Sequence[TargetName] = list(dict.fromkeys(targets)) if precision == "int8" else ["ort"]
        for target in suited:
            check_choices(precision, target, opset)
            base = INT8_ONNX[target] if precision == "int8" else FLOAT_ONNX[precision]
            suffix = file_suffix(precision, target, form)
            products.append(
                dataclasses.replace(base, suffix=suffix, runtimes=base.runtimes[:1], every_x86=False, remark="")
            )
    return products
