"""Weights on disk: what is read, what is refused and with which words, and that writing is whole or nothing."""

import os
import stat

import pytest
import torch
from helpers.networks import picture, randomise
from safetensors import safe_open
from safetensors.torch import save_file

from aethernet import AetherConfig, AetherNet, __version__, aether_tiny, load_network, read_checkpoint, write_checkpoint
from aethernet.checkpoint.checkpoint import require_finite, require_whole
from aethernet.errors import CheckpointError, OutputError
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


def as_distributed(state, path):
    torch.save({f"module.{name}": value for name, value in state.items()}, path)


def as_traiNNer_safetensors(state, path):
    save_file({name: value.contiguous() for name, value in state.items()}, path)


def as_traiNNer_pth(state, path):
    torch.save({"metadata": {"scale": 2}, "params_ema": state}, path)


def as_neosr(state, path):
    """The weight average of a compiled network, saved as it is."""
    torch.save({"params": {f"module._orig_mod.{name}": value for name, value in state.items()}}, path)


def as_a_loop_of_ones_own(state, path):
    torch.save({"epoch": 5, "model_state_dict": state, "optimizer_state_dict": {}}, path)


def as_a_module_that_holds_it(state, path):
    """As Lightning saves it, beside the weights of a loss."""
    held = {f"net._orig_mod.{name}": value for name, value in state.items()}
    torch.save({"state_dict": {"loss.vgg.weight": torch.zeros(3), **held}, "global_step": 5}, path)


def as_neosr_average(state, path):
    last = {name: torch.zeros_like(value) for name, value in state.items()}
    torch.save({"params": last, "params-ema": state}, path)


@pytest.mark.parametrize(
    ("write", "name", "key"),
    [
        (as_distributed, "net.pth", "bare"),
        (as_traiNNer_safetensors, "net.safetensors", "bare"),
        (as_traiNNer_pth, "net.pth", "params_ema"),
        (as_neosr, "net.pth", "params"),
        (as_neosr_average, "net.pth", "params-ema"),
        (as_a_loop_of_ones_own, "net.pth", "model_state_dict"),
        (as_a_module_that_holds_it, "net.pth", "state_dict"),
    ],
)
def test_files_of_other_trainers(tmp_path, write, name, key):
    """In the layouts that traiNNer-redux (2026-06) and neosr (2025-04) write."""
    state = randomise(aether_tiny(2)).state_dict()
    write(state, tmp_path / name)
    checkpoint = read_checkpoint(tmp_path / name)
    assert checkpoint.key == key
    assert states_equal(checkpoint.state_dict, state)
    assert states_equal(load_network(tmp_path / name).state_dict(), state)


def test_a_file_in_half_precision(tmp_path):
    """Every tensor made half, the counts of the norms too, which then are infinite; training weights load and fuse."""
    config = AetherConfig(width=8, depths=(1,), kernel_size=5, scale=2, tail_channels=4)
    network = randomise(AetherNet(config)).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(".iterations"):
                parameter.fill_(200_000)
    state = {name: value.half() for name, value in network.state_dict().items()}
    assert any(torch.isinf(value).any() for value in state.values())
    save_file(state, tmp_path / "half.safetensors")
    x = picture(1, 3, 9, 8)
    for stage in ("train", "fused"):
        loaded = load_network(tmp_path / "half.safetensors", stage)
        assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
        with torch.no_grad():
            # 11 bits of each weight are left; 5e-3 is a few of their last ones, after six layers.
            assert (loaded(x) - network(x)).abs().max() < 5e-3
    resumed = load_network(tmp_path / "half.safetensors").train()
    assert resumed.fusion.norm.frozen  # 200,000 iterations are more than norm_freeze_iter
    assert torch.isfinite(resumed(x)).all()


@pytest.mark.parametrize(("channels", "order"), [(3, "RGB"), (1, "grey")])
def test_the_header_tells_people_what_it_is(tmp_path, channels, order):
    network = AetherNet(AetherConfig(width=8, depths=(1,), kernel_size=5, scale=2, in_channels=channels, stage="fused"))
    write_checkpoint(tmp_path / "net.safetensors", network, {"license": "CC0", "name": "mine"})
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        header = file.metadata()
    digest = header.pop("tensors_sha256")
    assert len(digest) == 64
    assert header == {
        "format": "pt",
        "network": "aether_custom x2 (stage fused)",
        "architecture": "AetherNet",
        "name": "mine",
        "scale": "2",
        "stage": "fused",
        "arch_version": "1",
        "aethernet_version": __version__,
        "color_order": order,
        "value_range": "0..1",
        "license": "CC0",
    }


def test_the_same_weights_give_the_same_pth(tmp_path):
    network = randomise(aether_tiny(2))
    for name in ("a.pth", "b.pth"):
        write_checkpoint(tmp_path / name, network)
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_missing_strange_and_misshapen_tensors_are_named():
    network = aether_tiny(2)
    state = network.state_dict()
    require_whole(state, network.config, "net")
    del state["shallow.bias"]
    state["head.weight"] = torch.zeros(1)
    state["reconstruction.weight"] = torch.zeros(1, 2)
    message = (
        r"^net is not whole: for aether_tiny x2 \(stage train\), it lacks shallow\.bias; has unknown head\.weight; has in "
        r"another shape reconstruction\.weight \(1, 2\) instead of \(64, 64, 3, 3\)\. Take"
    )
    with pytest.raises(CheckpointError, match=message):
        require_whole(state, network.config, "net")
    state = {"config": network.state_dict()["config"]}
    with pytest.raises(CheckpointError, match=r"lacks shallow\.weight, shallow\.bias, stages\.\S+ and \d+ more\. Take"):
        require_whole(state, network.config, "net")


@pytest.mark.parametrize("stage", ["train", "fused", "qat", "int8"])
def test_every_stage_is_whole_and_finite(stage):
    network = AetherNet(AetherConfig(width=8, depths=(1, 1), kernel_size=5, scale=2, stage=stage))
    require_whole(network.state_dict(), network.config, "net")
    require_finite(network.state_dict(), "net")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_named(value):
    state = AetherNet(AetherConfig(width=8, depths=(1,), scale=2)).state_dict()
    state["shallow.weight"][0, 0, 0, :2] = value
    state["stages.0.0.mixer.norm.iterations"] = torch.tensor(torch.inf)  # a count in half precision
    with pytest.raises(
        CheckpointError, match=r"^net holds .*, in shallow\.weight \(2 of 216\): the training diverged or"
    ):
        require_finite(state, "net")
    state["stages.0.0.mixer.norm.iterations"] = torch.tensor(torch.nan)
    with pytest.raises(CheckpointError, match=r"shallow\.weight .*, stages\.0\.0\.mixer\.norm\.iterations \(1 of 1\)"):
        require_finite(state, "net")


def test_damaged_weights_can_be_read_but_make_no_network(tmp_path):
    network = aether_tiny(2)
    with torch.no_grad():
        network.shallow.bias[1] = torch.nan
    write_checkpoint(tmp_path / "nan.safetensors", network)
    checkpoint = read_checkpoint(tmp_path / "nan.safetensors")
    assert checkpoint.state_dict["shallow.bias"].isnan().sum() == 1
    with pytest.raises(CheckpointError, match=r"nan\.safetensors \(bare\) holds .* in shallow\.bias \(1 of 64\)"):
        checkpoint.network()


def test_a_missing_key_names_those_present(tmp_path):
    write_checkpoint(tmp_path / "net.pth", aether_tiny(2))
    with pytest.raises(CheckpointError, match="no entry 'params_ema'; it has: params"):
        read_checkpoint(tmp_path / "net.pth", key="params_ema")


def test_only_known_endings_are_written(tmp_path):
    with pytest.raises(OutputError, match=r"\.pth or \.safetensors"):
        write_checkpoint(tmp_path / "net.onnx", aether_tiny(2))


def test_a_file_is_synced_before_it_gets_its_name_and_its_folder_after(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def recorded_replace(source, target):
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    write_checkpoint(tmp_path / "net.safetensors", aether_tiny(2))
    # safetensors may rename a file of its own onto the temporary one, below Python.
    assert done == (["file", "rename", "folder"] if os.name == "posix" else ["file", "rename"])


def test_a_failing_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "file.pth"
    target.write_text("old")
    with pytest.raises(OutputError, match="disk full"), atomic_path(target) as temporary:
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


def test_loading_says_nothing(tmp_path, caplog, recwarn):
    """A norm that stays in the fused graph is told of where a network is fused, not each time its file is read."""
    config = AetherConfig(width=8, depths=(1,), kernel_size=5, scale=2, norm_type="layernorm", stage="fused")
    for name in ("net.pth", "net.safetensors"):
        write_checkpoint(tmp_path / name, AetherNet(config))
        load_network(tmp_path / name)
    assert not caplog.records
    assert not recwarn.list
