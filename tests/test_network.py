"""The whole network: shapes, gradients, extreme inputs, tiles, and errors that name what is allowed."""

import math

import pytest
import torch
from helpers.networks import picture, randomise
from torch import nn
from torch.nn import functional as F

from aethernet import AetherConfig, aether_custom, aether_large, aether_medium, aether_small, aether_tiny
from aethernet.errors import ConfigError
from aethernet.network.blocks import DropPath, GatedConvFFN, ReparamLargeKernelConv

VARIANTS = [aether_tiny, aether_small, aether_medium, pytest.param(aether_large, marks=pytest.mark.slow)]


@pytest.mark.parametrize("factory", VARIANTS, ids=lambda factory: factory.__name__)
@pytest.mark.parametrize("norm_type", ["deployment", "layernorm"])
def test_gradient_reaches_every_parameter(factory, norm_type):
    # One pass with batch statistics and one with frozen ones: both phases of training must move everything.
    network = factory(2, norm_type=norm_type, norm_freeze_iter=1).train()
    for phase in ("batch statistics", "frozen"):
        network.zero_grad()
        (network(picture(2, 3, 8, 9)) - picture(2, 3, 16, 18, seed=2)).square().mean().backward()
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, f"{name} got no gradient ({phase})"
                assert torch.isfinite(parameter.grad).all(), f"{name} got a non-finite gradient ({phase})"
                assert parameter.grad.abs().max() > 0, f"{name} got a zero gradient ({phase})"


@pytest.mark.parametrize("factory", VARIANTS, ids=lambda factory: factory.__name__)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_extreme_inputs_stay_finite(factory, mode):
    network = factory(2)
    network.train(mode == "train")
    for x in (picture(1, 3, 1, 1), torch.zeros(1, 3, 5, 4), torch.ones(1, 3, 4, 5)):
        out = network(x)
        assert out.shape == (1, 3, 2 * x.shape[2], 2 * x.shape[3])
        assert torch.isfinite(out).all()


@pytest.mark.parametrize("skip", ["none", "nearest", "bilinear"])
@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_output_shape(scale, in_channels, skip):
    network = aether_custom(scale, width=8, depths=[1], in_channels=in_channels, skip=skip).eval()
    for height, width in ((1, 1), (2, 7), (5, 3)):
        assert network(picture(2, in_channels, height, width)).shape == (2, in_channels, scale * height, scale * width)


def test_seeded_networks_are_the_same():
    torch.manual_seed(0)
    first = aether_tiny(2).state_dict()
    torch.manual_seed(0)
    second = aether_tiny(2).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("factory", VARIANTS, ids=lambda factory: factory.__name__)
def test_unusual_pictures_do_not_explode(factory):
    # Statistics of patches with little contrast, then a picture with all of it: with fixed statistics each block sees
    # values many times as large as in training. A gate that is a product of unbounded numbers overflows float32 here.
    network = factory(2).train()
    for seed in range(3):
        network(0.5 + 0.05 * (picture(2, 3, 16, 16, seed=seed) - 0.5))
    harsh = (picture(1, 3, 24, 24) > 0.5).float()
    with torch.no_grad():
        assert network.eval()(harsh).abs().max() < 100


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    "fields", [{}, {"kernel_size": [5, 3]}, {"spatial_attention": True}, {"block": "plain", "tail": "direct"}], ids=str
)
def test_a_tile_with_the_receptive_radius_around_it_equals_the_whole(scale, fields):
    network = (
        randomise(aether_custom(scale, **{"width": 6, "depths": [1, 1], "kernel_size": 7, **fields})).double().eval()
    )
    radius, size = network.receptive_radius, 4
    x = picture(1, 3, 2 * radius + size, 2 * radius + size + 6, dtype=torch.float64)
    inner = slice(radius * scale, (radius + size) * scale)
    with torch.no_grad():
        whole = network(x)[..., inner, inner]
        tile = network(x[..., : 2 * radius + size])[..., inner, inner]
    assert (whole - tile).abs().max() <= 1e-12  # float64, order of summation may differ


def test_global_pooling_has_no_radius():
    assert aether_medium(2).receptive_radius is None
    assert aether_small(4).receptive_radius == 4 * 4 * 3 + 4


@pytest.mark.parametrize("skip", ["none", "nearest", "bilinear"])
def test_a_network_that_adds_nothing_gives_the_enlarged_picture(skip):
    network = aether_custom(2, width=8, depths=[1], skip=skip).eval()
    for parameter in network.upsample.last_conv.parameters():
        nn.init.zeros_(parameter)
    x = picture(1, 3, 5, 4)
    enlarged = {"none": torch.zeros(1, 3, 10, 8), "nearest": x.repeat_interleave(2, 2).repeat_interleave(2, 3)}
    expected = enlarged.get(skip, F.interpolate(x, size=(10, 8), mode="bilinear", align_corners=False))
    torch.testing.assert_close(network(x), expected)


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    out = DropPath(0.25).train()(torch.ones(4000, 2, 3, 1))
    assert (out == out[:, :1, :1, :1]).all()
    assert out.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert out.mean() == pytest.approx(1.0, abs=0.04)  # its standard deviation is 0.009


def test_a_gated_block_starts_neither_silent_nor_loud():
    """Gate and main keep the variance of what comes in."""
    torch.manual_seed(0)
    ffn, x = GatedConvFFN(64, 2.0, 1.0), torch.randn(4, 64, 16, 16)
    for conv in (ffn.gate, ffn.main):
        assert conv(x).std().item() == pytest.approx(1.0, rel=0.05)


def test_stochastic_depth_acts_in_training_only():
    network = aether_custom(2, width=8, depths=[4], drop_path=0.9, norm_type="none")
    x = picture(1, 3, 8, 8)
    torch.manual_seed(0)
    assert len({network.train()(x).sum().item() for _ in range(8)}) > 1
    assert len({network.eval()(x).sum().item() for _ in range(3)}) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": 5}, "scale must be one of 1, 2, 3, 4, 8, not 5"),
        ({"scale": True}, "scale must be one of"),
        ({"in_channels": 4}, "in_channels must be one of 1, 3, not 4"),
        ({"in_channels": 3.0}, "in_channels must be one of 1, 3, not 3.0"),
        ({"scale": 4.0}, "scale must be one of"),
        ({"expansion": float("nan")}, "expansion must be a positive number"),
        ({"expansion": float("inf")}, "expansion must be a positive number"),
        ({"width": 0}, "width must be a whole number of at least 1, not 0"),
        ({"width": 32.0}, "width must be a whole number"),
        ({"depths": []}, "depths must be a list of block counts"),
        ({"depths": [2, 0]}, "every entry of depths must be"),
        ({"depths": 4}, "depths must be a list"),
        ({"kernel_size": 4}, "kernel_size must be odd and at least 3"),
        ({"kernel_size": [11]}, r"kernel_size \[11\] names 1 stage, but depths \[1, 1\] has 2"),
        ({"expansion": 0}, "expansion must be a positive number"),
        ({"drop_path": 1.0}, r"drop_path must be in \[0, 1\), not 1.0"),
        ({"norm_type": "batch"}, "norm_type must be one of deployment, layernorm, none, not 'batch'"),
        ({"norm_freeze_iter": -1}, "norm_freeze_iter must be a whole number of at least 0"),
        ({"skip": "bicubic"}, "skip must be one of none, nearest, bilinear"),
        ({"stage": "deploy"}, "stage must be one of train, fused"),
        ({"tail_channels": "24"}, "tail_channels must be a whole number"),
        ({"num_feat": 64}, "AetherNet has no argument 'num_feat'; known: width"),
        ({"block": "dense"}, "block must be one of gated, plain, not 'dense'"),
        ({"tail": "nearest"}, "tail must be one of stepwise, direct, not 'nearest'"),
        ({"block": "plain", "spatial_attention": True}, "block plain has no residual branch and no spatial_attention"),
        ({"block": "plain", "drop_path": 0.1}, "no drop_path: leave it out, or set block: gated"),
        ({"kernel_sizes": 7}, "did you mean 'kernel_size'"),
    ],
    ids=str,
)
def test_wrong_arguments_say_what_is_allowed(fields, message):
    with pytest.raises(ConfigError, match=message):
        aether_custom(**{"width": 8, "depths": [1, 1], **fields})


def test_missing_arguments_and_wrong_shapes():
    with pytest.raises(ConfigError, match="AetherNet needs width and depths"):
        aether_custom(scale=4)
    network = aether_custom(2, width=8, depths=[1])
    for x in (picture(3, 8, 8), picture(1, 1, 8, 8)):
        with pytest.raises(ValueError, match=r"takes \(N, 3, H, W\), not"):
            network(x)


def test_the_config_is_a_value():
    config = AetherConfig(width=8, depths=[1, 2], kernel_size=[3, 5])
    assert config == AetherConfig.from_tensor(config.to_tensor())
    assert hash(config) == hash(AetherConfig(width=8, depths=(1, 2), kernel_size=(3, 5)))


def test_levels_of_eight_bits_are_told_of(caplog):
    network = aether_tiny(2).eval()
    with pytest.raises(ValueError, match=r"floats in \[0, 1\], not torch.uint8: give x.float\(\) / 255"):
        network(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with torch.no_grad():
        network(torch.randn(1, 3, 8, 8))
        assert not caplog.messages
        for value in (255.0, math.nan, math.inf):
            other = aether_tiny(2).eval()
            for _ in range(2):  # once
                other(torch.full((1, 3, 8, 8), value))
    divide = "divide 8-bit samples by 255, those of 16 bits by 65535"
    numbers = "the first input of the network has values that are not finite numbers (NaN or infinity)"
    assert caplog.messages == [
        f"the first input of the network has values up to 255, and [0, 1] is taken: {divide}",
        numbers,
        numbers,
    ]


def test_the_size_of_the_kernel_follows_the_block():
    plain, gated = (AetherConfig(width=8, depths=(1,), block=block) for block in ("plain", "gated"))
    assert (plain.kernel_size, gated.kernel_size) == (3, 11)


def test_the_small_kernel_starts_as_a_convolution_does():
    """PyTorch's own bound, 1 / sqrt(fan in): a third for 3x3 kernels of one channel, which 4,096 x 9 numbers come near."""
    small = ReparamLargeKernelConv(4096, 7, nn.Identity()).small
    assert 0.33 < small.abs().max() <= 1 / 3
