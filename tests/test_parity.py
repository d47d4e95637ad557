"""The law of fusion: the fused network is the same function, with nothing in it but the plain graph."""

import copy

import pytest
import torch
from helpers.networks import picture, randomise
from torch import nn

from aethernet import aether_custom, aether_large, aether_medium, aether_small, aether_tiny
from aethernet.network.blocks import (
    AdaptiveUpsample,
    AetherBlock,
    ChannelAttention,
    GatedConvFFN,
    PlainBlock,
    SpatialAttention,
)
from aethernet.network.norms import DeploymentNorm, LayerNorm2d
from aethernet.network.operations import Add, Centre, Concat, ImageSkip, Multiply
from aethernet.network.reparam import Fusible

VARIANTS = [aether_tiny, aether_small, aether_medium, pytest.param(aether_large, marks=pytest.mark.slow)]
SCALES = [1, 2, 3, 4, 8]


def is_quick(factory, scale: int) -> bool:
    return factory in (aether_tiny, aether_small) or (factory is aether_medium and scale == 4)


SIZES = [
    pytest.param(
        factory, scale, id=f"{factory.__name__} x{scale}", marks=() if is_quick(factory, scale) else pytest.mark.slow
    )
    for factory in (aether_tiny, aether_small, aether_medium, aether_large)
    for scale in SCALES
]

# The outputs are of order 1 and pass through up to 40 blocks. Folding reorders roundings of 6e-8 (float32) and
# 1e-16 (float64) each; the bounds are those that users are promised.
BOUND = {torch.float32: 1e-5, torch.float64: 1e-12}


def outputs_before_and_after(network: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    network.eval()
    with torch.no_grad():
        before = network(x)
        network.fuse_model()
        return before, network(x)


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize(("factory", "scale"), SIZES)
def test_fused_equals_unfused(factory, scale, dtype):
    network = randomise(factory(scale)).to(dtype)
    before, after = outputs_before_and_after(network, picture(2, 3, 7, 13, dtype=dtype))
    assert before.shape == (2, 3, 7 * scale, 13 * scale)
    assert (before - after).abs().max() <= BOUND[dtype]


@pytest.mark.parametrize(
    "changes",
    [
        {"in_channels": 1},
        {"skip": "nearest"},
        {"skip": "bilinear"},
        {"norm_type": "none"},
        {"norm_type": "layernorm"},
        {"kernel_size": 3},
        {"kernel_size": [5, 9]},
        {"expansion": 1.0},
        {"channel_attention": True},
        {"spatial_attention": True},
        {"drop_path": 0.3},
        {"width": 5, "depths": [1]},
        {"block": "plain", "kernel_size": 3},
        {"block": "plain", "kernel_size": [5, 3], "norm_type": "none"},
        {"block": "plain", "kernel_size": 3, "norm_type": "layernorm"},
    ],
    ids=str,
)
def test_fused_equals_unfused_for_custom_sizes(changes):
    fields = {"width": 12, "depths": [2, 1], **changes}
    network = randomise(aether_custom(2, **fields)).double()
    x = picture(3, network.config.in_channels, 1, 9, dtype=torch.float64)
    before, after = outputs_before_and_after(network, x)
    assert (before - after).abs().max() <= BOUND[torch.float64]


@pytest.mark.parametrize("scale", SCALES)
def test_fused_equals_unfused_with_a_direct_tail(scale):
    network = randomise(aether_custom(scale, width=6, depths=[1], tail="direct")).double()
    before, after = outputs_before_and_after(network, picture(2, 3, 5, 4, dtype=torch.float64))
    assert before.shape == (2, 3, 5 * scale, 4 * scale)
    assert (before - after).abs().max() <= BOUND[torch.float64]


@pytest.mark.parametrize("factory", VARIANTS, ids=lambda factory: factory.__name__)
def test_the_fused_network_holds_only_the_plain_graph(factory):
    plain = {
        nn.Conv2d, nn.PixelShuffle, nn.LeakyReLU, nn.Sigmoid, nn.Identity, nn.Sequential, nn.ModuleList,
        Add, Centre, Concat, ImageSkip, Multiply,
        AetherBlock, PlainBlock, GatedConvFFN, ChannelAttention, SpatialAttention, AdaptiveUpsample,
    }  # fmt: skip
    network = factory(2)
    network.fuse_model()
    assert {type(module) for module in network.modules()} - {type(network)} <= plain
    assert not any(isinstance(module, Fusible | DeploymentNorm) for module in network.modules())
    assert all(".scale" not in name and ".norm" not in name for name, _ in network.named_parameters())


def test_fusing_twice_changes_nothing():
    network = randomise(aether_tiny(2)).eval().fuse_model()
    weights = copy.deepcopy(network.state_dict())
    network.fuse_model()
    assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())


def test_layernorm_stays_and_says_so(caplog):
    network = aether_tiny(2, norm_type="layernorm")
    network.fuse_model()
    assert "layernorm cannot fold" in caplog.text
    assert any(isinstance(module, LayerNorm2d) for module in network.modules())
    assert not any(isinstance(module, Fusible) for module in network.modules())


def test_a_fused_network_trains_on():
    network = aether_tiny(2).fuse_model().train()
    network(picture(1, 3, 8, 8)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
