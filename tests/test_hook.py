"""The hook: five commands without an installed `aethernet`, and the whole life of a network in an unmodified tree."""

import subprocess
import sys

import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.networks import randomise
from helpers.training import ARCHS, tiny_options, write_options, write_pairs
from helpers.trees import copy_basicsr, run_basicsr

import aether_hook
from aethernet import AetherNet, aether_custom, cli, load_network, write_checkpoint
from aethernet.integrations.frameworks import FRAMEWORKS

HOOK = ARCHS / "aether_hook.py"


def qat_network() -> AetherNet:
    torch.manual_seed(0)
    network = randomise(aether_custom(2, width=8, depths=[1], kernel_size=5)).train().prepare_qat()
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("range"):
                value.fill_(2.0)
    return network.eval()


def test_the_script_has_the_commands_of_a_life_and_no_others(tmp_path):
    """And runs where this package is on no path but the script's own folder."""
    run = [sys.executable, HOOK]
    done = subprocess.run([*run, "convert", "--help"], cwd=tmp_path, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: aether_hook convert ")
    done = subprocess.run([*run, "demo"], cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert all(name in done.stderr for name in aether_hook.COMMANDS)


def test_errors_name_the_hook(capsys):
    assert aether_hook.main(["convert", "aether_tiny_x4", "-o", "x.pth"]) == 1
    assert capsys.readouterr().err.startswith("aether_hook convert: error: aether_tiny_x4 is of stage train")


@pytest.mark.parametrize("stage", ["train", "int8"])
def test_what_is_not_of_stage_qat_is_not_converted(stage, tmp_path, capsys):
    network = qat_network().convert_to_quantized() if stage == "int8" else aether_custom(2, width=8, depths=[1])
    write_checkpoint(tmp_path / "in.pth", network)
    assert cli.main(["convert", str(tmp_path / "in.pth"), "-o", str(tmp_path / "out.pth")]) == 1
    assert f"is of stage {stage}, and those of stage qat are converted" in capsys.readouterr().err
    assert not (tmp_path / "out.pth").exists()


def test_converted_weights_compute_what_the_network_on_grids_converts_to(tmp_path):
    network = qat_network()
    write_checkpoint(tmp_path / "qat.pth", network)
    assert aether_hook.main(["convert", str(tmp_path / "qat.pth"), "-o", str(tmp_path / "int8.safetensors")]) == 0
    converted = load_network(tmp_path / "int8.safetensors")
    assert converted.config.stage == "int8"
    picture = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(converted(picture), network.convert_to_quantized()(picture))


def test_drop_in_files_call_the_hook():
    for framework in FRAMEWORKS:
        for line in framework.files.values():
            assert line.startswith(f'import aether_hook; aether_hook.register("{framework.package}"')


@pytest.mark.slow
@needs_basicsr
def test_the_four_commands_of_a_life_in_an_unmodified_tree(tmp_path):
    """Train, calibrate, train on int8 grids, export, as docs/train.md says: BasicSR's own `train.py`, and the script."""
    tree = copy_basicsr(tmp_path / "BasicSR")
    write_pairs(tmp_path)
    stock = {"model_type": "SRModel", "train:total_iter": 4}
    train = write_options(tiny_options(tmp_path, **stock, name="float"), tmp_path / "train.yml")
    calibrated = tmp_path / "calibrated.pth"
    stage_qat = {"name": "qat", "network_g:stage": "qat", "path:pretrain_network_g": str(calibrated)}
    qat = write_options(
        tiny_options(tmp_path, **stock, **stage_qat, **{"path:param_key_g": "params"}), tmp_path / "qat.yml"
    )
    trained, tuned = (tree / f"experiments/{name}/models/net_g_latest.pth" for name in ("float", "qat"))

    run_basicsr(tree, HOOK, "install", "--into", tree)
    run_basicsr(tree, "basicsr/train.py", "-opt", train)
    run_basicsr(tree, HOOK, "calibrate", trained, "--data", tmp_path / "gt", "-n", 3, "-o", calibrated)
    run_basicsr(tree, "basicsr/train.py", "-opt", qat)
    files = tmp_path / "files"
    run_basicsr(
        tree, HOOK, "export", tuned, "--against", trained, "--data", tmp_path / "gt", "--max-drop", 3, "-o", files
    )
    run_basicsr(tree, HOOK, "fuse", trained, "-o", tmp_path / "fused.pth")
    run_basicsr(tree, HOOK, "convert", tuned, "-o", tmp_path / "int8.pth")

    assert [path.name for path in files.iterdir()] == ["aether_custom_x2_int8_ort.onnx"]
    assert load_network(tuned).config.stage == "qat"
    assert not torch.equal(load_network(tuned).shallow.weight, load_network(calibrated).shallow.weight)
    assert load_network(tmp_path / "fused.pth").config.stage == "fused"
    assert load_network(tmp_path / "int8.pth").config.stage == "int8"
