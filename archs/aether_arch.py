"""The front door: network factories, registered into every training framework that is importable.

>>> from aether_arch import aether_small, export_onnx
>>> model = aether_small(scale=4)       # (N, 3, H, W) in [0, 1] -> (N, 3, 4 H, 4 W)
>>> model = model.eval().fuse_model()
>>> export_onnx(model, scale=4, precision="fp32").name
'aether_small_x4_fp32.onnx'
"""

from aethernet import (
    AetherConfig,
    AetherNet,
    aether_custom,
    aether_large,
    aether_medium,
    aether_small,
    aether_tiny,
    calibrate,
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
    "calibrate",
    "export_onnx",
    "load_network",
]

register_architectures()
