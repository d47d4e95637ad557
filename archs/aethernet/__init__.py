"""AetherNet: single-image super-resolution made to be deployed.

Importing this package imports no training framework; `import aether_arch` registers into those at hand.
"""

from aethernet.calibration import calibrate
from aethernet.checkpoint import Checkpoint, load_network, read_checkpoint, write_checkpoint
from aethernet.config import AetherConfig
from aethernet.network import AetherNet
from aethernet.variants import VARIANTS, aether_custom, aether_large, aether_medium, aether_small, aether_tiny
from aethernet.version import __version__

__all__ = [
    "VARIANTS",
    "AetherConfig",
    "AetherNet",
    "Checkpoint",
    "__version__",
    "aether_custom",
    "aether_large",
    "aether_medium",
    "aether_small",
    "aether_tiny",
    "calibrate",
    "load_network",
    "read_checkpoint",
    "write_checkpoint",
]
