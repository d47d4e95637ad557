"""Weights of earlier releases. There is no earlier version yet: a made-up version 0 proves the way that its files take."""

import dataclasses

import pytest
import torch
from helpers.networks import picture, randomise
from torch import nn

from aethernet import AetherConfig, AetherNet, load_network, read_checkpoint, write_checkpoint
from aethernet.errors import CheckpointError
from aethernet.network import migrations
from aethernet.network.config import ARCH_VERSION, CONFIG_KEY, pack_fields, unpack_fields
from aethernet.network.migrations import up_to_date

CONFIG = AetherConfig(width=8, depths=(1, 1), scale=2, kernel_size=5, tail_channels=6)


@pytest.fixture
def network() -> AetherNet:
    return randomise(AetherNet(CONFIG)).eval()


@pytest.fixture
def version_0(network, monkeypatch) -> dict[str, torch.Tensor]:
    """The weights as version 0 named them, and the step to version 1: `head` became `shallow`, `upscale` `scale`; the
    large kernels lay flat, and skip was always `nearest`."""

    def to_version_1(fields, tensors):
        fields["scale"] = fields.pop("upscale")
        fields["skip"] = "nearest"
        renamed = {}
        for name, value in tensors.items():
            if name.endswith(".large"):
                size = fields["kernel_size"]
                value = value.reshape(-1, 1, size, size)
            renamed[name.replace("head.", "shallow.")] = value
        return fields, renamed

    monkeypatch.setitem(migrations.MIGRATIONS, 0, to_version_1)
    old = {}
    for name, value in network.state_dict().items():
        old[name.replace("shallow.", "head.")] = value.flatten(1) if name.endswith(".large") else value
    fields = unpack_fields(old[CONFIG_KEY])
    fields["upscale"] = fields.pop("scale")
    del fields["skip"]
    old[CONFIG_KEY] = pack_fields({**fields, "arch_version": 0})
    return old


def same(first: AetherNet, second: AetherNet) -> bool:
    x = picture(1, 3, 5, 6)
    with torch.no_grad():
        return first.config == second.config and torch.equal(first.eval()(x), second.eval()(x))


def test_the_table_reaches_this_version():
    """Every version from the first on has its step; 1 is the first."""
    assert sorted(migrations.MIGRATIONS) == list(range(1, ARCH_VERSION))


def test_this_version_is_left_alone(network):
    state_dict = network.state_dict()
    assert unpack_fields(state_dict[CONFIG_KEY])["arch_version"] == ARCH_VERSION
    assert up_to_date(state_dict) is state_dict
    assert up_to_date({"a": torch.zeros(1)}).keys() == {"a"}


def test_old_weights_rebuild_the_network(network, version_0):
    names, config = list(version_0), version_0[CONFIG_KEY].clone()
    assert same(AetherNet.from_state_dict(version_0), network)
    assert list(version_0) == names and torch.equal(version_0[CONFIG_KEY], config), "the caller's weights stay"


def test_old_files_load_and_are_written_anew(network, version_0, tmp_path):
    torch.save({"params": version_0}, tmp_path / "old.pth")
    checkpoint = read_checkpoint(tmp_path / "old.pth")
    assert checkpoint.config == network.config
    assert checkpoint.state_dict.keys() == network.state_dict().keys()
    assert same(load_network(tmp_path / "old.pth"), network)
    write_checkpoint(tmp_path / "new.safetensors", load_network(tmp_path / "old.pth"))
    assert same(load_network(tmp_path / "new.safetensors"), network)


@pytest.mark.parametrize("stage", ["train", "fused"])
def test_old_weights_load_into_a_network_that_a_trainer_built(network, version_0, stage):
    """Strictly, alone and inside other modules, and on to a later stage."""
    built = AetherNet(dataclasses.replace(CONFIG, stage=stage)).eval()
    built.load_state_dict(version_0)
    inside = nn.Sequential(nn.Identity(), AetherNet(dataclasses.replace(CONFIG, stage=stage))).eval()
    inside.load_state_dict({f"1.{name}": value for name, value in version_0.items()})
    expected = network.fuse_model() if stage == "fused" else network
    assert same(built, expected)
    assert same(inside[1], expected)


def test_versions_without_a_way_are_refused(network, version_0, monkeypatch):
    monkeypatch.delitem(migrations.MIGRATIONS, 0)
    with pytest.raises(
        CheckpointError, match=r"arch_version 0, this release reads 1: use the release of aethernet that"
    ):
        AetherNet.from_state_dict(version_0)
    state_dict = network.state_dict()
    state_dict[CONFIG_KEY] = pack_fields({**unpack_fields(state_dict[CONFIG_KEY]), "arch_version": ARCH_VERSION + 1})
    with pytest.raises(CheckpointError, match=r"arch_version 2.*or a newer one"):
        network.load_state_dict(state_dict)


def test_steps_are_walked_one_after_the_other(network, monkeypatch):
    """A file of version -1 passes two steps, each with its own table of names."""
    monkeypatch.setitem(migrations.MIGRATIONS, -1, lambda fields, tensors: ({**fields, "passed": "-1"}, tensors))
    monkeypatch.setitem(migrations.MIGRATIONS, 0, lambda fields, tensors: (
        {name: value for name, value in fields.items() if name != "passed"},
        {name.removeprefix(f"{fields['passed']}."): value for name, value in tensors.items()},
    ))  # fmt: skip
    state_dict = network.state_dict()
    old = {f"-1.{name}": value for name, value in state_dict.items() if name != CONFIG_KEY}
    old[CONFIG_KEY] = pack_fields({**unpack_fields(state_dict[CONFIG_KEY]), "arch_version": -1})
    assert same(AetherNet.from_state_dict(old), network)
