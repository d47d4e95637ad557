"""Every field of the configuration comes back from a file's tensors alone, exactly: loaders of others see nothing else."""

import dataclasses

import pytest
import torch
from networks import picture, randomise
from safetensors.torch import load_file

from aethernet import AetherConfig, AetherNet, load_network, write_checkpoint
from aethernet.config import STAGES
from aethernet.quantization import QuantizationConfig, quantizers

BASE = AetherConfig(width=8, depths=(1, 1), scale=2, kernel_size=5, tail_channels=6)

CASES: dict[str, list[dict]] = {
    "width": [{"width": 12}, {"width": 5}],
    "depths": [{"depths": (2, 1)}, {"depths": (1,)}, {"depths": (1, 1, 1)}],
    "scale": [{"scale": 1}, {"scale": 3}, {"scale": 4}, {"scale": 8}],
    "in_channels": [{"in_channels": 1}],
    "block": [{"block": "plain"}],
    "kernel_size": [{"kernel_size": 3}, {"kernel_size": (3, 7)}],
    "expansion": [{"expansion": 1.3}, {"expansion": 1 / 3}],
    "channel_attention": [{"channel_attention": True}],
    "spatial_attention": [{"spatial_attention": True}, {"spatial_attention": True, "channel_attention": True}],
    "norm_type": [{"norm_type": "layernorm"}, {"norm_type": "none"}],
    "norm_freeze_iter": [{"norm_freeze_iter": None}, {"norm_freeze_iter": 0}, {"norm_freeze_iter": 77}],
    "tail": [{"tail": "direct"}, {"tail": "direct", "scale": 4}],
    "tail_channels": [{"tail_channels": 7}, {"tail_channels": 7, "scale": 4}],
    "skip": [{"skip": "none"}, {"skip": "bilinear"}],
    "drop_path": [{"drop_path": 0.15}],
    "stage": [{"stage": stage} for stage in STAGES],
    "quantization": [
        {"quantization": "quality"},
        {"quantization": "openvino", "stage": "qat"},
        {"quantization": {"depthwise": "float", "ranges": "fixed"}, "stage": "qat"},
        {"quantization": {"last": "float"}, "stage": "int8"},
    ],
    "variant": [{"variant": "small"}],
}
"""For each field values other than in `BASE`; those of a field that no shape tells, too."""


def build(fields: dict) -> AetherNet:
    """A network of `BASE` with other fields, in eval mode, everything random, all ranges known."""
    config = dataclasses.replace(BASE, **fields)
    if not config.quantized:
        return randomise(AetherNet(config)).eval()
    network = randomise(AetherNet(dataclasses.replace(config, stage="fused"))).prepare_qat().eval()
    with torch.no_grad():
        for index, (_, quantizer) in enumerate(quantizers(network)):
            quantizer.range.fill_(2.0 + index / 16)
    return network if config.stage == "qat" else network.convert_to_quantized()


every_case = pytest.mark.parametrize(
    ("name", "fields"), [(name, fields) for name, cases in CASES.items() for fields in cases], ids=str
)


def test_every_field_has_a_case():
    assert set(CASES) == {field.name for field in dataclasses.fields(AetherConfig)}
    base = dataclasses.replace(BASE, quantization=QuantizationConfig())
    for name, cases in CASES.items():
        values = {getattr(dataclasses.replace(base, **fields), name) for fields in cases}
        assert values - {getattr(base, name)}, f"the cases of {name} only have its value in BASE"


@every_case
def test_a_field_survives_both_kinds_of_files(tmp_path, name, fields):
    network = build(fields)
    x = picture(1, network.config.in_channels, 7, 6)
    with torch.no_grad():
        expected = network(x)
    for file in (tmp_path / "net.pth", tmp_path / "net.safetensors"):
        write_checkpoint(file, network)
        loaded = load_network(file)
        assert loaded.config == network.config
        assert type(getattr(loaded.config, name)) is type(getattr(network.config, name))
        with torch.no_grad():
            assert torch.equal(loaded(x), expected)


@every_case
def test_tensors_of_any_type_tell_the_configuration(tmp_path, name, fields):
    """As after a tool that makes all tensors of a file half or bfloat16, the counts and the configuration among them."""
    network = build(fields)
    for dtype in (torch.float16, torch.bfloat16, torch.uint8):
        state_dict = network.state_dict()
        state_dict["config"] = state_dict["config"].to(dtype)
        assert AetherNet.from_state_dict(state_dict).config == network.config


def test_a_file_holds_tensors_that_spandrel_unpickles(tmp_path):
    """Its list of allowed types has int32, but no uint8. int8 it does not have either, so that stage is for .safetensors."""
    for stage in ("train", "fused", "qat"):
        write_checkpoint(tmp_path / f"{stage}.safetensors", build({"stage": stage}))
        types = {tensor.dtype for tensor in load_file(tmp_path / f"{stage}.safetensors").values()}
        assert types == {torch.float32, torch.int32}
