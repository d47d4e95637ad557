"""The named sizes of AetherNet: the only place where their numbers stand."""

from aethernet.network.config import AetherConfig
from aethernet.network.network import AetherNet

VARIANTS: dict[str, dict] = {
    "tiny": {
        "width": 64,
        "depths": (5,),
        "block": "plain",
        "kernel_size": 3,
        "norm_type": "none",
        "tail": "direct",
    },
    "small": {"width": 96, "depths": (4, 4, 4, 4), "kernel_size": 7, "tail_channels": 48},
    "medium": {
        "width": 128,
        "depths": (6, 6, 6, 6),
        "channel_attention": True,
        "spatial_attention": True,
        "tail_channels": 64,
    },
    "large": {
        "width": 180,
        "depths": (8, 8, 8, 8, 8),
        "channel_attention": True,
        "spatial_attention": True,
        "tail_channels": 64,
    },
}


def variant_config(variant: str, scale: int = 4, **overrides) -> AetherConfig:
    """The configuration of a named variant; `overrides` are arguments of `AetherConfig`."""
    return AetherConfig.from_fields({**VARIANTS[variant], "scale": scale, "variant": variant, **overrides})


def aether_tiny(scale: int = 4, **overrides) -> AetherNet:
    """The variant for video in real time: 64 channels, five plain 3x3 convolutions.

    Args:
        scale: upscaling factor: 1, 2, 3, 4 or 8.
        overrides: other arguments of `AetherConfig`, such as `in_channels=1` for grey or `stage="qat"`.

    Returns:
        An `AetherNet` with random weights in training mode: (N, 3, H, W) RGB in [0, 1] -> (N, 3, scale H, scale W).

    Raises:
        ConfigError: an unknown argument, or a value that is not allowed.

    Example:
        >>> import torch
        >>> from aether_arch import aether_tiny
        >>> aether_tiny(scale=2, in_channels=1)(torch.rand(1, 1, 24, 32)).shape
        torch.Size([1, 1, 48, 64])
    """
    return AetherNet(variant_config("tiny", scale, **overrides))


def aether_small(scale: int = 4, **overrides) -> AetherNet:
    """The small and fast variant: 96 channels, 16 gated blocks with kernels of 7x7. Arguments as for `aether_tiny`.

    Example:
        >>> import torch
        >>> from aether_arch import aether_small
        >>> aether_small(scale=4)(torch.rand(1, 3, 8, 12)).shape
        torch.Size([1, 3, 32, 48])
    """
    return AetherNet(variant_config("small", scale, **overrides))


def aether_medium(scale: int = 4, **overrides) -> AetherNet:
    """The balanced variant, the default: 128 channels, 24 gated blocks, attention. Arguments as for `aether_tiny`.

    Example:
        >>> import torch
        >>> from aether_arch import aether_medium
        >>> aether_medium(scale=4)(torch.rand(1, 3, 8, 12)).shape
        torch.Size([1, 3, 32, 48])
    """
    return AetherNet(variant_config("medium", scale, **overrides))


def aether_large(scale: int = 4, **overrides) -> AetherNet:
    """The variant of the highest quality: 180 channels, 40 gated blocks, attention. Arguments as for `aether_tiny`.

    Example:
        >>> import torch
        >>> from aether_arch import aether_large
        >>> aether_large(scale=2)(torch.rand(1, 3, 8, 12)).shape
        torch.Size([1, 3, 16, 24])
    """
    return AetherNet(variant_config("large", scale, **overrides))


def aether_custom(scale: int = 4, **fields) -> AetherNet:
    """Own sizes: `width` and `depths` are needed, the rest of `AetherConfig` is optional.

    Returns:
        An `AetherNet` with random weights in training mode: (N, 3, H, W) RGB in [0, 1] -> (N, 3, scale H, scale W).

    Raises:
        ConfigError: `width` or `depths` is missing, an unknown argument, or a value that is not allowed.

    Example:
        >>> import torch
        >>> from aether_arch import aether_custom
        >>> aether_custom(scale=2, width=16, depths=[1, 1], kernel_size=5)(torch.rand(1, 3, 24, 32)).shape
        torch.Size([1, 3, 48, 64])
    """
    return AetherNet(AetherConfig.from_fields({"scale": scale, **fields}))


FACTORIES = (aether_tiny, aether_small, aether_medium, aether_large, aether_custom)
"""What registers into a framework's architecture registry, by function name."""
