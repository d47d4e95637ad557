"""Weights made ready to be given away: both forms as .safetensors, with a model card of measured figures."""

from aethernet.card.provenance import Training, read_training
from aethernet.card.publish import Published, publish

__all__ = ["Published", "Training", "publish", "read_training"]
