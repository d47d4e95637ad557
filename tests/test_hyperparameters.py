"""Every field of the configuration comes back from a file's tensors alone, exactly: loaders of others see nothing else."""

import dataclasses

import pytest
import torch
from helpers.hyperparameters import BASE, CASES, build
from helpers.networks import picture

from aethernet import AetherConfig, AetherNet, load_network, write_checkpoint
from aethernet.quantization.settings import QuantizationConfig

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
    for dtype in (torch.float16, torch.bfloat16, torch.int32):
        state_dict = network.state_dict()
        state_dict["config"] = state_dict["config"].to(dtype)
        assert AetherNet.from_state_dict(state_dict).config == network.config
