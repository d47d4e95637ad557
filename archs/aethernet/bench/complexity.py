"""What a network costs on paper: parameters, multiply-accumulates, activations, receptive field."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from aethernet.export.form import WHOLE_PICTURE
from aethernet.network.network import AetherNet


@dataclass(frozen=True)
class Complexity:
    """Counts for one picture of a given size; None where a count is not known.

    Attributes:
        parameters: numbers in the weights; the statistics that a training network carries included.
        macs: multiply-accumulates of convolutions and matrix products in one forward pass.
        activations: elements of all convolution outputs, as the NTIRE challenges on efficient super-resolution count.
        receptive_radius: how far an output pixel sees, in input pixels, or `WHOLE_PICTURE`.
    """

    parameters: int
    macs: int | None
    activations: int | None
    receptive_radius: int | str | None


class ConvolutionOutputs(TorchDispatchMode):
    """Sums up the elements that convolutions put out while it is active, functional calls included."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.elements += out.numel()
        return out


def network_complexity(network: nn.Module, height: int, width: int, in_channels: int = 3) -> Complexity:
    """Counts for one (in_channels, height, width) picture. The network is copied; nothing is computed if it can run
    on PyTorch's meta device, else one forward pass is."""
    try:
        macs, activations = _count(network, torch.device("meta"), height, width, in_channels)
    except (NotImplementedError, RuntimeError):  # it reads values, or keeps tensors that do not move with it
        macs, activations = _count(network, torch.device("cpu"), height, width, in_channels)
    return Complexity(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        macs=macs,
        activations=activations,
        receptive_radius=_receptive_radius(network),
    )


def _count(network: nn.Module, device: torch.device, height: int, width: int, channels: int) -> tuple[int, int]:
    copied = copy.deepcopy(network).to(device).eval()
    x: Tensor = torch.zeros(1, channels, height, width, device=device)
    flops, outputs = FlopCounterMode(display=False), ConvolutionOutputs()
    with torch.no_grad(), flops, outputs:
        copied(x)
    return flops.get_total_flops() // 2, outputs.elements


def _receptive_radius(network: nn.Module) -> int | str | None:
    if not isinstance(network, AetherNet):
        return None
    radius = network.receptive_radius
    return WHOLE_PICTURE if radius is None else radius
