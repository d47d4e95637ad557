"""What the fusion bench compares: the forms are one function, and each ablation lacks exactly its part."""

import json
import re

import pytest
import torch
from helpers.networks import picture

from aethernet import AetherConfig
from aethernet.bench.fusion import NOTHING, ablations, measure_fusion, network_forms
from aethernet.bench.training import training_iteration
from aethernet.errors import ConfigError
from aethernet.network.blocks import ReparamLargeKernelConv, ScaledConv2d
from aethernet.network.norms import DeploymentNorm
from aethernet.network.variants import VARIANTS

CONFIG = AetherConfig(width=8, depths=(1, 2), kernel_size=(7, 5), scale=2, tail_channels=4)


def kinds(network: torch.nn.Module, kind: type) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


def test_both_forms_are_one_function():
    forms = network_forms(CONFIG)
    x = picture(1, 3, 9, 11)
    with torch.no_grad():
        assert torch.allclose(forms["fused"](x), forms["unfused"](x), atol=1e-5)
    assert list(forms) == ["fused", "unfused"], "ratios refer to the fused form"
    assert [network.config.stage for network in forms.values()] == ["fused", "train"]


def test_each_ablation_lacks_its_part():
    networks = ablations(CONFIG)
    whole, *_ = networks.values()
    assert next(iter(networks)) == NOTHING
    blocks = sum(CONFIG.depths)
    assert (kinds(whole, ReparamLargeKernelConv), kinds(whole, DeploymentNorm)) == (blocks, blocks + 1)
    assert networks["large kernel (3x3 only)"].config.kernel_sizes == (3, 3)
    assert kinds(networks["3x3 branch"], ReparamLargeKernelConv) == 0
    assert not any(name.endswith(".small") for name, _ in networks["3x3 branch"].named_parameters())
    assert kinds(networks["norm"], DeploymentNorm) == 0
    assert all(m.frozen for m in networks["batch statistics (norm frozen)"].modules() if isinstance(m, DeploymentNorm))
    assert kinds(networks["temperature and scales"], ScaledConv2d) == 0
    assert all(network.training for network in networks.values())


def test_a_plain_network_has_nothing_to_leave_out():
    assert list(ablations(AetherConfig(width=8, depths=(1,), kernel_size=3, block="plain"))) == [NOTHING]


def test_without_the_small_kernel_the_large_one_is_the_same():
    torch.manual_seed(0)
    networks = ablations(CONFIG)
    mixer = networks[NOTHING].stages[0][0].mixer.eval()
    torch.nn.init.zeros_(mixer.small)
    alone = networks["3x3 branch"].stages[0][0].mixer.eval()
    alone.load_state_dict({name: value for name, value in mixer.state_dict().items() if name != "small"})
    x = picture(1, 8, 9, 11)
    assert torch.allclose(alone(x), mixer(x), atol=1e-6)


def test_training_iterations_reach_every_parameter():
    for name, network in ablations(CONFIG).items():
        training_iteration(network, batch=2, patch=6, scale=CONFIG.scale)()
        missing = [key for key, value in network.named_parameters() if value.requires_grad and value.grad is None]
        assert not missing, name


def test_command(monkeypatch, capsys, tmp_path):
    from aethernet import cli

    monkeypatch.setattr(cli, "COMMANDS", ("bench",))
    monkeypatch.setitem(VARIANTS, "mini", {"width": 8, "depths": (1,), "kernel_size": 5, "tail_channels": 4})
    file = tmp_path / "fusion.json"
    code = cli.main(["bench", "fusion", "mini", "--scale", "2", "--size", "8x8", "--batch", "1", "--patch", "8",
                     "--rounds", "2", "--warmup", "1", "--json", str(file)])  # fmt: skip
    out = capsys.readouterr().out
    assert code == 0
    assert re.search(r"^\| mini +\| +unfused \|", out, re.M)
    assert re.search(r"^\| mini +\| +nothing \| .*\| 1\.000 \| +- \|", out, re.M)
    assert "training on 1 patches of 8x8" in out
    content = json.loads(file.read_text())
    assert set(content) == {"kind", "forms", "branches", "forms_conditions", "branches_conditions"}
    assert [row["form"] for row in content["forms"]] == ["fused", "unfused"]
    assert [row["left_out"] for row in content["branches"]] == list(ablations(CONFIG))


def test_refused():
    with pytest.raises(ConfigError, match=r"no variant 'huge'; known: tiny"):
        measure_fusion(["huge"])
    with pytest.raises(ConfigError, match="scale must be one of"):
        measure_fusion(["tiny"], scale=5)
