"""Operation counts against hand computation."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from aethernet import AetherConfig, AetherNet
from aethernet.bench.complexity import WHOLE_PICTURE, network_complexity

H, W = 6, 10

LAYERS = {
    "dense": (nn.Conv2d(3, 16, 3, padding=1), 3 * 16 * 9 * H * W, 16 * H * W),
    "depthwise": (nn.Conv2d(3, 3, 5, padding=2, groups=3), 3 * 25 * H * W, 3 * H * W),
    "grouped": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 1, groups=2)), (12 + 16) * H * W, 12 * H * W),
    "strided": (nn.Conv2d(3, 8, 3, stride=2, padding=1), 3 * 8 * 9 * H * W // 4, 8 * H * W // 4),
    "transposed": (nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1), 3 * 5 * 16 * H * W, 5 * 4 * H * W),
    "linear": (nn.Linear(W, 7), 3 * H * W * 7, 0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_known_layers(name):
    layer, macs, activations = LAYERS[name]
    counts = network_complexity(layer, H, W)
    assert (counts.macs, counts.activations) == (macs, activations)
    assert counts.parameters == sum(parameter.numel() for parameter in layer.parameters())
    assert counts.receptive_radius is None


def config(**changes) -> AetherConfig:
    fields = {"width": 8, "depths": (1, 2), "kernel_size": 5, "expansion": 2.0, "tail_channels": 6, "scale": 4}
    return AetherConfig(**{**fields, "skip": "none", **changes})


def test_a_fused_network_by_hand():
    mixer, gate, main, out = 8 * 25, 8 * 16, 8 * 16, 16 * 8
    body = 3 * (mixer + gate + main + out) + 2 * (8 * 4)
    ends = 3 * 8 * 9 + 8 * 8 + 8 * 8 * 9
    tail = 8 * (6 * 4) * 9 + 4 * 6 * (3 * 4) * 9
    counts = network_complexity(AetherNet(config(stage="fused")), H, W)
    assert counts.macs == (body + ends + tail) * H * W
    outputs = 8 + 3 * (8 + 16 + 16 + 8) + 2 * 4 + 8 + 8 + 24 + 4 * 12
    assert counts.activations == outputs * H * W
    biases = 8 + 3 * (8 + 16 + 16 + 8) + 2 * 4 + 8 + 8 + 24 + 12
    assert counts.parameters == body + ends + 8 * 24 * 9 + 6 * 12 * 9 + biases


def test_functional_convolutions_of_the_training_stage_count():
    """Branches are added before the convolution, so training and deployment cost the same multiplications."""
    trained, fused = (network_complexity(AetherNet(config(stage=stage)), H, W) for stage in ("train", "fused"))
    assert trained.macs == fused.macs
    assert trained.activations == fused.activations
    assert trained.parameters > fused.parameters


def test_receptive_radius():
    network = AetherNet(config())
    assert network_complexity(network, H, W).receptive_radius == network.receptive_radius
    attentive = AetherNet(config(channel_attention=True))
    assert network_complexity(attentive, H, W).receptive_radius == WHOLE_PICTURE


def test_a_network_that_reads_values_is_run():
    class ReadsValues(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1)

        def forward(self, x):
            return F.relu(self.conv(x)) * (2.0 if x.sum().item() > 1e9 else 1.0)

    network = ReadsValues()
    assert network_complexity(network, H, W).macs == 6 * H * W
    assert next(network.parameters()).device == torch.device("cpu")
