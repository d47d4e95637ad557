"""Seeded networks for the tests, with everything random that training would move."""

import torch

from aethernet import AetherNet
from aethernet.network.blocks import QuantFusion, ScaledConv2d
from aethernet.network.norms import DeploymentNorm, LayerNorm2d

PLAIN = {"width": 8, "depths": [1], "kernel_size": 3, "block": "plain", "norm_type": "none"}
"""Fields of the smallest network that computes as those of the variants do."""


@torch.no_grad()
def randomise(network: AetherNet, seed: int = 0) -> AetherNet:
    """Gives norms, statistics, temperatures, scales, compensations and biases random values, in place.

    The initial 0 and 1 would hide every error of folding.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return (torch.rand(like.shape, generator=generator, dtype=torch.float64) * (high - low) + low).to(like.dtype)

    for module in network.modules():
        if isinstance(module, DeploymentNorm | LayerNorm2d):
            module.weight.copy_(uniform(module.weight, 0.5, 1.5))
            module.bias.copy_(uniform(module.bias, -0.5, 0.5))
        if isinstance(module, DeploymentNorm):
            module.running_mean.copy_(uniform(module.running_mean, -0.5, 0.5))
            module.running_var.copy_(uniform(module.running_var, 0.5, 2.0))
        if isinstance(module, ScaledConv2d):
            module.scale.copy_(uniform(module.scale, 0.2, 0.8))
        if isinstance(module, QuantFusion):
            module.error_compensation.copy_(uniform(module.error_compensation, -0.1, 0.1))
    for name, parameter in network.named_parameters():
        if name.endswith(".bias") and "norm" not in name:
            parameter.copy_(uniform(parameter, -0.1, 0.1))
        if name.endswith(".large"):
            parameter.copy_(uniform(parameter, -0.05, 0.05))
    return network


def picture(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A random (N, C, H, W) picture in [0, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
