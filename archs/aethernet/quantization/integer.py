"""Modules that deploy: int8 weights and levels, int32 biases, sums of integers, and the conversion of a trained tree into them.

Between the modules travel `Levels`. What stays float reads their values. How levels are made and summed is the
business of an `Arithmetic`: the reference here computes with PyTorch; an exporter writes a runtime's nodes instead.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aethernet.quantization.fake import (
    LARGEST_LEVEL,
    LOWEST_LEVEL,
    FakeQuantizer,
    QuantConv2d,
    QuantizedOperation,
    RoundedConv2d,
    geometry,
)

EXACT_IN_FLOAT32 = 2**24
"""Whole numbers below it, and their sums below it, have no rounding in float32."""


class Levels(NamedTuple):
    """A tensor on an int8 grid: whole levels in [-128, 127], and the float32 step between two."""

    levels: Tensor
    step: Tensor


class Arithmetic:
    """The reference: levels as int8, sums of integers without rounding, half to even at the end."""

    def quantize(self, x: Tensor, step: Tensor) -> Levels:
        return Levels(torch.round(x / step).clamp_(LOWEST_LEVEL, LARGEST_LEVEL).to(torch.int8), step)

    def dequantize(self, x: Levels) -> Tensor:
        return x.levels.to(x.step.dtype) * x.step

    def convolve(self, conv: "IntegerConv2d", x: Levels) -> Tensor:
        """The convolution's float output. Its sum is exact: float holds whole numbers of that size without rounding."""
        largest_sum = conv.weight[0].numel() * LARGEST_LEVEL * -LOWEST_LEVEL
        exact = torch.float32 if largest_sum < EXACT_IN_FLOAT32 else torch.float64
        total = F.conv2d(x.levels.to(exact), conv.weight.to(exact), padding=conv.padding, groups=conv.groups)
        return (total.double() + conv.bias.view(1, -1, 1, 1)) * conv.sum_step.double().view(1, -1, 1, 1)

    def rearrange(self, operation: nn.Module, x: Levels) -> Levels:
        """An operation that moves numbers without changing them, done on the levels."""
        return Levels(operation(x.levels), x.step)


REFERENCE = Arithmetic()


class IntegerModule(nn.Module):
    """Base of the deployed modules; `arithmetic` is shared by a whole tree."""

    arithmetic: Arithmetic = REFERENCE

    def value(self, x: Tensor | Levels) -> Tensor:
        """The float tensor that `x` stands for."""
        return self.arithmetic.dequantize(x) if isinstance(x, Levels) else x


class IntegerQuantizer(IntegerModule):
    """Rounds a float tensor to levels."""

    step: Tensor

    def __init__(self, quantizer: FakeQuantizer) -> None:
        super().__init__()
        self.register_buffer("step", quantizer.step)

    def forward(self, x: Tensor | Levels) -> Levels:
        return self.arithmetic.quantize(self.value(x), self.step)


class IntegerConv2d(IntegerModule):
    """A convolution of levels with int8 weights and an int32 bias, to levels."""

    weight: Tensor
    weight_step: Tensor
    bias: Tensor
    sum_step: Tensor

    def __init__(self, conv: QuantConv2d) -> None:
        super().__init__()
        assert isinstance(conv.padding, tuple) and conv.bias is not None
        self.padding, self.groups = conv.padding, conv.groups
        step, sum_step = conv.weight_step, conv.sum_step
        self.register_buffer("weight", torch.round(conv.weight.detach() / step).to(torch.int8))
        self.register_buffer("weight_step", step.flatten().clone())
        self.register_buffer("bias", torch.round(conv.bias.detach() / sum_step).to(torch.int32))
        self.register_buffer("sum_step", sum_step)
        self.input_quantizer = converted(conv.input_quantizer)
        self.quantizer = IntegerQuantizer(conv.quantizer)

    def forward(self, x: Tensor | Levels) -> Levels:
        levels = self.input_quantizer(x)
        return self.quantizer(self.arithmetic.convolve(self, levels))

    def extra_repr(self) -> str:
        out_channels, in_channels, *kernel_size = self.weight.shape
        return f"{in_channels * self.groups}, {out_channels}, kernel_size={tuple(kernel_size)}, groups={self.groups}"


class FloatOperation(IntegerModule):
    """What stays float: reads the values of levels, returns a float tensor."""

    def __init__(self, operation: nn.Module) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, *tensors: Tensor | Levels) -> Tensor:
        return self.operation(*(self.value(x) for x in tensors))


class RoundedOperation(FloatOperation):
    """A float operation whose output is rounded to levels; runtimes with a table or an int8 kernel for it use that."""

    def __init__(self, operation: nn.Module, quantizer: FakeQuantizer) -> None:
        super().__init__(operation)
        self.quantizer = IntegerQuantizer(quantizer)

    def forward(self, *tensors: Tensor | Levels) -> Levels:  # type: ignore[override]
        return self.quantizer(super().forward(*tensors))


class Rearrangement(IntegerModule):
    """PixelShuffle and the like: levels stay levels of the same grid."""

    def __init__(self, operation: nn.Module) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor | Levels) -> Tensor | Levels:
        return self.arithmetic.rearrange(self.operation, x) if isinstance(x, Levels) else self.operation(x)


def converted(module: nn.Module) -> nn.Module:
    """The deployed form of one fake-quantised module; any other module is returned as it is."""
    if isinstance(module, QuantConv2d):
        return IntegerConv2d(module)
    if isinstance(module, RoundedConv2d):
        return RoundedOperation(plain(module), module.quantizer)
    if isinstance(module, QuantizedOperation):
        return RoundedOperation(module.operation, module.quantizer)
    if isinstance(module, FakeQuantizer):
        return IntegerQuantizer(module)
    if isinstance(module, nn.PixelShuffle):
        return Rearrangement(module)
    return module


def plain(conv: RoundedConv2d) -> nn.Conv2d:
    """The convolution inside, without the rounding of its output."""
    inner = nn.Conv2d(**geometry(conv), device="meta")
    inner.weight, inner.bias = conv.weight, conv.bias
    return inner


@torch.no_grad()
def convert(tree: nn.Module, float_operations: Iterable[type[nn.Module]]) -> nn.Module:
    """Replaces every fake-quantised module below `tree` by its deployed form, in place, and returns `tree`.

    Args:
        float_operations: types of modules that stay float and may meet levels, such as `nn.Conv2d`.
    """
    kinds = tuple(float_operations)
    for name, child in tree.named_children():
        replacement = converted(child)
        if replacement is not child:
            setattr(tree, name, replacement)
        elif isinstance(child, kinds):
            setattr(tree, name, FloatOperation(child))
        else:
            convert(child, kinds)
    return tree
