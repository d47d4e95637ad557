"""The whole network and its life cycle.

Flow: `x - 0.5` -> conv 3x3 -> stages of AetherBlocks (or PlainBlocks) -> a 1x1 conv after each stage -> concat ->
QuantFusion -> + shallow features -> conv 3x3 -> AdaptiveUpsample -> + 0.5 or + the upsampled picture.
"""

import dataclasses
import logging

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aethernet.blocks import LEAKY_SLOPE, AdaptiveUpsample, AetherBlock, PlainBlock, QuantFusion, SpatialAttention
from aethernet.config import CONFIG_KEY, STAGES, AetherConfig
from aethernet.errors import CheckpointError, StageError
from aethernet.norms import DeploymentNorm, LayerNorm2d
from aethernet.reparam import chained, fuse

logger = logging.getLogger(__name__)

INPUT_MEAN = 0.5
RESIDUAL_SCALE_INIT = 0.1


class AetherNet(nn.Module):
    """The super-resolution network: (N, C, H, W) in [0, 1], RGB or grey, any H, W >= 1 -> (N, C, scale H, scale W).

    The output is not clamped. `config.stage` decides the structure; `fuse_model` moves an existing network from
    `train` to `fused`. Weights of an earlier stage load into a later one and are fused on the way in.
    """

    def __init__(self, config: AetherConfig) -> None:
        super().__init__()
        self.config = dataclasses.replace(config, stage="train")
        width, stages = config.width, len(config.depths)
        self.shallow = nn.Conv2d(config.in_channels, width, 3, padding=1)
        rates = torch.linspace(0.0, config.drop_path, sum(config.depths), device="cpu").tolist()
        self.stages = nn.ModuleList(
            nn.Sequential(*(self._block(kernel_size, rates.pop(0)) for _ in range(depth)))
            for depth, kernel_size in zip(config.depths, config.kernel_sizes, strict=True)
        )
        stage_width = max(1, width // stages)
        self.transitions = nn.ModuleList(nn.Conv2d(width, stage_width, 1) for _ in range(stages))
        self.fusion: nn.Module = QuantFusion(stage_width * stages, width, self._norm())
        self.reconstruction = nn.Conv2d(width, width, 3, padding=1)
        self.upsample = AdaptiveUpsample(width, config.in_channels, config.scale, config.tail, config.tail_channels)
        # With a picture to add, the network learns what it lacks; without one, the mean stands in the last bias.
        last_bias = self.upsample.last_conv.bias
        assert last_bias is not None
        nn.init.constant_(last_bias, INPUT_MEAN if config.skip == "none" else 0.0)
        if config.stage == "fused":
            self.fuse_model()

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Tensor], stage: str | None = None) -> "AetherNet":
        """Rebuilds a network from its tensors alone, in its own stage or in a later one."""
        if CONFIG_KEY not in state_dict:
            raise CheckpointError(f"these are no AetherNet weights: the entry {CONFIG_KEY!r} is missing")
        config = AetherConfig.from_tensor(state_dict[CONFIG_KEY])
        network = cls(dataclasses.replace(config, stage=stage or config.stage))
        network.load_state_dict(state_dict)
        return network

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.config.in_channels:
            raise ValueError(
                f"the network takes (N, {self.config.in_channels}, H, W), not {tuple(x.shape)}: add the batch axis, or "
                "build it with the in_channels of the pictures (1 grey, 3 RGB)"
            )
        if self.training and x.device.type == "cpu":
            # PyTorch's depthwise convolutions train 1.6 to 2.2 times as fast on this layout; the function is the same.
            x = x.contiguous(memory_format=torch.channels_last)
        shallow = self.shallow(x - INPUT_MEAN)
        if self.config.block == "plain":  # its blocks end in the activation that the first of them needs before it
            shallow = F.leaky_relu(shallow, LEAKY_SLOPE)
        features, outputs = shallow, []
        for stage, transition in zip(self.stages, self.transitions, strict=True):
            features = stage(features)
            outputs.append(transition(features))
        features = self.fusion(torch.cat(outputs, dim=1)) + shallow
        features = F.leaky_relu(self.reconstruction(features), LEAKY_SLOPE)
        return self._add_skip(self.upsample(features), x)

    def fuse_model(self) -> "AetherNet":
        """Turns the network into the plain graph, in place and exactly; repeating it is harmless.

        Optimisers that were built before hold the old parameters: build them after. A `layernorm` cannot fold and
        stays in the graph; a warning says so.
        """
        if self.config.stage == "train":
            if self.config.norm_type == "layernorm":
                logger.warning("layernorm cannot fold: it stays in the fused graph; norm_type deployment folds")
            fuse(self)
            if len(self.transitions) == 1:  # nothing stands between it and the fusion, so the two are one matrix
                first, *norm = self.fusion if isinstance(self.fusion, nn.Sequential) else [self.fusion]
                conv = chained(self.transitions[0], first)
                self.fusion = nn.Sequential(conv, *norm) if norm else conv
                self.transitions[0] = nn.Identity()
            self.config = dataclasses.replace(self.config, stage="fused")
        return self

    @property
    def receptive_radius(self) -> int | None:
        """How far an output pixel sees, in input pixels; tiles that overlap by it equal the whole picture.

        None with channel attention, which sees the whole picture.
        """
        if self.config.channel_attention:
            return None
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

    def _add_skip(self, out: Tensor, x: Tensor) -> Tensor:
        if self.config.skip == "none":
            return out
        if self.config.skip == "nearest":
            return out + F.interpolate(x, scale_factor=float(self.config.scale), mode="nearest")
        return out + F.interpolate(x, scale_factor=float(self.config.scale), mode="bilinear", align_corners=False)

    def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        # Neither a buffer (DistributedDataParallel would broadcast it whenever rank 0 validates alone) nor a
        # parameter (weight averages and optimisers would touch it): it only travels with the weights.
        destination[prefix + CONFIG_KEY] = self.config.to_tensor()

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys, *rest) -> None:
        config_tensor = state_dict.pop(prefix + CONFIG_KEY, None)
        if config_tensor is not None:
            self._admit(AetherConfig.from_tensor(config_tensor), state_dict, prefix)
        elif strict:
            missing_keys.append(prefix + CONFIG_KEY)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, *rest)

    def _admit(self, incoming: AetherConfig, state_dict: dict[str, Tensor], prefix: str) -> None:
        """Checks that weights of `incoming` belong here and fuses those of an earlier stage inside `state_dict`."""
        differences = self.config.differences(incoming)
        if differences:
            raise CheckpointError(
                f"the weights are of {incoming.title}, the network is {self.config.title}: "
                + "; ".join(differences)
                + ". Build the network that the weights were trained for, or load other weights"
            )
        if STAGES.index(incoming.stage) > STAGES.index(self.config.stage):
            raise StageError(
                f"weights of stage {incoming.stage!r} cannot go back into a network of stage "
                f"{self.config.stage!r}: set stage: {incoming.stage}, or load the weights from before fusing"
            )
        if incoming.stage != self.config.stage:
            own = {key: state_dict.pop(key) for key in list(state_dict) if key.startswith(prefix)}
            fused = fuse_state_dict({key[len(prefix) :]: value for key, value in own.items()}, incoming)
            state_dict.update({prefix + key: value for key, value in fused.items()})


def fuse_state_dict(state_dict: dict[str, Tensor], config: AetherConfig) -> dict[str, Tensor]:
    """The fused weights for training weights of `config`: a pure function, no randomness, without the config entry."""
    with torch.device("meta"):
        network = AetherNet(dataclasses.replace(config, stage="train"))
    network.load_state_dict({**state_dict, CONFIG_KEY: network.config.to_tensor()}, strict=True, assign=True)
    fused = network.fuse_model().state_dict()
    del fused[CONFIG_KEY]
    return fused
