"""Plain residual blocks in AetherNet's frame, for the trial of `small_worth.yml`.

Source: Lim et al., Enhanced Deep Residual Networks for Single Image Super-Resolution (2017).
"""

import torch
from torch import Tensor, nn

from aethernet.network.blocks import PlainBlock
from aethernet.network.config import AetherConfig
from aethernet.network.graph import RESIDUAL_SCALE_INIT, AetherGraph


class ResidualBlock(nn.Module):
    """x + conv(LeakyReLU(conv(x))), both convolutions dense, 3x3."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = PlainBlock(width, 3, nn.Identity())
        self.outer = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.outer.weight.mul_(RESIDUAL_SCALE_INIT)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(self.inner(x))


def residual(*, width: int, depths: list[int], tail: str = "direct", scale: int = 4) -> AetherGraph:
    """(N, 3, H, W) RGB in [0, 1] -> (N, 3, scale H, scale W), with `depths` residual blocks in each stage."""
    config = {"width": width, "depths": depths, "block": "plain", "norm_type": "none", "tail": tail, "scale": scale}
    graph = AetherGraph(AetherConfig.from_fields({**config, "tail_channels": 48}))
    for stage in graph.stages:
        for place in range(len(stage)):
            stage[place] = ResidualBlock(width)
    return graph
