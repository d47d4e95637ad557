"""Structural re-parameterisation: what is trained with rich branches is deployed as plain convolutions.

A convolution followed by anything that is affine per output channel is again a convolution, and parallel
convolutions over the same input add up to one. These identities are exact; a module that rests on them is
`Fusible`. Source of the idea: Ding et al., RepVGG (CVPR 2021) and RepLKNet (CVPR 2022).
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Fusible(nn.Module):
    """A module that one plain module can replace without changing the function (in eval mode)."""

    @abstractmethod
    def fused(self) -> nn.Module:
        """Returns the plain replacement as a new module; leaves this one as it is."""


def pad_kernel(kernel: Tensor, kernel_size: int) -> Tensor:
    """Embeds an odd (O, I, k, k) kernel in the middle of a (O, I, kernel_size, kernel_size) one of zeros."""
    margin = (kernel_size - kernel.shape[-1]) // 2
    return F.pad(kernel, [margin] * 4)


def scale_outputs(weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Folds `y * scale + shift` behind a convolution into its weight and bias.

    Args:
        weight: (O, I, k, k). bias: (O,). scale, shift: (O,) or (1,).

    Returns:
        The folded weight and bias, computed in float64 and returned in the dtype of `weight`.
    """
    wide_scale = scale.double()
    folded_bias = bias.double() * wide_scale
    if shift is not None:
        folded_bias = folded_bias + shift.double()
    folded_weight = weight.double() * wide_scale.view(-1, 1, 1, 1)
    return folded_weight.to(weight.dtype), folded_bias.to(weight.dtype)


def plain_conv(weight: Tensor, bias: Tensor, groups: int = 1) -> nn.Conv2d:
    """An `nn.Conv2d` with "same" zero padding that holds the given (O, I / groups, k, k) weight and (O,) bias."""
    out_channels, in_channels, kernel_size, _ = weight.shape
    conv = nn.Conv2d(
        in_channels * groups, out_channels, kernel_size, padding=kernel_size // 2, groups=groups, device="meta"
    )
    conv.weight = nn.Parameter(weight.detach().clone())
    conv.bias = nn.Parameter(bias.detach().clone())
    return conv


@torch.no_grad()
def chained(first: nn.Module, second: nn.Module) -> nn.Conv2d:
    """Two 1x1 convolutions with nothing between them as one: `second(first(x))`."""
    assert isinstance(first, nn.Conv2d) and first.bias is not None
    assert isinstance(second, nn.Conv2d) and second.bias is not None
    matrix = second.weight.double().flatten(1)
    weight = matrix @ first.weight.double().flatten(1)
    bias = matrix @ first.bias.double() + second.bias.double()
    return plain_conv(weight[:, :, None, None].to(second.weight.dtype), bias.to(second.bias.dtype))


@torch.no_grad()
def fuse(tree: nn.Module) -> nn.Module:
    """Replaces every `Fusible` below `tree` by its plain form, in place, and returns `tree`.

    A tree without Fusible modules is left unchanged, so that repeating the call is harmless.
    """
    for name, child in tree.named_children():
        if isinstance(child, Fusible):
            replacement = child.fused()
            replacement.train(child.training)
            setattr(tree, name, replacement)
        else:
            fuse(child)
    return tree
