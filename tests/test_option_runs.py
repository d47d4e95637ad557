"""Every kind of rendered option file trains on a CPU, shrunk by `--set` alone, and goes on where it was interrupted."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.training import run_aethernet

from aethernet import AetherNet, cli, load_network, write_checkpoint
from aethernet.data.pictures import write_png
from aethernet.data.prepare import prepare_folder
from aethernet.data.subimages import Parameters
from aethernet.data.synthetic import synthetic_picture
from aethernet.network.variants import variant_config
from aethernet.training.recipes import SCALES, STAGES, STEPS, VARIANT_NAMES

pytestmark = needs_basicsr

TRAINING = [stage for stage in STAGES if stage != "test"]
FAST = ("tiny", 2, "real")
RUNS = [
    (variant, scale, stage)
    for stage in TRAINING
    for variant in (("tiny",) if stage == "distill" else VARIANT_NAMES)
    for scale in (SCALES if variant == "tiny" else (4 if variant == "large" else 2,))
]
"""All scales of tiny, and one of each other variant: what a scale changes in a file is the same for all."""
SHRUNK = ["total_iter=2", "batch=1", "lq_size=16"]
FORCED = ["num_gpu=0", "datasets:train:num_worker_per_gpu=0", "datasets:train:dataset_enlarge_ratio=4",
          "logger:use_tb_logger=false"]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the data that the files name, made by `aethernet data prepare`'s function."""
    root = tmp_path_factory.mktemp("runs")
    for number in range(2):
        write_png(root / f"hr/{number}.png", synthetic_picture(number, 96))
    prepare_folder(root / "hr", root / "datasets/DIV2K", Parameters(scales=SCALES, crop_size=96, step=48, min_size=48))
    prepare_folder(root / "hr", root / "datasets/Set5", Parameters(scales=SCALES, crop_size=None, step=48, min_size=48))
    return root


def weights(place: Path, variant: str, scale: int) -> Path:
    path = place / f"{variant}_x{scale}.pth"
    if not path.exists():
        torch.manual_seed(0)
        write_checkpoint(path, AetherNet(variant_config(variant, scale)))
    return path


@pytest.mark.parametrize(
    ("variant", "scale", "stage"),
    [pytest.param(*each, marks=() if each == FAST else pytest.mark.slow) for each in RUNS],
)
def test_an_option_file_trains_and_resumes(place, variant, scale, stage):
    step, name = STEPS.get(stage, stage), f"{stage}_{variant}_x{scale}"
    fields = [*SHRUNK, f"name={name}"]
    fields += [f"weights={weights(place, variant, scale)}"] if step in ("gan", "qat") else []
    fields += ["perceptual=false"] if step == "gan" else []
    fields += [f"teacher={weights(place, 'small', scale)}"] if stage == "distill" else []
    fields += ["degradation=photo"] if stage.startswith("real") and scale == 3 else []
    file = place / f"{name}.yml"
    assert cli.main(["options", variant, str(scale), stage, "-o", str(file), "--set", *fields]) == 0
    command = ["train", "-opt", file, "--force_yml", *FORCED]
    run_aethernet(*command, cwd=place)
    experiment = place / "experiments" / name
    trained = load_network(experiment / "models/net_g_latest.pth")
    assert trained.config.stage == ("qat" if step == "qat" else "train") and trained.config.scale == scale
    if variant != "tiny":
        return
    whole = torch.load(experiment / "models/net_g_2.pth", weights_only=True)
    (experiment / "training_states/2.state").unlink()
    shutil.rmtree(place / "results", ignore_errors=True)
    for file in experiment.glob("models/net_?_2.pth"):
        file.unlink()
    result = run_aethernet(*command, "--auto_resume", cwd=place)
    assert "Resuming training from epoch: 0, iter: 1" in result.stderr
    resumed = torch.load(experiment / "models/net_g_2.pth", weights_only=True)
    for key in ("params", "params_ema"):
        assert all(np.array_equal(value, resumed[key][entry]) for entry, value in whole[key].items())
