"""int8 in ONNX: QuantizeLinear and DequantizeLinear around plain operators, which runtimes turn into integer kernels.

Two files come from one network, on the same grid. ONNX Runtime on x86 and OpenVINO want uint8 activations with zero
point 128; TensorRT takes int8 with zero point 0 only. Neither runtime does well with the other's file: int8 activations
run at half the speed of float in ONNX Runtime on x86.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aethernet.quantization.integer import Arithmetic, IntegerConv2d, IntegerModule, Levels


@dataclass(frozen=True)
class Target:
    """What a runtime wants of an int8 file: the type and zero point of activations, and biases as int32 or as float."""

    title: str
    activation: torch.dtype
    zero_point: int
    int32_bias: bool


TargetName = Literal["ort", "openvino", "tensorrt"]
TARGETS: dict[TargetName, Target] = {
    "ort": Target("ONNX Runtime", torch.uint8, 128, int32_bias=True),
    "openvino": Target("OpenVINO", torch.uint8, 128, int32_bias=True),
    "tensorrt": Target("TensorRT", torch.int8, 0, int32_bias=False),
}


class QdqArithmetic(Arithmetic):
    """Writes ONNX nodes in place of the reference's sums; for `torch.onnx.export` only."""

    def __init__(self, target: Target, opset: int) -> None:
        self.target = target
        self.opset = opset

    def quantize(self, x: Tensor, step: Tensor) -> Levels:
        zero_point = torch.tensor(self.target.zero_point, dtype=self.target.activation)
        levels = torch.onnx.ops.symbolic(
            "QuantizeLinear", (x, step, zero_point), dtype=self.target.activation, shape=x.shape, version=self.opset
        )
        return Levels(levels, step)

    def dequantize(self, x: Levels) -> Tensor:
        zero_point = torch.tensor(self.target.zero_point, dtype=self.target.activation)
        return torch.onnx.ops.symbolic(
            "DequantizeLinear", (x.levels, x.step, zero_point), dtype=torch.float32, shape=x.levels.shape,
            version=self.opset,
        )  # fmt: skip

    def convolve(self, conv: IntegerConv2d, x: Levels) -> Tensor:
        weight = self.constant(conv.weight, conv.weight_step)
        int32 = self.target.int32_bias
        bias = self.constant(conv.bias, conv.sum_step) if int32 else conv.get_buffer("float_bias")
        return F.conv2d(self.dequantize(x), weight, bias, padding=conv.padding, groups=conv.groups)

    def constant(self, levels: Tensor, steps: Tensor) -> Tensor:
        """Stored integers with a step for each output channel."""
        return torch.onnx.ops.symbolic(
            "DequantizeLinear",
            (levels, steps),
            {"axis": 0},
            dtype=torch.float32,
            shape=levels.shape,
            version=self.opset,
        )

    def rearrange(self, operation: nn.Module, x: Levels) -> Levels:
        return self.quantize(operation(self.dequantize(x)), x.step)


def set_arithmetic(network: nn.Module, arithmetic: Arithmetic) -> None:
    """Gives every integer module below `network` the arithmetic."""
    for module in network.modules():
        if isinstance(module, IntegerModule):
            module.arithmetic = arithmetic
        if isinstance(module, IntegerConv2d):
            module.register_buffer("float_bias", module.bias * module.sum_step, persistent=False)
