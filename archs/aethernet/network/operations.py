"""Operations without weights, as modules: a later stage of the network swaps them for others by their type."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Skip = Literal["none", "nearest", "bilinear"]
"""How the input picture is enlarged before it is added to the output."""
INPUT_MEAN = 0.5
"""What stands between a picture in [0, 1] and numbers around 0."""


class Centre(nn.Module):
    """A picture in [0, 1] to numbers in [-0.5, 0.5]."""

    def forward(self, x: Tensor) -> Tensor:
        return x - INPUT_MEAN


class Add(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Multiply(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y


class Concat(nn.Module):
    """(N, C1, H, W), (N, C2, H, W), ... -> (N, C1 + C2 + ..., H, W)."""

    def forward(self, *tensors: Tensor) -> Tensor:
        return torch.cat(tensors, dim=1)


class ImageSkip(nn.Module):
    """Adds the input picture, enlarged by `scale`, to what the network made: (N, C, scale H, scale W) and (N, C, H, W).

    Args:
        mode: `nearest` or `bilinear`; `none` adds nothing.
    """

    def __init__(self, mode: Skip, scale: int) -> None:
        super().__init__()
        self.mode = mode
        self.scale = scale

    def forward(self, out: Tensor, x: Tensor) -> Tensor:
        if self.mode == "none":
            return out
        if self.mode == "nearest":
            return out + F.interpolate(x, scale_factor=float(self.scale), mode="nearest")
        return out + F.interpolate(x, scale_factor=float(self.scale), mode="bilinear", align_corners=False)

    def extra_repr(self) -> str:
        return f"mode={self.mode}, scale={self.scale}"
