"""`aethernet fuse`: proves, writes, and refuses with the reason."""

import pytest
import torch
from helpers.networks import randomise

from aethernet import AetherNet, aether_custom, load_network, read_checkpoint, write_checkpoint
from aethernet.cli import main
from aethernet.network.parity import fusion_parity


def small(**changes) -> AetherNet:
    fields = {"width": 8, "depths": [2], "kernel_size": 3, "block": "plain", "norm_type": "none"}
    return aether_custom(2, **fields, **changes)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "net_g_10.pth"
    last, averaged = (randomise(small(), seed).state_dict() for seed in (1, 2))
    torch.save({"params": last, "params_ema": averaged}, path)
    return path


@pytest.mark.parametrize("name", ["fused.pth", "fused.safetensors"])
def test_fusing_a_basicsr_checkpoint(checkpoint, tmp_path, capsys, name):
    out = tmp_path / name
    assert main(["fuse", str(checkpoint), "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert "params_ema" in text
    assert "photograph chelsea" in text
    assert "fused equals unfused" in text
    expected = read_checkpoint(checkpoint).network(stage="fused").state_dict()
    found = load_network(out).state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_grey_networks_are_proven_on_grey(tmp_path, capsys):
    write_checkpoint(tmp_path / "grey.pth", randomise(aether_custom(2, width=6, depths=[1], in_channels=1)))
    assert main(["fuse", str(tmp_path / "grey.pth"), "-o", str(tmp_path / "out.pth")]) == 0
    assert "(1, 1, 128, 128)" in capsys.readouterr().out


def test_a_key_can_be_chosen(checkpoint, tmp_path):
    assert main(["fuse", str(checkpoint), "-o", str(tmp_path / "out.pth"), "--key", "params"]) == 0
    expected = read_checkpoint(checkpoint, key="params").network(stage="fused").state_dict()
    assert torch.equal(load_network(tmp_path / "out.pth").state_dict()["fusion.weight"], expected["fusion.weight"])


def test_nothing_is_overwritten_unasked(checkpoint, tmp_path, capsys):
    out = tmp_path / "out.pth"
    out.write_text("precious")
    assert main(["fuse", str(checkpoint), "-o", str(out)]) == 1
    assert "exists" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert main(["fuse", str(checkpoint), "-o", str(out), "--force"]) == 0


def test_other_kinds_of_files_are_not_written(checkpoint, tmp_path, capsys):
    assert main(["fuse", str(checkpoint), "-o", str(tmp_path / "out.onnx")]) == 1
    assert "must end in .pth or .safetensors" in capsys.readouterr().err


def test_weights_that_are_finite_but_not_what_comes_of_them(tmp_path, capsys):
    network = small()
    with torch.no_grad():
        network.shallow.weight[0] = 3e38
    write_checkpoint(tmp_path / "extreme.pth", network)
    assert main(["fuse", str(tmp_path / "extreme.pth"), "-o", str(tmp_path / "out.pth")]) == 1
    assert "extreme or non-finite" in capsys.readouterr().err
    assert not (tmp_path / "out.pth").exists()


def test_parity_sees_a_wrong_fusion(monkeypatch):
    network = randomise(small()).eval()
    inputs = {"noise": torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))}
    assert all(record.holds for record in fusion_parity(network, inputs))
    original = type(network).fuse_model

    def wrong(self):
        original(self)
        with torch.no_grad():
            self.fusion.bias += 1e-3
        return self

    monkeypatch.setattr(type(network), "fuse_model", wrong)
    assert not any(record.holds for record in fusion_parity(network, inputs))
