"""Video enlarged by a model: every stream, time and tag kept; parts that survive a kill; memory and disk bounded."""

from aethernet.upscale.video.film import Assumptions
from aethernet.upscale.video.prepare import Coding
from aethernet.upscale.video.run import upscale_film

__all__ = ["Assumptions", "Coding", "upscale_film"]
