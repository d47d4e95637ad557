"""AetherNet with other starting values, for the trial of `initialisation.yml`."""

import torch
from torch import nn

from aethernet import AetherNet, aether_custom
from aethernet.network.blocks import AetherBlock


@torch.no_grad()
def gated(
    *,
    large_std: float = 1e-3,
    gate_std: float | None = None,
    residual_scale: float = 0.1,
    fusion_weight: float = 0.1,
    output_gain: float = 1.0,
    norm_freeze_iter: int = 60,
) -> AetherNet:
    """Four gated blocks at x4; what is not given is as in the package.

    Args:
        large_std: deviation of the 11x11 kernel. The package's is near zero.
        gate_std: deviation of gate and main; the package's is width**-0.5, 0.14 here.
        residual_scale: of every block's output convolution.
        fusion_weight: of the norm behind the fusion.
        output_gain: factor on the last convolution's weights.
    """
    network = aether_custom(4, width=48, depths=[2, 2], kernel_size=11, norm_freeze_iter=norm_freeze_iter)
    for block in network.modules():
        if isinstance(block, AetherBlock):
            nn.init.trunc_normal_(block.mixer.large, std=large_std)
            block.ffn.out.scale.fill_(residual_scale)
            if gate_std is not None:
                nn.init.normal_(block.ffn.gate.conv.weight, std=gate_std)
                nn.init.normal_(block.ffn.main.weight, std=gate_std)
    network.fusion.norm.weight.fill_(fusion_weight)
    network.upsample.last_conv.weight.mul_(output_gain)
    return network
