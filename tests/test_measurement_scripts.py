"""The scripts behind figures of docs/: they run, and what docs/fusion.py leaves out of a network is exactly the named part."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from helpers.networks import picture
from helpers.training import environment

from aethernet import AetherConfig
from aethernet.network.blocks import ReparamLargeKernelConv, ScaledConv2d
from aethernet.network.norms import DeploymentNorm
from aethernet.network.variants import VARIANTS

DOCS = Path(__file__).parents[1] / "docs"
CONFIG = AetherConfig(width=8, depths=(1, 2), kernel_size=(7, 5), scale=2, tail_channels=4)
SMALL = ["--batch", "1", "--patch", "8", "--rounds", "2", "--warmup", "1"]


@pytest.fixture
def fusion(monkeypatch) -> dict:
    monkeypatch.syspath_prepend(DOCS)
    monkeypatch.setitem(VARIANTS, "mini", {"width": 8, "depths": (1,), "kernel_size": 5, "tail_channels": 4})
    return runpy.run_path(str(DOCS / "fusion.py"))


def kinds(network: torch.nn.Module, kind: type) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


def test_each_ablation_lacks_its_part(fusion):
    networks = fusion["ablations"](CONFIG)
    whole = networks["nothing"]
    assert next(iter(networks)) == "nothing", "ratios refer to the whole network"
    blocks = sum(CONFIG.depths)
    assert (kinds(whole, ReparamLargeKernelConv), kinds(whole, DeploymentNorm)) == (blocks, blocks + 1)
    assert networks["large kernel (3x3 only)"].config.kernel_sizes == (3, 3)
    assert kinds(networks["3x3 branch"], ReparamLargeKernelConv) == 0
    assert not any(name.endswith(".small") for name, _ in networks["3x3 branch"].named_parameters())
    assert kinds(networks["norm"], DeploymentNorm) == 0
    assert all(m.frozen for m in networks["batch statistics (norm frozen)"].modules() if isinstance(m, DeploymentNorm))
    assert kinds(networks["temperature and scales"], ScaledConv2d) == 0
    assert all(network.training for network in networks.values())
    plain = AetherConfig(width=8, depths=(1,), kernel_size=3, block="plain")
    assert list(fusion["ablations"](plain)) == ["nothing"]


def test_without_the_small_kernel_the_large_one_is_the_same(fusion):
    torch.manual_seed(0)
    networks = fusion["ablations"](CONFIG)
    mixer = networks["nothing"].stages[0][0].mixer.eval()
    torch.nn.init.zeros_(mixer.small)
    alone = networks["3x3 branch"].stages[0][0].mixer.eval()
    alone.load_state_dict({name: value for name, value in mixer.state_dict().items() if name != "small"})
    x = picture(1, 8, 9, 11)
    assert torch.allclose(alone(x), mixer(x), atol=1e-6)


def test_training_iterations_reach_every_parameter(fusion):
    for name, network in fusion["ablations"](CONFIG).items():
        fusion["training_iteration"](network, 2, 6, CONFIG.scale)()
        missing = [key for key, value in network.named_parameters() if value.requires_grad and value.grad is None]
        assert not missing, name


def test_both_print_a_table(fusion, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fusion.py", "mini", "--scale", "2", *SMALL])
    monkeypatch.setitem(fusion["main"].__globals__, "SIZE", 8)
    fusion["main"]()
    out = capsys.readouterr().out
    assert re.search(r"^\| mini +\| +forward, unfused \|", out, re.M)
    assert re.search(r"^\| mini +\| +training without nothing \| .*\| 1\.000 \|", out, re.M)
    assert "training on 1 patches of 8x8" in out
    other = "aethernet.network.variants:aether_custom(scale=2, width=8, depths=[1], kernel_size=3)"
    monkeypatch.setattr(sys, "argv", ["training_speed.py", "aether_mini_x2", other, *SMALL])
    runpy.run_path(str(DOCS / "training_speed.py"), run_name="__main__")
    first, second = re.findall(r"^\| aether\S+.* (\d\.\d\d) \|$", capsys.readouterr().out, re.M)
    assert first == "1.00" != second


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked at by /proc")
def test_the_service_is_measured(monkeypatch, capsys):
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        sys, "argv", ["serving.py", "--uploads", "3", "--rounds", "2", "--size", "8x8", "--requests", "2"]
    )
    runpy.run_path(str(DOCS / "serving.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert said.count(" 3 of 3 |") == 2 and re.search(r"a picture is computed \| +2 \|", said)
