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
    """For video in real time. `overrides` are arguments of `AetherConfig`; unknown ones raise `ConfigError`."""
    return AetherNet(variant_config("tiny", scale, **overrides))


def aether_small(scale: int = 4, **overrides) -> AetherNet:
    """Small and fast. `overrides` are arguments of `AetherConfig`; unknown ones raise `ConfigError`."""
    return AetherNet(variant_config("small", scale, **overrides))


def aether_medium(scale: int = 4, **overrides) -> AetherNet:
    """Balanced, the default. `overrides` are arguments of `AetherConfig`; unknown ones raise `ConfigError`."""
    return AetherNet(variant_config("medium", scale, **overrides))


def aether_large(scale: int = 4, **overrides) -> AetherNet:
    """Highest quality. `overrides` are arguments of `AetherConfig`; unknown ones raise `ConfigError`."""
    return AetherNet(variant_config("large", scale, **overrides))


def aether_custom(scale: int = 4, **fields) -> AetherNet:
    """Own sizes: `width` and `depths` are needed, the rest of `AetherConfig` is optional."""
    return AetherNet(AetherConfig.from_fields({"scale": scale, **fields}))


FACTORIES = (aether_tiny, aether_small, aether_medium, aether_large, aether_custom)
"""What registers into a framework's architecture registry, by function name."""
