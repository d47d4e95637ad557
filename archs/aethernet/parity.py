"""Proof that two networks are the same function: their outputs compared on given pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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


def compare(first: nn.Module, second: nn.Module, inputs: Mapping[str, Tensor]) -> list[Parity]:
    """Runs both networks in eval mode on each (N, C, H, W) input, in float32 and in float64; both end in float32.

    Differences are relative to the largest output where that exceeds 1.
    """
    records = []
    for name, x in inputs.items():
        differences = []
        for dtype in (torch.float64, torch.float32):
            with torch.no_grad():
                expected = first.to(dtype).eval()(x.to(dtype))
                found = second.to(dtype).eval()(x.to(dtype))
            differences.append(((expected - found).abs().max() / expected.abs().max().clamp(min=1.0)).item())
        records.append(Parity(name, tuple(x.shape), float32=differences[1], float64=differences[0]))
    return records
