"""Inputs on which two forms of a network are shown to be the same function."""

import torch
from torch import Tensor

from aethernet.data.embedded import embedded_pictures


def proof_inputs(in_channels: int) -> dict[str, Tensor]:
    """Random noise in odd sizes and real photographs by name: (N, C, H, W) in [0, 1], grey if the network is."""
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "noise": torch.rand(2, in_channels, 37, 53, generator=generator),
        "one pixel": torch.rand(1, in_channels, 1, 1, generator=generator),
    }
    for name, picture in embedded_pictures("val").items():
        tensor = torch.from_numpy(picture[:128, :128].copy()).permute(2, 0, 1)[None].float() / 255
        inputs[f"photograph {name}"] = tensor if in_channels == 3 else tensor.mean(dim=1, keepdim=True)
    return inputs
