"""docs/gpu/run.py, on the CPU and on small numbers: every step leaves its figures, and one that fails stops no other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.extras import needs
from helpers.training import environment, write_pairs

SCRIPT = Path(__file__).parents[1] / "docs/gpu/run.py"


def run(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(SCRIPT), "--device", "cpu", "--quick", *map(str, arguments)]
    result = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=1200, check=False)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


@needs("basicsr", "spandrel")
@pytest.mark.slow
def test_every_step_leaves_its_figures(tmp_path):
    write_pairs(tmp_path, count=6, size=64, scale=4)
    steps = ["--steps", "latency", "training"]  # its tests are run by themselves
    data = ["--data", tmp_path / "gt", "--val", tmp_path / "gt"]
    run(*data, *steps, "--minutes", 10, "-o", tmp_path / "out")
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["environment"]["torch"] == torch.__version__
    measured = {record["model"]: record["modes"] for record in report["latency"]["records"]}
    assert len(measured) == 2 and "aether_tiny_x4" in measured
    for modes in measured.values():
        computed = [mode for mode in modes if mode["mode"] != "compile"]  # a compiler may be missing
        assert [mode["mode"] for mode in computed] == ["eager", "channels_last", "bf16"]
        # bf16 has 8 bits; through SPAN's 19 layers they add up to a few units of the largest number.
        assert all(mode["ms"] > 0 and mode["difference"] < 0.1 for mode in computed)
    training = report["training"]
    assert training["outcome"] == "finished" and training["finished"] and training["iterations"] == 8
    (quality,) = training["quality"].values()
    # The trainer's last validation was of the same pictures; 8 bits are rounded at other places.
    assert quality["psnr"] == pytest.approx(float(training["validation"][-1]), abs=0.01)
    weights = torch.load(tmp_path / "out/aether_small_x4.pth", weights_only=True)
    assert set(weights) == {"params", "params_ema"}


@needs("basicsr", "spandrel")
@pytest.mark.slow
def test_a_step_that_fails_is_noted(tmp_path):
    """The training finds no pictures; the report says so and the script comes to its end."""
    (tmp_path / "empty").mkdir()
    run("--data", tmp_path / "empty", "--val", tmp_path / "empty", "--steps", "training", "-o", tmp_path / "out")
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["training"]["outcome"] == "exit 1"
    assert "empty" in (tmp_path / "out/training.txt").read_text()


def test_a_training_without_data_is_refused(tmp_path):
    result = run("-o", tmp_path / "out", check=False)
    assert result.returncode == 2 and "needs --data and --val" in result.stderr
    assert not (tmp_path / "out").exists()
