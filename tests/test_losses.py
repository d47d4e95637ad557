"""The frequency loss: what it adds to L1, and that BasicSR builds it."""

import pytest
import torch
from helpers.models import build_model, options, train
from helpers.networks import picture

from aethernet.errors import OptionError
from aethernet.integrations.basicsr.training.losses import AetherFrequencyLoss


def test_it_is_l1_and_the_spectrum_of_the_difference():
    x, y = picture(2, 3, 8, 8), picture(2, 3, 8, 8, seed=2)
    l1 = (x - y).abs().mean()
    torch.testing.assert_close(AetherFrequencyLoss(frequency_weight=0.0)(x, y), l1)
    spectrum = torch.fft.rfft2(x - y) / 8
    expected = l1 + 0.5 * (spectrum.real.abs().mean() + spectrum.imag.abs().mean()) / 2
    torch.testing.assert_close(AetherFrequencyLoss(frequency_weight=0.5)(x, y), expected)
    assert AetherFrequencyLoss()(x, x) == 0


def test_a_training_uses_it():
    model = build_model(options(pixel_opt={"type": "AetherFrequencyLoss", "loss_weight": 1.0}))
    train(model, 1, 2)
    assert model.log_dict["l_pix"] > 0


def test_another_reduction_is_refused():
    with pytest.raises(OptionError, match="reduction must be mean, not 'sum'"):
        AetherFrequencyLoss(reduction="sum")
