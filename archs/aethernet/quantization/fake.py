"""Modules that train: float tensors rounded to the int8 grid, so that a network learns to live with the rounding.

Sources: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
(CVPR 2018); Esser et al., Learned Step Size Quantization (ICLR 2020), for the gradient of a range.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, distributed, nn

from aethernet.errors import StageError

LARGEST_LEVEL = 127
"""The level of the largest magnitude of activations."""
LOWEST_LEVEL = -128
"""Their lowest level: where runtimes cut off, so that theirs is the grid that was trained."""
WATCHED_BATCHES = 16
"""How many training batches set the ranges, where nothing has calibrated them before."""


class Round(torch.autograd.Function):
    """A tensor on the grid of `range`, with the gradients of LSQ: straight through inside, to the range outside.

    The range's gradient is divided by sqrt(numbers * LARGEST_LEVEL) as in LSQ section 2.2, so that one number does not
    outweigh a layer's weights where gradients are clipped by their common norm.
    """

    @staticmethod
    def forward(ctx, x: Tensor, range_: Tensor) -> Tensor:
        step = range_ / LARGEST_LEVEL
        position = x / step
        ctx.save_for_backward(position)
        return position.round().clamp_(LOWEST_LEVEL, LARGEST_LEVEL).mul_(step)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        (position,) = ctx.saved_tensors
        inside = (position >= LOWEST_LEVEL) & (position <= LARGEST_LEVEL)
        for_range = None
        if ctx.needs_input_grad[1]:
            rounding = torch.where(inside, position.round() - position, position.clamp(LOWEST_LEVEL, LARGEST_LEVEL))
            for_range = (gradient * rounding).sum() / LARGEST_LEVEL / (position.numel() * LARGEST_LEVEL) ** 0.5
        return gradient * inside, for_range


class RoundWeight(torch.autograd.Function):
    """Weights on their channels' grids; nothing is cut off, so the gradient goes straight through."""

    @staticmethod
    def forward(ctx, weight: Tensor, levels: int) -> Tensor:
        step = weight_step(weight, levels)
        return torch.round(weight / step).mul_(step)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return gradient, None


class RoundBias(torch.autograd.Function):
    """A bias on the grid of the sums that it joins, whose step is that of the input times that of the weights."""

    @staticmethod
    def forward(ctx, bias: Tensor, step: Tensor) -> Tensor:
        return torch.round(bias / step).mul_(step)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        return gradient, None


def weight_step(weight: Tensor, levels: int) -> Tensor:
    """The (O, 1, 1, 1) steps that bring the largest weight of each output channel to level `levels`, 63 or 127."""
    largest = weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True)
    return torch.where(largest > 0, largest, levels) / levels


class FakeQuantizer(nn.Module):
    """Holds an activation on the int8 grid whose level 127 is `range`; any shape in and out.

    The range is a parameter, so that weight averages over `named_parameters()` and strict loading know it. 0 stands
    for unknown. While `observe` is set, tensors are shown to it and pass unrounded (`calibrate` uses that); after
    `watch_batches`, the same holds for as many training batches, whose largest magnitude then is the range.

    Raises:
        StageError: in the forward pass, while the range is unknown.
    """

    def __init__(self, *, learnt: bool = True) -> None:
        super().__init__()
        self.range = nn.Parameter(torch.zeros(()), requires_grad=learnt)
        self.observe: Callable[[Tensor], None] | None = None
        self.watch_batches = 0
        self._known = False

    def forward(self, x: Tensor) -> Tensor:
        if self.observe is not None:
            self.observe(x)
            return x
        if self.watch_batches and self.training:
            self._watch(x)
            return x
        if not self._known:
            self.require_range()
        return Round.apply(x, self.range)

    @property
    def known(self) -> bool:
        """Whether the range has been set."""
        return bool(self.range > 0) and bool(torch.isfinite(self.range))

    @property
    def rounds(self) -> bool:
        """Whether tensors leave rounded, not just watched."""
        return self.observe is None and not (self.watch_batches and self.training)

    @property
    def step(self) -> Tensor:
        """The distance of two levels."""
        return self.range.detach() / LARGEST_LEVEL

    @torch.no_grad()
    def _watch(self, x: Tensor) -> None:
        largest = x.abs().amax().to(self.range.dtype)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(largest, distributed.ReduceOp.MAX)
        self.range.copy_(torch.maximum(self.range, largest))
        self.watch_batches -= 1

    def require_range(self) -> None:
        if not self.known:
            raise StageError(
                "this network of stage qat has no ranges of activations yet: load a calibrated checkpoint (`aethernet "
                "calibrate WEIGHTS --data DIR -o OUT` writes one), call aethernet.calibrate(network, pictures), or "
                f"after prepare_qat() train {WATCHED_BATCHES} batches, which set them"
            )
        self._known = True

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._known = False

    def extra_repr(self) -> str:
        return f"learnt={self.range.requires_grad}"


def geometry(conv: nn.Conv2d) -> dict[str, Any]:
    """The arguments that make a convolution of the same shape."""
    names = ("in_channels", "out_channels", "kernel_size", "padding", "groups")
    return {name: getattr(conv, name) for name in names}


class RoundedConv2d(nn.Conv2d):
    """A convolution in float whose output lies on the int8 grid.

    Built from a convolution, whose parameters it takes over as the same objects.
    """

    def __init__(self, conv: nn.Conv2d, *, learnt: bool = True) -> None:
        super().__init__(**geometry(conv), device="meta")
        self.weight, self.bias = conv.weight, conv.bias
        self.quantizer = FakeQuantizer(learnt=learnt)

    def forward(self, x: Tensor) -> Tensor:
        return self.quantizer(super().forward(x))


class QuantConv2d(RoundedConv2d):
    """A convolution in integers: weights, bias and output on grids, and the input on the grid of `source`.

    Args:
        source: the quantiser of the tensor that comes in; None for a float tensor, which is rounded here.
        levels: the level of a channel's largest weight, 63 or 127.
    """

    def __init__(self, conv: nn.Conv2d, *, source: FakeQuantizer | None, levels: int, learnt: bool = True) -> None:
        super().__init__(conv, learnt=learnt)
        self.levels = levels
        self.input_quantizer = nn.Identity() if source else FakeQuantizer(learnt=learnt)
        self._source = (source or self.input_quantizer,)  # a tuple, because the source belongs to another module

    def forward(self, x: Tensor) -> Tensor:
        x = self.input_quantizer(x)
        bias = RoundBias.apply(self.bias, self.sum_step) if self.source.rounds else self.bias
        return self.quantizer(self._conv_forward(x, RoundWeight.apply(self.weight, self.levels), bias))

    @property
    def source(self) -> FakeQuantizer:
        """The quantiser on whose grid the input lies."""
        source = self._source[0]
        assert isinstance(source, FakeQuantizer)
        return source

    @property
    def weight_step(self) -> Tensor:
        """The (O, 1, 1, 1) steps of the weights."""
        return weight_step(self.weight, self.levels)

    @property
    def sum_step(self) -> Tensor:
        """The (O,) steps of the sums of integers, on whose grid the bias lies."""
        return self.source.step * self.weight_step.flatten()


class QuantizedOperation(nn.Module):
    """An operation without weights whose output lies on the int8 grid."""

    def __init__(self, operation: nn.Module, *, learnt: bool) -> None:
        super().__init__()
        self.operation = operation
        self.quantizer = FakeQuantizer(learnt=learnt)

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.quantizer(self.operation(*tensors))


def quantizers(tree: nn.Module) -> Iterator[tuple[str, FakeQuantizer]]:
    """The quantisers of activations below `tree`, with their names, in the order of their registration."""
    return ((name, module) for name, module in tree.named_modules() if isinstance(module, FakeQuantizer))
