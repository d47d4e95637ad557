"""The steps of the demo, in order."""

import dataclasses
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from aethernet.bench.witness import Witness, take_witness
from aethernet.data.pictures import find_pictures, read_rgb
from aethernet.demo import figures, pictures
from aethernet.demo.commands import run_command
from aethernet.demo.int8 import MAX_DROP, quantize_and_release
from aethernet.demo.options import EXPERIMENT, test_options, train_options, write_yaml
from aethernet.errors import EnvironmentProblem
from aethernet.files import atomic_path

CROP_SIZE, CROP_STEP = 144, 96
"""Pixels of a training sub-image: decoding whole photographs would cost more than training."""


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

    release = quantize_and_release(
        out, data, trained, scale=scale, iterations=max(20, iterations // 9), progress=progress
    )
    fused = release.file("_fused.safetensors")

    progress("measure", 0.0)
    held_out = {path.stem: read_rgb(path)[0] for path in find_pictures(data / "embedded" / "val" / "HR")}
    rows = figures.measure(
        {"half-way": halfway, "trained": trained, "fused": fused},
        {
            "fp32 ONNX": release.file("_fp32.onnx"),
            "int8 ONNX, PTQ": release.ptq,
            "int8 ONNX, QAT": release.file("_int8_ort.onnx"),
        },
        held_out, scale, tested,
    )  # fmt: skip
    files = {
        "table": out / "table.json",
        "curve": pictures.training_curve(
            out / "tb_logger" / EXPERIMENT, out / "curve.png", bicubic=rows[0], resumed=half
        ),
        "comparison": pictures.comparison(fused, held_out, scale, out / "comparison.png"),
        "release": release.folder,
        "report": release.folder / "report.html",
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


def tested_figures(results: Path) -> tuple[float, float]:
    """PSNR (dB) and SSIM as `aethernet test` logged them."""
    text = max(results.glob("test_*.log")).read_text(encoding="utf-8")
    psnr, ssim = (float(re.findall(rf"# {metric}: ([\d.]+)", text)[0]) for metric in ("psnr", "ssim"))
    return psnr, ssim


def check(rows: list[figures.Row]) -> None:
    """What a user may rely on: the network beats bicubic, fusing changed nothing that a metric can see, and int8 little."""
    by_stage = {row.stage: row for row in rows}
    trained, fused, bicubic = by_stage["trained"], by_stage["fused"], by_stage["bicubic"]
    if trained.psnr <= bicubic.psnr:
        raise EnvironmentProblem(
            f"the network reached {trained.psnr:.2f} dB, bicubic {bicubic.psnr:.2f} dB: train longer"
        )
    for row in rows:
        if "ONNX" in row.stage and not trained.psnr - row.psnr <= MAX_DROP:
            raise EnvironmentProblem(
                f"{row.stage} gives {row.psnr:.2f} dB, the trained network {trained.psnr:.2f} dB: more than {MAX_DROP} dB "
                "are lost"
            )
    for other in (fused, by_stage["aethernet test"]):
        if abs(trained.psnr - other.psnr) > 1e-3:
            raise EnvironmentProblem(
                f"{other.stage} gives {other.psnr:.4f} dB, the trained network {trained.psnr:.4f} dB"
            )
