"""The graph: the network's parts and the way of a picture through them, as built for training.

Flow: `x - 0.5` -> conv 3x3 -> stages of AetherBlocks (or PlainBlocks) -> a 1x1 conv after each stage -> concat ->
QuantFusion -> + shallow features -> conv 3x3 -> AdaptiveUpsample -> + 0.5 or + the upsampled picture.
"""

import dataclasses
import logging

import torch
from torch import Tensor, nn

from aethernet.checks import samples_problem
from aethernet.network.blocks import (
    LEAKY_SLOPE,
    AdaptiveUpsample,
    AetherBlock,
    PlainBlock,
    QuantFusion,
    SpatialAttention,
)
from aethernet.network.config import AetherConfig
from aethernet.network.norms import DeploymentNorm, LayerNorm2d
from aethernet.network.operations import INPUT_MEAN, Add, Centre, Concat, ImageSkip

logger = logging.getLogger(__name__)

RESIDUAL_SCALE_INIT = 0.1
BEYOND = 15.0
"""How far from [0, 1] no noise comes, and 8-bit samples do."""


class AetherGraph(nn.Module):
    """(N, C, H, W) in [0, 1] -> (N, C, scale H, scale W). `config` describes it, with the stage that it is in."""

    _is_checked = False

    def __init__(self, config: AetherConfig) -> None:
        super().__init__()
        self.config = dataclasses.replace(config, stage="train")
        width, stages = config.width, len(config.depths)
        plain = config.block == "plain"  # its blocks end in the activation that the first of them needs before it
        self.centre: nn.Module = Centre()
        self.shallow: nn.Module = nn.Conv2d(config.in_channels, width, 3, padding=1)
        self.shallow_activation: nn.Module = nn.LeakyReLU(LEAKY_SLOPE) if plain else nn.Identity()
        rates = torch.linspace(0.0, config.drop_path, sum(config.depths), device="cpu").tolist()
        self.stages = nn.ModuleList(
            nn.Sequential(*(self._block(kernel_size, rates.pop(0)) for _ in range(depth)))
            for depth, kernel_size in zip(config.depths, config.kernel_sizes, strict=True)
        )
        stage_width = max(1, width // stages)
        self.transitions = nn.ModuleList(nn.Conv2d(width, stage_width, 1) for _ in range(stages))
        self.concat: nn.Module = Concat() if stages > 1 else nn.Identity()
        self.fusion: nn.Module = QuantFusion(stage_width * stages, width, self._norm())
        self.merge: nn.Module = Add()
        self.reconstruction: nn.Module = nn.Conv2d(width, width, 3, padding=1)
        self.activation: nn.Module = nn.LeakyReLU(LEAKY_SLOPE)
        self.upsample = AdaptiveUpsample(width, config.in_channels, config.scale, config.tail, config.tail_channels)
        self.image_skip = ImageSkip(config.skip, config.scale)
        # With a picture to add, the network learns what it lacks; without one, the mean stands in the last bias.
        last_bias = self.upsample.last_conv.bias
        assert last_bias is not None
        nn.init.constant_(last_bias, INPUT_MEAN if config.skip == "none" else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.config.in_channels:
            raise ValueError(
                f"the network takes (N, {self.config.in_channels}, H, W), not {tuple(x.shape)}: add the batch axis, or "
                "build it with the in_channels of the pictures (1 grey, 3 RGB)"
            )
        self._check_values(x)
        if self.training and x.device.type == "cpu":
            # PyTorch's depthwise convolutions train 1.6 to 2.2 times as fast on this layout; the function is the same.
            x = x.contiguous(memory_format=torch.channels_last)
        features = shallow = self.shallow_activation(self.shallow(self.centre(x)))
        outputs = []
        for stage, transition in zip(self.stages, self.transitions, strict=True):
            features = stage(features)
            outputs.append(transition(features))
        features = self.merge(self.fusion(self.concat(*outputs)), shallow)
        features = self.activation(self.reconstruction(features))
        return self.image_skip(self.upsample(features), x)

    def _check_values(self, x: Tensor) -> None:
        """Of the first picture alone, and not in a graph that is being traced: looking costs a GPU its lead."""
        if not x.is_floating_point():
            raise ValueError(f"the network takes floats in [0, 1], not {x.dtype}: give x.float() / 255")
        if self._is_checked or torch.compiler.is_compiling() or torch.jit.is_tracing() or type(x) is not Tensor:
            return
        self._is_checked = True
        if x.device.type == "meta" or not x.numel():
            return
        largest = float(x.detach().amax())  # NaN if any value is
        if problem := samples_problem(largest, largest, BEYOND):
            logger.warning("the first input of the network %s", problem)

    @property
    def receptive_radius(self) -> int | None:
        """How far an output pixel sees, in input pixels; tiles that overlap by it equal the whole picture.

        None with channel attention, which sees the whole picture.
        """
        return None if self.config.channel_attention else self.convolution_radius

    @property
    def convolution_radius(self) -> int:
        """The same without channel attention: what remains where its means are given, as `PictureMeans` does."""
        block = SpatialAttention.kernel_size // 2 if self.config.spatial_attention else 0
        body = sum(
            depth * (kernel_size // 2 + block)
            for depth, kernel_size in zip(self.config.depths, self.config.kernel_sizes, strict=True)
        )
        # shallow and reconstruction, then the upsampler: its later convolutions see ever smaller pixels.
        return body + 2 + len(AdaptiveUpsample.steps(self.config.scale, self.config.tail))

    def _block(self, kernel_size: int, drop_path: float) -> nn.Module:
        if self.config.block == "plain":
            return PlainBlock(self.config.width, kernel_size, self._norm())
        return AetherBlock(
            self.config.width,
            kernel_size,
            self._norm(),
            expansion=self.config.expansion,
            residual_scale=RESIDUAL_SCALE_INIT,
            channel_attention=self.config.channel_attention,
            spatial_attention=self.config.spatial_attention,
            drop_path=drop_path,
        )

    def _norm(self) -> nn.Module:
        if self.config.norm_type == "deployment":
            return DeploymentNorm(self.config.width, self.config.norm_freeze_iter)
        return LayerNorm2d(self.config.width) if self.config.norm_type == "layernorm" else nn.Identity()
