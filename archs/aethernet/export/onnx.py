"""ONNX files with dynamic N, H and W: the fused graph in float32 or with float16 inside, or the int8 network."""

import contextlib
import copy
import dataclasses
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from aethernet.errors import ConfigError, EnvironmentProblem, StageError
from aethernet.export.qdq import TARGETS, QdqArithmetic, set_arithmetic
from aethernet.files import atomic_path
from aethernet.network import AetherNet
from aethernet.version import __version__

if TYPE_CHECKING:
    import onnx

PRECISIONS = ("fp32", "fp16", "int8")
OPSETS = {"fp32": 18, "fp16": 18, "int8": 21}
"""Operator sets by default. With 21, ONNX Runtime from 1.20, OpenVINO from 2024.4 and TensorRT from 10.2 read the file;
lower ones, down to 17, are for older runtimes."""
LEAST_OPSET = 17
INPUT_NAME, OUTPUT_NAME = "input", "output"
DYNAMIC_SHAPE = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
"""N, H and W of an (N, C, H, W) input are free."""


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
    precision: str = "fp32",
    path: str | Path | None = None,
    opset: int | None = None,
    target: str = "ort",
) -> Path:
    """Writes the network as ONNX: `input` (N, C, H, W) in [0, 1], RGB -> `output` (N, C, scale H, scale W).

    Args:
        model: for `fp32` and `fp16` a network of stage train or fused, which is copied and fused and itself left as it is;
            for `int8` what `convert_to_quantized()` returned.
        scale: the model's scale, as a check.
        precision: `fp32`, `fp16` (float16 inside, float32 input and output) or `int8` (QuantizeLinear and
            DequantizeLinear nodes, int8 weights).
        path: the file to write, by default `aether_VARIANT_xSCALE_PRECISION.onnx` in the current folder; int8 files have
            the target behind it.
        opset: ONNX operator set, by default 18, and 21 for int8.
        target: the runtime of an int8 file, `ort`, `openvino` or `tensorrt`; float files suit all.

    Returns:
        The path of the file, which `onnx.checker` has accepted.

    Raises:
        ConfigError: an unknown precision or target, another scale, an operator set below 17.
        StageError: a network of the wrong stage.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if target not in TARGETS:
        raise ConfigError(f"target must be one of {', '.join(TARGETS)}, not {target!r}")
    if scale != model.config.scale:
        raise ConfigError(f"the model is {model.config.title}, but scale={scale} was given: pass its own scale")
    opset = OPSETS[precision] if opset is None else opset
    if opset < LEAST_OPSET:
        raise ConfigError(f"opset must be at least {LEAST_OPSET}, not {opset}")
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter is built on it)
    except ImportError as error:
        raise EnvironmentProblem(f"ONNX export needs {error.name}: `pip install onnx onnxscript`") from error
    suffix = f"{precision}_{target}" if precision == "int8" else precision
    path = Path(path or f"aether_{model.config.variant}_x{scale}_{suffix}.onnx")
    proto = _traced(_exportable(model, precision, target, opset), model.config.in_channels, opset)
    onnx.helper.set_model_props(proto, _metadata(model, precision, target))
    onnx.checker.check_model(proto, full_check=True)
    with atomic_path(path) as temporary:
        onnx.save(proto, temporary)
    return path


def _exportable(model: AetherNet, precision: str, target: str, opset: int) -> nn.Module:
    """A copy of the model in the form that is traced."""
    stage = model.config.stage
    if precision == "int8":
        if stage != "int8":
            raise StageError(
                f"int8 files are written from a converted network, this one is of stage {stage}: call prepare_qat(), train "
                "it or aethernet.calibrate(network, pictures), then export what convert_to_quantized() returns"
            )
        network = copy.deepcopy(model).cpu().eval()
        set_arithmetic(network, QdqArithmetic(TARGETS[target], opset))
        return network
    if model.config.quantized:
        raise StageError(
            f"{precision} files are written from the float network, this one is of stage {stage}: export the network from "
            "before prepare_qat(), or precision='int8'"
        )
    network = copy.deepcopy(model).cpu().float().eval().fuse_model()
    return HalfInside(network) if precision == "fp16" else network


def _traced(network: nn.Module, in_channels: int, opset: int) -> "onnx.ModelProto":
    with quiet_exporter():
        program = torch.onnx.export(
            network,
            (torch.rand(2, in_channels, 16, 24),),
            dynamo=True,
            opset_version=opset,
            dynamic_shapes=(DYNAMIC_SHAPE,),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            verbose=False,
        )
    assert program is not None  # as always with dynamo
    proto = program.model_proto
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[
            :
        ]  # the exporter's own notes: paths and source lines of the machine that wrote the file
    return proto


def _metadata(model: AetherNet, precision: str, target: str) -> dict[str, str]:
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
        "color_order": "RGB" if config.in_channels == 3 else "grey",
        "value_range": "0..1",
        "tile_radius": "whole picture" if radius is None else str(radius),
    }


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silences torch's exporter: its progress, and warnings about deprecations of its own."""
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter_log.setLevel(level)
