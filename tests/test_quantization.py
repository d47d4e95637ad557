"""Quantisation: the grid, its gradients, placement in every kind of network, and integer = fake-quantised."""

import copy
import dataclasses
import itertools
from typing import get_args

import pytest
import torch
from helpers.networks import PLAIN, picture, randomise
from torch import nn
from torch.nn import functional as F

from aethernet import AetherNet, aether_custom, aether_tiny
from aethernet.errors import CheckpointError, ConfigError, DataError, StageError, UsageError
from aethernet.network.config import pack_fields, unpack_fields
from aethernet.quantization.fake import (
    WATCHED_BATCHES,
    FakeQuantizer,
    QuantConv2d,
    Round,
    RoundBias,
    RoundedConv2d,
    RoundWeight,
    quantizers,
    weight_step,
)
from aethernet.quantization.integer import IntegerConv2d, Levels
from aethernet.quantization.ranges import Magnitudes, set_ranges
from aethernet.quantization.settings import PRESETS, Preset, QuantizationConfig

GATED = {"width": 12, "depths": [2, 1], "kernel_size": 5}
NETWORKS = {
    "gated": GATED,
    "gated, one stage": {**GATED, "depths": [2]},
    "gated, direct, grey, no skip": {**GATED, "tail": "direct", "in_channels": 1, "skip": "none"},
    "attention": {**GATED, "channel_attention": True, "spatial_attention": True},
    "layernorm": {**GATED, "norm_type": "layernorm"},
    "plain": {"width": 12, "depths": [2, 1], "kernel_size": 3, "block": "plain", "norm_type": "none"},
    "plain, one stage": {"width": 12, "depths": [3], "kernel_size": 3, "block": "plain", "tail": "direct"},
}
PLACES = ("first", "last", "depthwise", "gate", "residual")


def calibrated(fields: dict, quantization="ort", scale: int = 4) -> AetherNet:
    torch.manual_seed(0)
    network = randomise(aether_custom(scale, **fields)).eval().prepare_qat(quantization)
    set_ranges(network, [picture(2, network.config.in_channels, 12, 9)])
    return network


# --- one tensor on the grid ---


def test_the_grid_is_symmetric_and_rounds_half_to_even():
    x = torch.tensor([-200.0, -127.6, -127.0, -2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5, 126.6, 127.0, 300.0])
    on_grid = Round.apply(x, torch.tensor(127.0))
    assert on_grid.tolist() == [-128.0, -128.0, -127.0, -2.0, -2.0, 0.0, 0.0, 0.0, 2.0, 2.0, 127.0, 127.0, 127.0]
    assert torch.equal(Round.apply(on_grid, torch.tensor(127.0)), on_grid)


def test_the_gradients_are_those_of_the_surrogate_with_frozen_rounding():
    """LSQ takes the distance to the grid for constant; central differences of that function are the reference."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, generator=generator, dtype=torch.float64)
    upstream = torch.randn(500, generator=generator, dtype=torch.float64)
    at = torch.tensor(1.3, dtype=torch.float64)
    offset = (x / at * 127).round() - x / at * 127

    def surrogate(x, range_):
        position = x / range_ * 127
        inside = (position >= -128) & (position <= 127)
        return torch.where(inside, position + offset, position.clamp(-128, 127)) * range_ / 127

    eps = 1e-6
    for_range = ((surrogate(x, at + eps) - surrogate(x, at - eps)) * upstream).sum() / (2 * eps)
    for_x = (surrogate(x + eps, at) - surrogate(x - eps, at)) * upstream / (2 * eps)
    x.requires_grad_()
    range_ = at.clone().requires_grad_()
    Round.apply(x, range_).backward(upstream)
    assert torch.allclose(x.grad, for_x, atol=1e-8)
    assert torch.allclose(range_.grad, for_range / (500 * 127) ** 0.5, rtol=1e-6)
    assert 0 < int((x.grad == 0).sum()) < 250  # some were cut off, most were not


@pytest.mark.parametrize("largest", [63, 127])
def test_weights_have_a_step_for_each_output_channel(largest):
    weight = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[2] = 0.0
    weight.requires_grad_()
    rounded = RoundWeight.apply(weight, largest)
    levels = rounded / weight_step(weight, largest)
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert levels.abs().amax(dim=(1, 2, 3)).round().tolist() == [largest, largest, 0, largest, largest]
    assert ((rounded - weight).abs() <= weight_step(weight, largest) * 0.5001).all()
    rounded.backward(torch.full_like(rounded, 2.0))
    assert (weight.grad == 2.0).all()


# --- ranges ---


def test_a_network_without_ranges_says_what_to_do():
    network = aether_custom(2, **GATED, stage="qat")
    for mode in (network.eval(), network.train()):
        with pytest.raises(StageError, match="aethernet calibrate WEIGHTS"):
            mode(picture(1, 3, 4, 4))
    with pytest.raises(StageError, match="no ranges"):
        network.convert_to_quantized()


def test_the_first_training_batches_set_the_ranges():
    network = randomise(aether_custom(2, **GATED))
    floats = copy.deepcopy(network).eval().fuse_model()
    network.prepare_qat().train()
    with pytest.raises(StageError, match="no ranges"):
        network.eval()(picture(1, 3, 4, 4))
    network.train()
    pictures = [picture(1, 3, 8, 8, seed=seed) for seed in range(WATCHED_BATCHES)]
    unrounded = [network(x) for x in pictures]
    reference = copy.deepcopy(floats).prepare_qat()
    set_ranges(reference, pictures)
    for (name, got), (_, expected) in zip(quantizers(network), quantizers(reference), strict=True):
        assert got.range.item() == pytest.approx(expected.range.item(), rel=1e-4), name
    rounded = network(pictures[0])
    assert (rounded - unrounded[0]).abs().max() > 1e-4
    rounded.mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_fixed_ranges_have_no_gradient():
    network = calibrated(GATED, {"ranges": "fixed"}).train()
    before = [quantizer.range.item() for _, quantizer in quantizers(network)]
    network(picture(1, 3, 6, 6)).mean().backward()
    assert all(quantizer.range.grad is None for _, quantizer in quantizers(network))
    assert before == [quantizer.range.item() for _, quantizer in quantizers(network)]


def test_a_percentile_is_that_of_all_values():
    generator = torch.Generator().manual_seed(0)
    seen = Magnitudes()
    parts = [torch.randn(100_000, generator=generator) * scale for scale in (0.01, 1.0, 0.3, 4.0)]
    for part in parts:
        seen(part)
    everything = torch.cat(parts).abs()
    assert seen.percentile(100.0) == everything.max().item()
    exact = everything.sort().values[int(0.9999 * everything.numel())].item()
    assert seen.percentile(99.99) == pytest.approx(exact, rel=0.01)


def test_no_percentile_exceeds_the_largest_value():
    """After a doubling the last part in use ends beyond the largest value."""
    seen = Magnitudes()
    for largest in (1.0, 1.01):
        seen(torch.tensor([0.5, largest]))
    assert seen.percentile(99.99) == seen.percentile(100.0) == pytest.approx(1.01)


def test_values_of_zero_lie_in_the_lowest_part():
    seen = Magnitudes()
    seen(torch.zeros(99_999))  # before the width of a part is known
    seen(torch.ones(1))
    assert seen.percentile(99.99) == pytest.approx(1 / Magnitudes.BINS)


def test_nothing_of_an_integer_network_is_trained():
    network = calibrated(GATED, {"last": "float"}).convert_to_quantized()
    assert list(network.parameters()), "the last convolution is not in integers"
    assert not [name for name, parameter in network.named_parameters() if parameter.requires_grad]


def test_calibration_is_deterministic_and_leaves_the_mode():
    first = randomise(aether_custom(2, **GATED)).prepare_qat()
    networks = [first.train(), copy.deepcopy(first).eval()]
    for network in networks:
        assert set_ranges(network, (picture(1, 3, 7, 5, seed=seed) for seed in range(3)), percentile=99.99) == 3
    assert [network.training for network in networks] == [True, False]
    first, second = ([quantizer.range.item() for _, quantizer in quantizers(network)] for network in networks)
    assert first == second and all(value > 0 for value in first)


def test_calibration_errors():
    network = aether_custom(2, **GATED).prepare_qat()
    with pytest.raises(DataError, match="at least one"):
        set_ranges(network, [])
    with pytest.raises(UsageError, match=r"between 99\.99 and 100"):
        set_ranges(network, [picture(1, 3, 4, 4)], percentile=99.0)
    nn.init.constant_(network.shallow.weight, float("nan"))
    with pytest.raises(DataError, match="not finite"):
        set_ranges(network, [picture(1, 3, 4, 4)])
    assert all(quantizer.observe is None for _, quantizer in quantizers(network))


def test_a_parameters_only_average_carries_the_ranges():
    network = calibrated(GATED)
    average = aether_custom(4, **GATED, stage="qat").eval()
    for _ in range(2):
        current = dict(network.named_parameters())
        for name, parameter in average.named_parameters():
            parameter.data.mul_(0.0).add_(current[name].data)
    x = picture(1, 3, 6, 6)
    assert torch.equal(average(x), network(x))


# --- placement and conversion ---


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("floats", [(), *itertools.combinations(PLACES, 1), ("first", "residual"), PLACES], ids=str)
def test_integers_equal_the_trained_network(name, floats):
    """Both hold the same grids. In float64, so that no sum comes out on the other side of a half because of how a CPU adds."""
    network = calibrated(NETWORKS[name], dict.fromkeys(floats, "float")).double()
    integers = network.convert_to_quantized()
    x = picture(2, network.config.in_channels, 12, 9, dtype=torch.float64)
    with torch.no_grad():
        assert (network(x) - integers(x)).abs().max() <= 1e-12


@pytest.mark.parametrize("groups", [1, 16])
def test_a_convolution_differs_from_its_integers_at_ties_only(groups):
    generator = torch.Generator().manual_seed(0)
    source = FakeQuantizer()
    source.range.data.fill_(127 * 0.01)
    fake = QuantConv2d(nn.Conv2d(16, 16, 5, padding=2, groups=groups), source=source, levels=63)
    step = source.step
    levels = torch.randint(-128, 128, (4, 16, 40, 40), generator=generator, dtype=torch.int8)
    with torch.no_grad():
        fake.quantizer.range.fill_(127 * 0.003)
        bias = RoundBias.apply(fake.bias, fake.sum_step)
        unrounded = fake._conv_forward(levels * step, RoundWeight.apply(fake.weight, 63), bias) / 0.003
        expected = torch.round(fake(levels * step) / 0.003)
    got = IntegerConv2d(fake)(Levels(levels, step)).levels
    different = got != expected
    assert (unrounded[different] % 1.0 - 0.5).abs().max() <= 1e-3 if different.any() else True
    assert different.double().mean() <= 1e-3
    assert got.float().std() > 20  # the grid is used


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("preset", PRESETS)
def test_the_rounded_network_is_near_the_float_one(name, preset):
    network = randomise(aether_custom(4, **NETWORKS[name])).eval()
    x = picture(2, network.config.in_channels, 12, 9)
    with torch.no_grad():
        expected = network(x)
        network.prepare_qat(preset)
        set_ranges(network, [x])
        noise = (network(x) - expected).square().mean()
    assert noise < expected.square().mean() * 1e-2  # 20 dB; a wrong grid leaves nothing of the picture
    assert noise > 0


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("quantization", [*PRESETS, *({place: "float"} for place in PLACES)], ids=str)
def test_the_source_of_a_convolution_is_the_grid_that_its_input_is_on(name, quantization):
    """It scales the sums. Where nothing rounds the input, the convolution does."""
    network = calibrated(NETWORKS[name], quantization)
    made, convolutions = (
        {},
        0,
    )  # what put out a tensor, by its place in memory, and the tensor, which keeps that place taken

    def note(module, inputs, output):
        made[output.data_ptr()] = module, output

    def check(module, inputs):
        nonlocal convolutions
        convolutions += 1
        source = made.get(inputs[0].data_ptr(), (module.input_quantizer,))[0]
        assert module.source is source

    for module in network.modules():
        if isinstance(module, FakeQuantizer):
            module.register_forward_hook(note)
        elif isinstance(module, QuantConv2d):
            module.register_forward_pre_hook(check)
    network(picture(1, network.config.in_channels, 12, 9))
    assert convolutions == sum(isinstance(module, QuantConv2d) for module in network.modules())


def test_float_places_have_float_weights_and_fewer_grids():
    counts = {}
    for place in (None, *PLACES):
        network = calibrated(GATED, {place: "float"} if place else {})
        kinds = [type(module) for module in network.modules()]
        counts[place] = (kinds.count(QuantConv2d), kinds.count(RoundedConv2d), kinds.count(FakeQuantizer))
    # shallow, 3 x (mixer, gate, main, out), 2 transitions, fusion, reconstruction, 2 of the upsampler
    convs = 1 + 3 * 4 + 2 + 1 + 1 + 2
    rest = 1 + 3 * 3 + 1 + 1 + 1 + 1  # centre, 3 x (sigmoid, product, sum), concat, merge, 2 activations
    assert counts[None] == (convs, 0, convs + rest)
    assert counts["first"] == (convs - 1, 1, convs + rest - 1)
    assert counts["last"] == (convs - 1, 0, convs + rest - 2)  # nor is what it reads rounded
    assert counts["depthwise"] == (convs - 3, 3, convs + rest)
    assert counts["gate"] == (convs, 0, convs + rest - 3)
    # The stream's readers round it themselves: two mixers (the first reads a grid), transitions, reconstruction.
    assert counts["residual"] == (convs, 0, convs + rest - 4 + 2 + 2 + 1)


@pytest.mark.parametrize(("tail", "unrounded"), [("direct", "activation"), ("stepwise", "upsample.2")])
def test_a_float_last_convolution_reads_what_is_not_rounded(tail, unrounded):
    grids = {}
    for last in ("int8", "float"):
        network = aether_custom(4, **PLAIN, tail=tail)
        network.prepare_qat({"last": last})
        grids[last] = {name for name, module in network.named_modules() if isinstance(module, FakeQuantizer)}
    last_conv = "upsample.0" if tail == "direct" else "upsample.3"
    assert grids["int8"] - grids["float"] == {f"{unrounded}.quantizer", f"{last_conv}.quantizer"}
    assert not grids["float"] - grids["int8"]


def test_sums_of_integers_are_exact():
    generator = torch.Generator().manual_seed(0)
    for channels, kernel in ((8, 3), (160, 3)):  # 160 * 9 * 127 * 128 is beyond what float32 counts
        source = FakeQuantizer()
        source.range.data.fill_(1.27)
        integer = IntegerConv2d(
            QuantConv2d(nn.Conv2d(channels, 4, kernel, padding=kernel // 2), source=source, levels=127)
        )
        levels = torch.randint(-128, 128, (1, channels, 6, 5), generator=generator, dtype=torch.int8)
        columns = F.unfold(levels.double(), kernel, padding=kernel // 2).long()
        total = (integer.weight.long().flatten(1) @ columns).view(1, 4, 6, 5) + integer.bias.view(1, -1, 1, 1)
        value = total.double() * integer.sum_step.double().view(1, -1, 1, 1)
        assert integer.bias.dtype == torch.int32 and integer.bias.abs().max() > 100
        assert torch.equal(integer.arithmetic.convolve(integer, Levels(levels, source.step)), value)


def test_the_integer_network_stores_int8_and_survives_a_file(tmp_path):
    integers = calibrated(GATED).convert_to_quantized()
    assert integers.config.stage == "int8" and not integers.training
    assert not any(parameter.requires_grad for parameter in integers.parameters())
    state = integers.state_dict()
    assert sum(value.numel() for value in state.values() if value.dtype == torch.int8) > 1500
    torch.save(state, tmp_path / "x.pth")
    loaded = AetherNet.from_state_dict(torch.load(tmp_path / "x.pth", weights_only=True)).eval()
    x = picture(1, 3, 5, 8)
    assert torch.equal(loaded(x), integers(x))


# --- stages ---


def test_weights_of_every_earlier_stage_load_into_qat():
    trained = randomise(aether_custom(2, **GATED)).eval()
    x = picture(1, 3, 9, 6)
    expected = copy.deepcopy(trained).prepare_qat()
    set_ranges(expected, [x])
    for source in (trained, copy.deepcopy(trained).fuse_model()):
        network = aether_custom(2, **GATED, stage="qat").eval()
        network.load_state_dict(source.state_dict(), strict=True)
        assert not any(quantizer.known for _, quantizer in quantizers(network))
        set_ranges(network, [x])
        assert torch.equal(network(x), expected(x))
    network.load_state_dict(expected.state_dict(), strict=True)
    assert torch.equal(network(x), expected(x))


def test_qat_weights_load_into_int8_and_nothing_earlier_does():
    network = calibrated(GATED)
    integers = aether_custom(4, **GATED, stage="int8").eval()
    integers.load_state_dict(network.state_dict(), strict=True)
    x = picture(1, 3, 6, 7)
    assert torch.equal(integers(x), network.convert_to_quantized()(x))
    with pytest.raises(StageError, match="aethernet calibrate"):
        integers.load_state_dict(aether_custom(4, **GATED).state_dict())
    for earlier in ("train", "fused"):
        with pytest.raises(StageError, match="cannot go back"):
            aether_custom(4, **GATED, stage=earlier).load_state_dict(network.state_dict())
    with pytest.raises(StageError, match="cannot go back"):
        network.load_state_dict(integers.state_dict())


def test_weights_of_other_grids_do_not_load():
    other = aether_custom(4, **GATED, stage="qat", quantization="quality")
    with pytest.raises(CheckpointError, match="quantization: first: 'int8' in the weights, 'float' here"):
        other.load_state_dict(calibrated(GATED).state_dict())


def test_the_presets_are_those_of_their_type():
    assert tuple(PRESETS) == get_args(Preset)


def test_the_order_of_the_steps():
    network = aether_custom(2, **GATED)
    with pytest.raises(StageError, match=r"prepare_qat\(\), then training or .*, then convert_to_quantized\(\)"):
        network.convert_to_quantized()
    network.prepare_qat("quality")
    names = list(network.state_dict())
    assert list(network.prepare_qat().state_dict()) == names  # harmless
    with pytest.raises(
        StageError, match=r"other settings \(first: 'float' here, 'int8' asked for; last: [^;]*; residual: [^;]*\)"
    ):
        network.prepare_qat("ort")
    set_ranges(network, [picture(1, 3, 5, 5)])
    with pytest.raises(StageError, match="cannot be trained"):
        network.convert_to_quantized().prepare_qat()


def test_weights_of_a_fused_network_keep_their_identity():
    network = aether_custom(2, **GATED).fuse_model()
    before = dict(network.named_parameters())
    after = dict(network.prepare_qat().named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())
    assert all(name.endswith("quantizer.range") for name in set(after) - set(before))


def test_a_few_steps_of_training_learn():
    torch.manual_seed(0)
    network = calibrated(NETWORKS["plain"], scale=2).train()
    x = picture(2, 3, 12, 12)
    target = F.interpolate(x, scale_factor=2, mode="bicubic")
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(40):
        loss = F.l1_loss(network(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


# --- settings ---


def test_settings_travel_with_the_weights():
    settings = {"preset": "quality", "gate": "float", "ranges": "fixed", "weight_bits": 8}
    network = aether_tiny(2, stage="qat", quantization=settings)
    rebuilt = AetherNet.from_state_dict(network.state_dict())
    assert rebuilt.config == network.config
    assert rebuilt.config.quantization == dataclasses.replace(
        PRESETS["quality"], gate="float", ranges="fixed", weight_bits=8
    )


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("bits", [7, 8])
def test_every_stage_keeps_weights_on_the_levels_of_its_bits(preset, bits):
    """7 bits unless 8 are asked for, in every place of every kind of network."""
    wanted = {"preset": preset, **({"weight_bits": 8} if bits == 8 else {})}
    for fields in NETWORKS.values():
        integers = calibrated(fields, wanted).convert_to_quantized()
        largest = [int(m.weight.int().abs().max()) for m in integers.modules() if isinstance(m, IntegerConv2d)]
        assert largest and set(largest) == {2 ** (bits - 1) - 1}


def test_weights_from_before_the_field_are_on_8_bits():
    """Their integers were rounded so; read as 7 bits they would be taken for another grid."""
    network = calibrated(GATED, {"weight_bits": 8})
    state = network.state_dict()
    fields = unpack_fields(state["config"])
    del fields["quantization"]["weight_bits"]
    state["config"] = pack_fields(fields)
    x = picture(1, 3, 6, 5)
    assert torch.equal(AetherNet.from_state_dict(state).eval()(x), network(x))
    with pytest.raises(CheckpointError, match="quantization: weight_bits: 8 in the weights, 7 here"):
        aether_custom(4, **GATED, stage="qat").load_state_dict(state)


def test_settings_errors():
    with pytest.raises(ConfigError, match="no quantization preset 'tflite'; known: ort, openvino, tensorrt, quality"):
        QuantizationConfig.read("tflite")
    with pytest.raises(ConfigError, match="no entry 'weights'"):
        QuantizationConfig.read({"weights": "int4"})
    with pytest.raises(ConfigError, match="gate must be int8 or float, not 'int4'"):
        QuantizationConfig.read({"gate": "int4"})
    for bits in (6, 7.0, True, "8"):
        with pytest.raises(ConfigError, match=f"weight_bits must be 7 or 8, not {bits!r}"):
            QuantizationConfig.read({"weight_bits": bits})
    with pytest.raises(ConfigError, match="or a mapping, not 8"):
        aether_tiny(2, quantization=8)
