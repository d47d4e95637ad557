"""Losses for BasicSR's LOSS_REGISTRY, and one of them that also compares spectra: `pixel_opt: {type: AetherFrequencyLoss}`."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aethernet.errors import OptionError
from aethernet.integrations import registry
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.training.perceptual import AetherPerceptualLoss


class AetherFrequencyLoss(nn.Module):
    """Mean absolute difference of the pixels plus that of the spectra, times `frequency_weight`.

    The spectrum is the orthonormal real Fourier transform of each channel, its real and imaginary parts compared as
    numbers of their own. Source: Sun et al., SAFMN (ICCV 2023), with its weight of 0.05 and a transform that is not
    normalised, hence the larger default here.

    Args:
        loss_weight: of the whole.
        frequency_weight: of the spectra against the pixels.
        reduction: `mean`, which is the only one.
    """

    def __init__(self, loss_weight: float = 1.0, frequency_weight: float = 1.0, reduction: str = "mean") -> None:
        super().__init__()
        if reduction != "mean":
            raise OptionError(f"AetherFrequencyLoss: reduction must be mean, not {reduction!r}")
        self.loss_weight = loss_weight
        self.frequency_weight = frequency_weight

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Both (N, C, H, W) in [0, 1]."""
        pixels = F.l1_loss(pred, target)
        spectra = torch.view_as_real(torch.fft.rfft2(pred - target, norm="ortho")).abs().mean()
        return self.loss_weight * (pixels + self.frequency_weight * spectra)


LOSSES = (AetherFrequencyLoss, AetherPerceptualLoss)


def register() -> None:
    """Adds the losses to BasicSR's LOSS_REGISTRY; repeating it is harmless."""
    compat.apply()
    from basicsr.utils.registry import LOSS_REGISTRY

    for loss in LOSSES:
        registry.register(LOSS_REGISTRY, loss)
