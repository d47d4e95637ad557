"""Weights files of every kind and stage, and the packaged ones by name."""

from aethernet.checkpoint import pretrained
from aethernet.checkpoint.checkpoint import Checkpoint, load_network, read_checkpoint, write_checkpoint

__all__ = ["Checkpoint", "load_network", "pretrained", "read_checkpoint", "write_checkpoint"]
