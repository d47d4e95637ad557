"""The steps of the demo, in order."""

import dataclasses
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from aethernet import recipes
from aethernet.bench.witness import Witness, take_witness
from aethernet.data.pictures import find_pictures, read_rgb
from aethernet.demo import figures, pictures
from aethernet.demo.commands import run_command
from aethernet.errors import EnvironmentProblem
from aethernet.files import atomic_path

VARIANT = "tiny"
EXPERIMENT = "demo"
CROP_SIZE, CROP_STEP = (
    144,
    96,
)  # pixels of a training sub-image: decoding whole photographs would cost more than training
BATCH, LQ_SIZE = 8, 32
SEED = 0


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves behind: the rows of its table, what they were measured on, and the files it wrote."""

    rows: list[figures.Row]
    pictures: list[str]
    witness: Witness
    files: dict[str, Path]


def run_demo(
    out: Path, *, scale: int = 2, iterations: int = 900, progress: Callable[[str, float], None] = lambda *_: None
) -> DemoResult:
    """Runs the demo in `out`, a folder that is new or empty (the command line sees to that).

    Args:
        out: folder for everything: data, experiments, results, pictures, logs.
        scale: 2, 3 or 4.
        iterations: of training; it is interrupted half-way and resumed.
        progress: called with the step's title and the part of it that is done, 0 to 1.

    Raises:
        EnvironmentProblem: a command failed (its last lines are in the message), or the trained network does not
            beat bicubic, or the fused network is not the trained one.
    """
    out = Path(out).resolve()
    started = time.time()
    data = prepare_data(out, scale, progress)
    half = iterations // 2
    train = train_options(data, scale, iterations)
    write_yaml(out / "train.yml", train)
    write_yaml(out / "first_half.yml", {**train, "train": {**train["train"], "total_iter": half}})

    # The first run ends half-way, as if it had been stopped; the second goes on from its newest checkpoint.
    command: tuple[str, ...] = ("train", "-opt", "first_half.yml")
    run_command(out, f"train to iteration {half}", *command, progress=progress, iterations=half)
    halfway = out / "experiments" / EXPERIMENT / "models" / f"net_g_{half}.pth"
    command = ("train", "-opt", "train.yml", "--auto_resume")
    run_command(out, f"resume to iteration {iterations}", *command, progress=progress, iterations=iterations)
    trained = out / "experiments" / EXPERIMENT / "models" / "net_g_latest.pth"

    write_yaml(out / "test.yml", test_options(data, scale, trained))
    run_command(out, "test", "test", "-opt", "test.yml", progress=progress)
    tested = tested_figures(out / "results" / EXPERIMENT)

    fused = out / "aether_tiny_fused.safetensors"
    run_command(out, "fuse", "fuse", str(trained), "-o", str(fused), progress=progress)

    progress("measure", 0.0)
    held_out = {path.stem: read_rgb(path)[0] for path in find_pictures(data / "embedded" / "val" / "HR")}
    rows = figures.measure({"half-way": halfway, "trained": trained, "fused": fused}, held_out, scale, tested)
    files = {
        "table": out / "table.json",
        "curve": pictures.training_curve(
            out / "tb_logger" / EXPERIMENT, out / "curve.png", bicubic=rows[0], resumed=half
        ),
        "comparison": pictures.comparison(fused, held_out, scale, out / "comparison.png"),
        "weights": fused,
    }
    witness = take_witness(threads=torch.get_num_threads(), precision="float32", size="256x256")
    record = {
        "witness": dataclasses.asdict(witness),
        "scale": scale,
        "iterations": iterations,
        "seconds": round(time.time() - started, 1),
        "pictures": list(held_out),
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    with atomic_path(files["table"]) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    progress("measure", 1.0)
    check(rows)
    return DemoResult(rows, list(held_out), witness, files)


def prepare_data(out: Path, scale: int, progress: Callable[[str, float], None]) -> Path:
    """Writes the embedded pictures and cuts those for training into sub-images; returns the folder of both."""
    embedded, cut = out / "data" / "embedded", out / "data" / "train"
    run_command(out, "write pictures", "data", "embedded", str(embedded), "--scales", str(scale), progress=progress)
    run_command(
        out, "cut pictures", "data", "prepare", str(embedded / "train" / "HR"), str(cut),
        "--scales", str(scale), "--crop-size", str(CROP_SIZE), "--step", str(CROP_STEP),
        progress=progress,
    )  # fmt: skip
    return out / "data"


def train_options(data: Path, scale: int, iterations: int) -> dict:
    """The training options of the variant, shortened to what a CPU does in two minutes."""
    recipe = {"total_iter": iterations, "batch": BATCH, "lq_size": LQ_SIZE, "ema_decay": 0.99}
    opt = recipes.options(VARIANT, scale, "train", **recipe)
    opt |= {"name": EXPERIMENT, "num_gpu": 0, "manual_seed": SEED}
    opt["datasets"]["train"] |= {
        "dataroot_gt": str(data / "train" / "HR_sub"),
        "dataroot_lq": str(data / "train" / "LR_bicubic_sub" / f"X{scale}"),
        "num_worker_per_gpu": 1,
        "dataset_enlarge_ratio": 50,
    }
    opt["datasets"] = {"train": opt["datasets"]["train"], "val": validation_set(data, scale)}
    opt["val"] |= {"val_freq": iterations // 10, "save_img": False, "pbar": False}
    opt["logger"] |= {"print_freq": max(1, iterations // 90), "save_checkpoint_freq": iterations // 10}
    return opt


def test_options(data: Path, scale: int, weights: Path) -> dict:
    """The test options of the variant on the pictures that were kept from training."""
    opt = recipes.options(VARIANT, scale, "test")
    opt |= {"name": EXPERIMENT, "num_gpu": 0, "manual_seed": SEED}
    opt["datasets"] = {"test_1": validation_set(data, scale)}
    opt["path"] |= {"pretrain_network_g": str(weights)}
    return opt


def validation_set(data: Path, scale: int) -> dict:
    return {
        "name": "embedded",
        "type": "PairedImageDataset",
        "dataroot_gt": str(data / "embedded" / "val" / "HR"),
        "dataroot_lq": str(data / "embedded" / "val" / "LR_bicubic" / f"X{scale}"),
        "io_backend": {"type": "disk"},
    }


def tested_figures(results: Path) -> tuple[float, float]:
    """PSNR (dB) and SSIM as `aethernet test` logged them."""
    text = max(results.glob("test_*.log")).read_text(encoding="utf-8")
    psnr, ssim = (float(re.findall(rf"# {metric}: ([\d.]+)", text)[0]) for metric in ("psnr", "ssim"))
    return psnr, ssim


def check(rows: list[figures.Row]) -> None:
    """What a user may rely on: the network beats bicubic, and fusing changed nothing that a metric can see."""
    by_stage = {row.stage: row for row in rows}
    trained, fused, bicubic = by_stage["trained"], by_stage["fused"], by_stage["bicubic"]
    if trained.psnr <= bicubic.psnr:
        raise EnvironmentProblem(
            f"the network reached {trained.psnr:.2f} dB, bicubic {bicubic.psnr:.2f} dB: train longer"
        )
    for other in (fused, by_stage["aethernet test"]):
        if abs(trained.psnr - other.psnr) > 1e-3:
            raise EnvironmentProblem(
                f"{other.stage} gives {other.psnr:.4f} dB, the trained network {trained.psnr:.4f} dB"
            )


def write_yaml(path: Path, opt: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(opt, sort_keys=False), encoding="utf-8")
