"""Weights on disk: what is read, what is refused and with which words, and that writing is whole or nothing."""

import os
import pickle
import stat

import pytest
import torch
from networks import randomise

from aethernet import aether_tiny, load_network, read_checkpoint, write_checkpoint
from aethernet.errors import CheckpointError
from aethernet.files import atomic_path


def states_equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
@pytest.mark.parametrize("stage", ["train", "fused"])
def test_write_then_load(tmp_path, name, stage):
    network = randomise(aether_tiny(2, stage=stage))
    write_checkpoint(tmp_path / name, network)
    loaded = load_network(tmp_path / name)
    assert loaded.config == network.config
    assert not loaded.training
    assert states_equal(loaded.state_dict(), network.state_dict())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_averaged_weights_come_first(tmp_path):
    last, averaged = aether_tiny(2).state_dict(), aether_tiny(2).state_dict()
    torch.save({"params": last, "params_ema": averaged}, tmp_path / "net.pth")
    assert read_checkpoint(tmp_path / "net.pth").key == "params_ema"
    assert states_equal(read_checkpoint(tmp_path / "net.pth").state_dict, averaged)
    assert states_equal(read_checkpoint(tmp_path / "net.pth", key="params").state_dict, last)


def test_bare_and_distributed_state_dicts(tmp_path):
    state = aether_tiny(2).state_dict()
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "net.pth")
    checkpoint = read_checkpoint(tmp_path / "net.pth")
    assert checkpoint.key == "bare"
    assert states_equal(checkpoint.state_dict, state)


def test_fused_on_request(tmp_path):
    write_checkpoint(tmp_path / "net.pth", aether_tiny(2))
    assert load_network(tmp_path / "net.pth", stage="fused").config.stage == "fused"


class Foreign:
    pass


def write_foreign_pickle(path):
    path.write_bytes(pickle.dumps(Foreign()))


def truncate(path):
    write_checkpoint(path, aether_tiny(2))
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("absent.pth", lambda path: None, "is not a file"),
        ("page.pth", lambda path: path.write_text("<!DOCTYPE html><html></html>"), "not a file of plain tensors"),
        ("pointer.pth", lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "plain tensors"),
        ("objects.pth", write_foreign_pickle, "holds Python objects"),
        ("part.pth", truncate, "damaged"),
        ("part.safetensors", truncate, "not a readable safetensors file"),
        ("empty.pth", lambda path: path.write_bytes(b""), "damaged"),
        ("list.pth", lambda path: torch.save([1], path), "holds a list"),
        ("other.pth", lambda path: torch.save({"params": {"a": torch.zeros(1)}}, path), "holds no AetherNet weights"),
        ("state.pth", lambda path: torch.save({"iter": 5, "optimizers": []}, path), "expected one of params_ema"),
        ("noconfig.pth", lambda path: torch.save({"config": torch.zeros(4)}, path), "does not hold an AetherNet conf"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_what_is_refused(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / name)


def test_a_missing_key_names_those_present(tmp_path):
    write_checkpoint(tmp_path / "net.pth", aether_tiny(2))
    with pytest.raises(CheckpointError, match="no entry 'params_ema'; it has: params"):
        read_checkpoint(tmp_path / "net.pth", key="params_ema")


def test_an_unknown_version_is_refused(tmp_path):
    state = aether_tiny(2).state_dict()
    text = bytes(state["config"].tolist()).replace(b'"arch_version": 1', b'"arch_version": 9')
    state["config"] = torch.tensor(list(text), dtype=torch.uint8)
    torch.save({"params": state}, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match="arch_version 9"):
        read_checkpoint(tmp_path / "net.pth")


def test_only_known_endings_are_written(tmp_path):
    with pytest.raises(CheckpointError, match=r"\.pth or \.safetensors"):
        write_checkpoint(tmp_path / "net.onnx", aether_tiny(2))


def test_a_failing_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "file.pth"
    target.write_text("old")
    with pytest.raises(OSError, match="disk full"), atomic_path(target) as temporary:
        temporary.write_text("half of the n")
        raise OSError("disk full")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_others_may_read_what_the_umask_allows(tmp_path, name):
    former = os.umask(0o022)
    try:
        write_checkpoint(tmp_path / name, aether_tiny(2))
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o644
