"""Depthwise convolution for training: PyTorch's, with a faster gradient of large kernels on the CPU.

PyTorch's gradient of an 11x11 depthwise kernel takes six times as long as the convolution itself. It is a correlation
of the input with the output's gradient, (H + 10) x (W + 10) against H x W for each channel of each picture, which
leaves 11x11 numbers: again a depthwise convolution, with the pictures as channels and the gradient as kernels. The sum
over the pictures follows. Same function, same gradient; docs/architecture.md has the times.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

LEAST_KERNEL_SIZE = 9
"""Below, PyTorch's own gradient is as fast."""

LARGEST_SIDE = 64
"""Of the input: training patches. Larger ones would be kernels that the CPU library does not specialise in."""


def depthwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.conv2d` with "same" zero padding: x (N, C, H, W), weight (C, 1, k, k) with odd k, bias (C,)."""
    if _is_faster(x, weight):
        return _DepthwiseConv2d.apply(x, weight, bias)
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=weight.shape[0])


def _is_faster(x: Tensor, weight: Tensor) -> bool:
    return (
        weight.requires_grad
        and torch.is_grad_enabled()
        and x.device.type == "cpu"
        and weight.shape[-1] >= LEAST_KERNEL_SIZE
        and max(x.shape[2:]) <= LARGEST_SIDE
        and not torch.is_autocast_enabled("cpu")
    )


class _DepthwiseConv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        padding, channels = weight.shape[-1] // 2, weight.shape[0]
        return (
            # The gradient of the input is a convolution with the kernel turned by half.
            F.conv2d(gradient, weight.flip(2, 3), padding=padding, groups=channels) if of_x else None,
            kernel_gradient(x, gradient, padding) if of_weight else None,
            gradient.sum(dim=(0, 2, 3)) if of_bias else None,
        )


def kernel_gradient(x: Tensor, gradient: Tensor, padding: int) -> Tensor:
    """The (C, 1, k, k) gradient of a depthwise kernel, k = 2 padding + 1, from input and output gradient (N, C, H, W)."""
    batch, channels, height, width = x.shape
    planes = batch * channels
    # (H, W, N C) in memory: the layout in which the CPU library convolves many channels at once.
    pictures = F.pad(x, [padding] * 4).permute(2, 3, 0, 1).reshape(1, height + 2 * padding, -1, planes)
    kernels = gradient.permute(2, 3, 0, 1).reshape(height, width, planes).permute(2, 0, 1)[:, None]
    products = F.conv2d(pictures.permute(0, 3, 1, 2), kernels, groups=planes)
    return products.view(batch, channels, *products.shape[2:]).sum(0)[:, None]
