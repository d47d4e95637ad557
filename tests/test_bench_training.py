"""Timed training iterations: what is counted, what is compared, and the command."""

import json

import pytest
import torch

from aethernet.bench.training import measure_training, trainable, training_iteration
from aethernet.cli import main
from aethernet.errors import ConfigError, UsageError

OWN = "aethernet.network.variants:aether_custom(scale=2, width=8, depths=[1], kernel_size=3)"
NO_PRODUCTS = """
import torch
from torch import nn

class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return nn.functional.interpolate(x * self.scale, scale_factor=2)

class Two(Scaled):
    def forward(self, x):
        return super().forward(x), x
"""
WIDER = "aethernet.network.variants:aether_custom(scale=2, width=16, depths=[1], kernel_size=3)"


def test_ratios_refer_to_the_first_network_and_to_its_operations():
    report = measure_training([OWN, WIDER], batch=2, patch=8, rounds=2, warmup=1)
    first, second = report.rows
    assert (first.timing.ratio, first.per_mac) == (1.0, 1.0)
    assert second.macs > 2 * first.macs
    assert second.per_mac == pytest.approx(second.timing.ratio * first.macs / second.macs)
    assert "2 patches of 8x8" in report.conditions.size


def test_operations_are_those_of_the_batch():
    one, four = (measure_training([OWN], batch=n, patch=8, rounds=1, warmup=0).rows[0].macs for n in (1, 4))
    assert four == 4 * one


def test_an_iteration_leaves_a_gradient_and_starts_from_none():
    network = trainable("aether_tiny_x4").train()
    run = training_iteration(network, batch=1, patch=8, scale=4)
    run()
    first = network.shallow.weight.grad.clone()
    run()
    assert torch.equal(network.shallow.weight.grad, first)


def test_unknown_networks_are_refused():
    with pytest.raises(ConfigError, match="no variant 'huge'; known: tiny, small"):
        trainable("aether_huge_x4")
    with pytest.raises(ConfigError):
        trainable("nothing")


def test_networks_without_anything_to_train_or_to_count_are_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "no_products.py").write_text(NO_PRODUCTS)
    for model in ("torch.nn:Upsample(scale_factor=2)", "no_products:Scaled()"):
        with pytest.raises(
            UsageError, match=rf"{model.split('(')[0]}\(.*no weights to train or no multiply-accumulates"
        ):
            measure_training([OWN, model], batch=1, patch=8, rounds=1, warmup=0)
    with pytest.raises(ConfigError, match=r"no_products:Two\(\) gives a tuple, not a picture"):
        measure_training(["no_products:Two()"], batch=1, patch=8, rounds=1, warmup=0)


def test_the_command(tmp_path, capsys):
    path = tmp_path / "training.json"
    arguments = ["--batch", "1", "--patch", "8", "--rounds", "1", "--warmup", "1", "--json", str(path)]
    assert main(["bench", "training", OWN, *arguments]) == 0
    assert "| per MAC |" in capsys.readouterr().out
    content = json.loads(path.read_text())
    assert content["kind"] == "training"
    assert content["rows"][0]["per_mac"] == 1.0
