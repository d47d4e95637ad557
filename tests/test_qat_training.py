"""Quantisation-aware training through the trainers: ranges, weight average, resume, several processes, refusals."""

import copy
import re
from pathlib import Path

import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.networks import randomise
from helpers.training import run_aethernet, tiny_options, write_options, write_pairs
from test_distributed import torchrun

from aethernet import AetherNet, aether_custom, calibrate, load_network, write_checkpoint
from aethernet.data.calibration import CalibrationInputs
from aethernet.quantization.fake import quantizers

pytestmark = needs_basicsr

FIELDS = {"width": 8, "depths": [1, 1], "kernel_size": 5}
QAT = {"network_g:stage": "qat", "train:optim_g:lr": 1e-4, "path:param_key_g": "params"}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with pictures, float weights `float.pth` and the calibrated `qat.pth`."""
    root = tmp_path_factory.mktemp("qat")
    write_pairs(root, count=7)
    torch.manual_seed(0)
    network = randomise(aether_custom(2, **FIELDS)).eval()
    write_checkpoint(root / "float.pth", network)
    write_checkpoint(root / "qat.pth", calibrate(network, CalibrationInputs([root / "gt"], 2, 3, 7)))
    return root


def train(root: Path, name: str, *flags: str, **changes) -> dict[str, dict]:
    """Trains and returns what the last checkpoint holds."""
    weights = changes.pop("weights", "qat.pth")
    opt = tiny_options(root, **{**QAT, "name": name, "path:pretrain_network_g": str(root / weights), **changes})
    run_aethernet("train", "-opt", write_options(opt, root / f"{name}.yml"), *flags, cwd=root)
    return torch.load(root / f"experiments/{name}/models/net_g_latest.pth", weights_only=True)


def ranges(state: dict) -> list[float]:
    return [value.item() for name, value in state.items() if name.endswith("quantizer.range")]


def log(root: Path, name: str) -> str:
    (path,) = (root / "experiments" / name).glob("train_*.log")
    return path.read_text()


@pytest.mark.parametrize("model", ["SRModel", "AetherModel"])
def test_a_calibrated_checkpoint_trains_and_its_average_holds(root, model):
    content = train(root, f"calibrated_{model}", **{"model_type": model, "train:total_iter": 12})
    assert "calibrated on" not in log(root, f"calibrated_{model}")
    before = load_network(root / "qat.pth")
    networks = {key: AetherNet.from_state_dict(content[key]).eval() for key in ("params", "params_ema")}
    x = next(iter(CalibrationInputs([root / "gt"], 2, 3, 1)))
    with torch.no_grad():
        outputs = {key: network(x) for key, network in networks.items()}
        start = before(x)
    assert ranges(content["params"]) != ranges(before.state_dict())  # learnt
    # Decay 0.999 leaves the average near the start; lost ranges would refuse to run, stale ones be far off.
    assert (outputs["params"] - start).abs().max() > 1e-3
    assert (outputs["params_ema"] - start).square().mean() < (outputs["params"] - start).square().mean()
    networks["params_ema"].convert_to_quantized()


def test_float_weights_are_calibrated_on_the_training_set(root):
    content = train(root, "from_float", **{"model_type": "AetherModel", "train:total_iter": 1}, weights="float.pth")
    assert "calibrated on 7 training patches" in log(root, "from_float")
    found = ranges(content["params_ema"])
    expected = [quantizer.range.item() for _, quantizer in quantizers(load_network(root / "qat.pth"))]
    assert len(found) == len(expected)
    # Patches of 8x8 pixels show less than whole pictures, but most of it.
    assert all(0.3 * value < other < 1.5 * value for value, other in zip(expected, found, strict=True))


def test_a_resumed_training_equals_a_straight_one(root):
    changes = {"model_type": "AetherModel", "train:total_iter": 12, "logger:save_checkpoint_freq": 5, "val:val_freq": 5}
    straight = train(root, "straight", weights="float.pth", **changes)
    train(root, "resumed", weights="float.pth", **{**changes, "train:total_iter": 5})
    resumed = train(root, "resumed", "--auto_resume", weights="float.pth", **changes)
    for key, state in straight.items():
        for name, value in state.items():
            assert torch.equal(value, resumed[key][name]), f"{key}/{name}"


def test_qat_and_int8_networks_are_tested_as_any_other(root):
    for stage in ("qat", "int8"):
        opt = tiny_options(root, **{"name": f"test_{stage}", "network_g:stage": stage})
        opt["path"] = {"pretrain_network_g": str(root / "qat.pth"), "strict_load_g": True}
        opt["datasets"] = {"test_1": copy.deepcopy(opt["datasets"]["val"])}
        run_aethernet("test", "-opt", write_options(opt, root / f"test_{stage}.yml"), cwd=root)
    found = [
        next(line for line in path.read_text().splitlines() if "# psnr" in line)
        for path in sorted(root.glob("results/test_*/*.log"))
    ]
    assert len(found) == 2 and found[0].split("Best")[0] == found[1].split("Best")[0]


@pytest.mark.slow
def test_two_processes_share_the_ranges(root):
    changes = {"name": "two", "model_type": "AetherModel", "num_gpu": "auto", "train:total_iter": 4}
    opt = tiny_options(root, **{**QAT, **changes, "path:pretrain_network_g": str(root / "float.pth")})
    torchrun(write_options(opt, root / "two.yml"))
    content = torch.load(root / "experiments/two/models/net_g_latest.pth", weights_only=True)
    assert all(value > 0 for value in ranges(content["params"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path:pretrain_network_g": None}, "stage qat starts from trained weights"),
        (
            {"path:pretrain_network_g": "float.pth"},
            "has no ranges of activations, which SRModel cannot find: run `aethernet",
        ),
        ({"train:amp": "bf16", "model_type": "AetherModel"}, "train: amp: stage qat trains on int8 grids"),
        ({"network_g:quantization": "tflite"}, "no quantization preset 'tflite'"),
        ({"network_g:quantization": "quality"}, "quantization: .* in the weights"),
        ({"network_g:stage": "fused"}, "is of stage qat, which cannot go back into stage fused"),
    ],
)
def test_refusals(root, tmp_path, changes, message):
    given = {**QAT, "path:pretrain_network_g": "qat.pth", **changes}
    weights = given["path:pretrain_network_g"]
    given["path:pretrain_network_g"] = weights and str(root / weights)
    file = write_options(tiny_options(root, **given), tmp_path / "x.yml")
    result = run_aethernet("train", "-opt", file, cwd=tmp_path, check=False)
    assert result.returncode == 1
    text = " ".join(result.stderr.split())
    assert re.search(message, text), text
    assert not (tmp_path / "experiments").exists()
