"""The front door: network factories, registered into every training framework that is importable.

from aether_arch import aether_small, aether_medium, aether_large, export_onnx
model = aether_medium(scale=4)      # (N, 3, H, W) in [0, 1] -> (N, 3, 4 H, 4 W)
model.eval()
model.fuse_model()
export_onnx(model, scale=4, precision="fp32")
"""

from aethernet import (
    AetherConfig,
    AetherNet,
    aether_custom,
    aether_large,
    aether_medium,
    aether_small,
    aether_tiny,
    load_network,
)
from aethernet.export.onnx import export_onnx
from aethernet.integrations.registry import register_architectures

__all__ = [
    "AetherConfig",
    "AetherNet",
    "aether_custom",
    "aether_large",
    "aether_medium",
    "aether_small",
    "aether_tiny",
    "export_onnx",
    "load_network",
]

register_architectures()
