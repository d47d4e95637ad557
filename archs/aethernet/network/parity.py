"""Proof that fusing a network left its function as it was: both outputs compared on given pictures."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from aethernet.network.network import AetherNet
from aethernet.progress import Progress

FLOAT32_BOUND = 1e-5
"""Largest difference that reordered float32 roundings may leave between networks with outputs of order 1."""
FLOAT64_BOUND = 1e-12
"""The same in float64, where only a real difference of the functions would show."""


@dataclass(frozen=True)
class Parity:
    """The largest absolute difference of two networks' outputs on one input, in units of the [0, 1] range."""

    name: str
    shape: tuple[int, ...]
    float32: float
    float64: float

    @property
    def holds(self) -> bool:
        return self.float32 <= FLOAT32_BOUND and self.float64 <= FLOAT64_BOUND


def fusion_parity(network: AetherNet, inputs: Mapping[str, Tensor], progress: Progress | None = None) -> list[Parity]:
    """Fuses copies of `network` in float32 and in float64 and runs both forms on each (N, C, H, W) input.

    Differences are relative to the largest output where that exceeds 1. A difference that is not a number does not
    hold. `progress` is called after each input in each precision.
    """
    differences: dict[torch.dtype, dict[str, float]] = {torch.float32: {}, torch.float64: {}}
    done, total = 0, len(differences) * len(inputs)
    for dtype, found in differences.items():
        unfused = copy.deepcopy(network).to(dtype).eval()
        fused = copy.deepcopy(unfused).fuse_model()
        for name, x in inputs.items():
            found[name] = _difference(unfused, fused, x.to(dtype))
            done += 1
            if progress is not None:
                progress(done, total, name)
    return [
        Parity(name, tuple(x.shape), differences[torch.float32][name], differences[torch.float64][name])
        for name, x in inputs.items()
    ]


@torch.no_grad()
def _difference(unfused: AetherNet, fused: AetherNet, x: Tensor) -> float:
    expected = unfused(x)
    return ((fused(x) - expected).abs().max() / expected.abs().max().clamp(min=1.0)).item()
