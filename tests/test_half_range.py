"""The range report finds what float16 cannot hold, where PyTorch's own float16 becomes infinite."""

import copy

import pytest
import torch
from helpers.networks import picture, randomise

from aethernet import aether_custom
from aethernet.errors import DataError, ExportError, StageError
from aethernet.export.half_range import LARGEST, MARGIN, half_ranges
from aethernet.export.onnx import export_onnx

GATED = {"width": 8, "depths": [1, 1], "kernel_size": 3, "channel_attention": True, "spatial_attention": True}
PICTURES = [picture(1, 3, 9, 7, seed=seed) for seed in range(3)]


def network(**changes):
    torch.manual_seed(0)
    return randomise(aether_custom(2, **{**GATED, **changes})).eval()


def half_output(model) -> torch.Tensor:
    half = copy.deepcopy(model).fuse_model().half()
    with torch.no_grad():
        return torch.cat([half(x.half()).flatten() for x in PICTURES])


def test_every_layer_of_the_fused_network_is_looked_at():
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    report = half_ranges(model, PICTURES)
    assert model.config.stage == "train" and all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert report.pictures == 3 and report.safe and not report.overflowing
    fused = copy.deepcopy(model).fuse_model()
    convolutions = {name for name, module in fused.named_modules() if isinstance(module, torch.nn.Conv2d)}
    layers = {layer.name: layer for layer in report.layers}
    assert convolutions <= set(layers)
    assert {"image_skip", "merge", "stages.0.0.residual", "stages.1.0.attention.spatial"} <= set(layers)
    # The last layer is the output itself.
    with torch.no_grad():
        largest = max(fused(x).abs().max().item() for x in PICTURES)
    assert layers["image_skip"].activation == pytest.approx(largest, rel=1e-6)
    last = fused.upsample.last_conv
    assert layers["upsample.0"].weight == max(last.weight.abs().max().item(), last.bias.abs().max().item())
    assert half_output(model).isfinite().all()


@pytest.mark.parametrize("factor", [1e3, 3e6])
def test_a_blown_up_layer_is_found(factor):
    model = network()
    with torch.no_grad():
        model.stages[1][0].ffn.main.weight.mul_(factor)
        model.transitions[1].weight.div_(factor)
    report = half_ranges(model, PICTURES)
    first = report.by_headroom[0]
    overflows = first.largest > LARGEST
    assert overflows == (factor == 3e6) == (not half_output(model).isfinite().all())
    assert bool(report.overflowing) == overflows and not (overflows and report.safe)
    assert first.name.startswith("stages.1.0.ffn")
    if overflows:
        assert f"overflows in {len(report.overflowing)} of {len(report.layers)} layers" in report.sentence()
        assert "65504" in report.sentence() and first.name in report.sentence()


def test_too_little_margin_is_not_safe():
    model = network().fuse_model()
    largest = half_ranges(model, PICTURES).by_headroom[0]
    assert largest.headroom > MARGIN
    conv = model.upsample.last_conv
    with torch.no_grad():
        factor = LARGEST / 2 / half_ranges(model, PICTURES).layers[-2].activation
        conv.weight.mul_(factor)
        conv.bias.mul_(factor)
    report = half_ranges(model, PICTURES)
    assert not report.overflowing and not report.safe and "not safe" in report.sentence()


def test_what_is_not_a_number_overflows():
    model = network()
    with torch.no_grad():
        model.reconstruction.weight[0, 0, 0, 0] = float("nan")
    report = half_ranges(model, PICTURES)
    assert report.overflowing and not report.safe and report.by_headroom[0].name == "reconstruction"


@pytest.mark.parametrize(("factor", "share"), [(1e-7, 1.0), (0, 0.0)])
def test_small_numbers_are_counted(factor, share):
    """Zeros are none: float16 has the zero, and a layer that is off loses nothing."""
    model = network(skip="none")
    with torch.no_grad():
        model.upsample.last_conv.weight.mul_(factor)
        model.upsample.last_conv.bias.mul_(factor)
    layers = {layer.name: layer for layer in half_ranges(model, PICTURES).layers}
    assert layers["upsample.0"].below_normal == share and layers["shallow"].below_normal < 0.01


def test_weights_that_do_not_fit_are_refused_not_made_infinite(tmp_path):
    pytest.importorskip("onnx", reason="ONNX export is an extra")
    model = network()
    with torch.no_grad():
        model.transitions[0].weight.mul_(1e6)
    with pytest.raises(ExportError, match=r"transitions.0.weight of the fused network reaches .*e\+05.*export fp32"):
        export_onnx(model, 2, "fp16", tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_wrong_inputs():
    with pytest.raises(DataError, match="no pictures"):
        half_ranges(network(), [])
    with pytest.raises(StageError, match="before prepare_qat"):
        half_ranges(network().prepare_qat(), PICTURES)
