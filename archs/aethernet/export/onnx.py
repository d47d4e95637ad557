"""ONNX files: the fused graph in float32 or with float16 inside, or the int8 network; N, H and W are free or fixed."""

import contextlib
import copy
import dataclasses
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor, nn

from aethernet.checks import one_of
from aethernet.errors import ExportError, MissingDependencyError, StageError, UsageError
from aethernet.export.form import WHOLE_PICTURE, BytesAround, Form, Pixels
from aethernet.export.half_range import LARGEST
from aethernet.export.lowering import EXPORTED, LOWERED, lower
from aethernet.export.qdq import TARGETS, QdqArithmetic, TargetName, set_arithmetic
from aethernet.files import atomic_path
from aethernet.network.config import COLOR_ORDERS
from aethernet.network.network import AetherNet
from aethernet.version import __version__

if TYPE_CHECKING:
    import onnx

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
OPSETS: dict[Precision, int] = {"fp32": 17, "fp16": 17, "int8": 21}
"""Operator sets by default; docs/export.md says which runtime reads which. TensorRT 8 ends at 17."""
LEAST_OPSET, LARGEST_OPSET = 17, 22
"""Nothing in these graphs needs a newer one, and older runtimes would not read it."""
INPUT_NAME, OUTPUT_NAME = "input", "output"


class HalfInside(nn.Module):
    """Computes in float16 behind a float32 input and output, so that callers feed both precisions alike."""

    def __init__(self, network: AetherNet) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.half()).float()


def export_onnx(
    model: AetherNet,
    scale: int = 4,
    precision: Precision = "fp32",
    path: str | Path | None = None,
    opset: int | None = None,
    target: TargetName = "ort",
    *,
    static: tuple[int, int] | None = None,
    batch: int | None = None,
    pixels: Pixels = "float",
) -> Path:
    """Writes the network as ONNX: `input` (N, C, H, W) in [0, 1], RGB -> `output` (N, C, scale H, scale W).

    Args:
        model: for `fp32` and `fp16` a network of stage train or fused, which is copied and fused and itself left as it is;
            for `int8` what `convert_to_quantized()` returned.
        scale: the model's scale, as a check.
        precision: `fp32`, `fp16` (float16 inside, float32 input and output) or `int8` (QuantizeLinear and
            DequantizeLinear nodes, int8 weights).
        path: the file to write, by default `aether_VARIANT_xSCALE_PRECISION.onnx` in the current folder; behind the
            precision stand the target of int8 files, and what is fixed.
        opset: ONNX operator set, 17 to 22, by default 17, and 21 for int8.
        target: the runtime of an int8 file, `ort`, `openvino` or `tensorrt`; float files suit all.
        static: the only height and width of the input; by default any.
        batch: the only N; by default any.
        pixels: `float`, or bytes in and out: `uint8_nchw` and `uint8_nhwc`, (N, H, W, C), in [0, 255].

    Returns:
        The path of the file, which `onnx.checker` has accepted.

    Raises:
        UsageError: an unknown precision, target, form or operator set, or another scale.
        ExportError: weights too large for fp16, or an operator set that this torch cannot write.
        StageError: a network of the wrong stage.
        MissingDependencyError: as `require_exporter`.

    Example:
        >>> from aether_arch import aether_tiny, export_onnx
        >>> export_onnx(aether_tiny(scale=2), scale=2, precision="fp16", static=(270, 480)).name
        'aether_tiny_x2_fp16_270x480.onnx'
    """
    form = Form(static=static, batch=batch, pixels=pixels)
    opset = check_choices(precision, target, opset)
    if scale != model.config.scale:
        raise UsageError(f"the model is {model.config.title}, but scale={scale} was given: pass its own scale")
    require_exporter()
    import onnx

    path = Path(path or f"{model.config.name}{file_suffix(precision, target, form)}")
    network = _exportable(model, precision, target, opset)
    if form.pixels != "float":
        network = BytesAround(network, channels_last=form.channels_last)
    proto = _traced(network, model.config.in_channels, form, opset)
    onnx.helper.set_model_props(proto, _metadata(model, precision, target, form))
    onnx.checker.check_model(proto, full_check=True)
    with atomic_path(path) as temporary:
        onnx.save(proto, temporary)
    return path


def require_exporter() -> None:
    """Raises `MissingDependencyError` where onnx or onnxscript is missing, or torch too old to write these files."""
    if not hasattr(torch.onnx, "ops"):  # 2.7 lacks what int8 files are written with, 2.6 writes other operators
        raise MissingDependencyError(
            f"ONNX export needs torch 2.8 or newer, this is {torch.__version__}: pip install --upgrade torch"
        )
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401  (torch's exporter is built on it)
    except ImportError as error:
        raise MissingDependencyError(f"ONNX export needs {error.name}: pip install onnx onnxscript") from error


def check_choices(precision: Precision, target: TargetName = "ort", opset: int | None = None) -> int:
    """The operator set to write; raises `UsageError` for a precision, target or operator set that there is not."""
    one_of("precision", precision, PRECISIONS, UsageError)
    one_of("target", target, TARGETS, UsageError)
    opset = OPSETS[precision] if opset is None else opset
    if opset < LEAST_OPSET:
        raise UsageError(f"opset must be at least {LEAST_OPSET}, not {opset}")
    if opset > LARGEST_OPSET:
        raise UsageError(f"opset must be at most {LARGEST_OPSET}, not {opset}: no operator here needs a newer one")
    return opset


def file_suffix(precision: Precision, target: TargetName, form: Form) -> str:
    """What stands behind a network's name in the name of its file."""
    return f"_{precision}{f'_{target}' if precision == 'int8' else ''}{form.suffix}.onnx"


def _exportable(model: AetherNet, precision: Precision, target: TargetName, opset: int) -> nn.Module:
    """A copy of the model in the form that is traced."""
    stage = model.config.stage
    if precision == "int8":
        if stage != "int8":
            raise StageError(
                f"int8 files are written from a converted network, this one is of stage {stage}: call prepare_qat(), train "
                "it or aethernet.calibrate(network, pictures), then export what convert_to_quantized() returns"
            )
        network = copy.deepcopy(model).cpu().eval()
        set_arithmetic(network, QdqArithmetic(TARGETS[target], max(opset, EXPORTED)))
        return network
    if model.config.quantized:
        raise StageError(
            f"{precision} files are written from the float network, this one is of stage {stage}: export the network from "
            "before prepare_qat(), or precision='int8'"
        )
    network = copy.deepcopy(model).cpu().float().eval().fuse_model()
    if precision == "fp32":
        return network
    for name, weight in network.named_parameters():
        if not weight.abs().max() <= LARGEST:
            raise ExportError(
                f"{name} of the fused network reaches {weight.abs().max():.4g}, float16 ends at {LARGEST:g}: export fp32"
            )
    return HalfInside(network)


def _traced(network: nn.Module, in_channels: int, form: Form, opset: int) -> "onnx.ModelProto":
    import onnx

    with quiet_exporter():
        program = torch.onnx.export(
            network.eval(),
            (form.example(in_channels),),
            dynamo=True,
            opset_version=max(opset, EXPORTED),
            dynamic_shapes=form.dynamic_shapes(),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            verbose=False,
        )
    assert program is not None  # as always with dynamo
    proto = program.model_proto
    if opset == LOWERED:
        lower(proto)
    if [entry.version for entry in proto.opset_import] != [opset]:  # a converter gave up, without a word
        raise ExportError(
            f"torch {torch.__version__} cannot write operator set {opset} of this network: give another opset"
        )
    # The exporter writes its own newest format into every file, which runtimes of the operator set's time refuse.
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import)
    del proto.graph.value_info[:]  # a fortieth of an int8 file, and shape inference finds it again
    values = (*proto.graph.input, *proto.graph.output)
    for part in (*proto.graph.node, *values):
        del part.metadata_props[:]  # its notes: paths and source lines of the machine that wrote the file
    sizes = proto.graph.input[0].type.tensor_type.shape.dim
    names = {sizes[axis].dim_param: name for name, axis in form.axes().items() if sizes[axis].dim_param}
    for value in values:  # sizes get names that say something: s53 is the height
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = re.sub(r"\w+", lambda found: names.get(found[0], found[0]), size.dim_param)
    return proto


def _metadata(model: AetherNet, precision: Precision, target: TargetName, form: Form) -> dict[str, str]:
    radius = model.receptive_radius
    config = dataclasses.replace(model.config, stage="int8" if precision == "int8" else "fused")
    return {
        "aethernet_version": __version__,
        "config": bytes(config.to_tensor().tolist()).decode(),
        "variant": config.variant,
        "scale": str(config.scale),
        "stage": config.stage,
        "precision": precision,
        **({"target": target} if precision == "int8" else {}),
        "color_order": COLOR_ORDERS[config.in_channels],
        **form.metadata(),
        "tile_radius": WHOLE_PICTURE if radius is None else str(radius),
    }


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silences torch's exporter and what it is built on: progress, and warnings about deprecations of their own."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
