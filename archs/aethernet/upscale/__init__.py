"""Pictures enlarged by a model: exact windows, colours and depth kept, bounded memory."""

from aethernet.upscale.folders import upscale_files
from aethernet.upscale.upscaler import Saving, Upscaler

__all__ = ["Saving", "Upscaler", "upscale_files"]
