"""The steps of the demo, in order."""

import dataclasses
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from aethernet.conditions import Conditions, measurement_conditions
from aethernet.data.pictures import find_pictures, read_rgb
from aethernet.demo import figures, pictures
from aethernet.demo.commands import one_step, run_command
from aethernet.demo.int8 import MAX_DROP, quantize_and_release
from aethernet.demo.options import EXPERIMENT, test_options, train_options, write_yaml
from aethernet.files import real_path, write_text
from aethernet.progress import Titled, silent
from aethernet.upscale.compare import comparison_path

CROP_SIZE, CROP_STEP = 144, 96
"""Pixels of a training sub-image: decoding whole photographs would cost more than training."""
ENLARGED = "coffee.png"
SAME_PSNR = 1e-3
"""dB between figures of the same function, computed in another order."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves behind: the rows of its table, what they were measured on, the files it wrote, and what is not
    as it should be."""

    rows: list[figures.Row]
    pictures: list[str]
    conditions: Conditions
    files: dict[str, Path]
    problems: list[str]


def run_demo(out: Path, *, scale: int = 2, iterations: int = 900, progress: Titled = silent) -> DemoResult:
    """Runs the demo in `out`, a folder that is new or empty (the command line sees to that).

    Args:
        out: folder for everything: data, experiments, results, pictures, logs.
        scale: 2, 3 or 4.
        iterations: of training; it is interrupted half-way and resumed.
        progress: makes a callback for each step, from its title; trainings count iterations.

    Raises:
        ProcessError: a command failed (its last lines are in the message). Table, curve and comparison of what was
            trained until then are there.
    """
    out = real_path(out)
    started = time.time()
    data = prepare_data(out, scale, progress)
    half = iterations // 2
    halfway, trained = train_and_resume(out, data, scale, half, iterations, progress)
    write_yaml(out / "test.yml", test_options(data, scale, trained))
    run_command(out, "test", "test", "-opt", "test.yml", progress=progress)
    tested = tested_figures(out / "results" / EXPERIMENT)

    held_out = {path.stem: read_rgb(path)[0] for path in find_pictures(data / "embedded" / "val" / "HR")}
    weights = {"half-way": halfway, "trained": trained}
    table = Table(out / "table.json", scale, iterations, list(held_out), started)
    with one_step(progress, "measure"):
        table.write(rows := figures.measure(weights, {}, held_out, scale, tested))
        events, curve = out / "tb_logger" / EXPERIMENT, out / "curve.png"
        files = {
            "table": table.path,
            "curve": pictures.training_curve(events, curve, bicubic=rows[0], resumed=half),
            "comparison": pictures.comparison(trained, held_out, scale, out / "comparison.png"),
        }

    release = quantize_and_release(
        out, data, trained, scale=scale, iterations=max(20, iterations // 9), progress=progress
    )
    fused = release.file("_fused.safetensors")
    onnx = {
        "fp32 ONNX": release.file("_fp32.onnx"),
        "int8 ONNX, PTQ": release.ptq,
        "int8 ONNX, QAT": release.file("_int8_ort.onnx"),
    }
    onnx = {stage: path for stage, path in onnx.items() if path.exists()}
    weights |= {"fused": fused} if fused.exists() else {}
    with one_step(progress, "measure all"):
        conditions = table.write(rows := figures.measure(weights, onnx, held_out, scale, tested))
    files |= {"release": release.folder, "report": release.folder / "report.html"}
    best = fused if fused.exists() else trained
    files["upscaled"] = upscale_picture(out, data / "embedded" / "val", best, scale, progress)
    return DemoResult(rows, list(held_out), conditions, files, [*problems(rows), *release.problems])


@dataclass(frozen=True)
class Table:
    """The demo's table as a file, written as soon as there are rows and again when there are more."""

    path: Path
    scale: int
    iterations: int
    pictures: list[str]
    started: float

    def write(self, rows: list[figures.Row]) -> Conditions:
        conditions = measurement_conditions(threads=torch.get_num_threads(), precision="float32", size="256x256")
        record = {
            "conditions": dataclasses.asdict(conditions),
            "scale": self.scale,
            "iterations": self.iterations,
            "seconds": round(time.time() - self.started, 1),
            "pictures": self.pictures,
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        write_text(self.path, json.dumps(record, indent=2) + "\n")
        return conditions


def prepare_data(out: Path, scale: int, progress: Titled) -> Path:
    """Writes the embedded pictures and cuts those for training into sub-images; returns the folder of both."""
    embedded, cut = out / "data" / "embedded", out / "data" / "train"
    run_command(out, "write pictures", "data", "embedded", str(embedded), "--scales", str(scale), progress=progress)
    run_command(
        out, "cut pictures", "data", "prepare", str(embedded / "train" / "HR"), str(cut),
        "--scales", str(scale), "--crop-size", str(CROP_SIZE), "--step", str(CROP_STEP),
        progress=progress,
    )  # fmt: skip
    return out / "data"


def train_and_resume(
    out: Path, data: Path, scale: int, half: int, iterations: int, progress: Titled
) -> tuple[Path, Path]:
    """Trains to `half`, as if it had been stopped there, and goes on from the newest checkpoint; returns both weights."""
    train = train_options(data, scale, iterations)
    write_yaml(out / "train.yml", train)
    write_yaml(out / "first_half.yml", {**train, "train": {**train["train"], "total_iter": half}})
    command: tuple[str, ...] = ("train", "-opt", "first_half.yml")
    run_command(out, f"train to iteration {half}", *command, progress=progress, iterations=half)
    command = ("train", "-opt", "train.yml", "--auto_resume")
    run_command(out, f"resume to iteration {iterations}", *command, progress=progress, iterations=iterations)
    models = out / "experiments" / EXPERIMENT / "models"
    return models / f"net_g_{half}.pth", models / "net_g_latest.pth"


def upscale_picture(out: Path, pictures: Path, weights: Path, scale: int, progress: Titled) -> Path:
    """Enlarges a reduced photograph; returns the comparison beside the result."""
    reduced, original = pictures / "LR_bicubic" / f"X{scale}" / ENLARGED, pictures / "HR" / ENLARGED
    target = out / "upscaled" / ENLARGED
    run_command(
        out, "upscale a picture", "upscale", str(reduced), "-o", str(target), "--model", str(weights),
        "--original", str(original), progress=progress,
    )  # fmt: skip
    return comparison_path(target)


def tested_figures(results: Path) -> tuple[float, float]:
    """PSNR (dB) and SSIM as `aethernet test` logged them."""
    text = max(results.glob("test_*.log")).read_text(encoding="utf-8")
    psnr, ssim = (float(re.findall(rf"# {metric}: ([\d.]+)", text)[0]) for metric in ("psnr", "ssim"))
    return psnr, ssim


def problems(rows: list[figures.Row]) -> list[str]:
    """What a user may rely on and is not so: the network beats bicubic, fusing changes nothing that a metric can see, and
    int8 little."""
    by_stage = {row.stage: row for row in rows}
    trained, bicubic, found = by_stage["trained"], by_stage["bicubic"], []
    if trained.psnr <= bicubic.psnr:
        found.append(
            f"the network reached {trained.psnr:.2f} dB, bicubic {bicubic.psnr:.2f} dB: more --iterations help"
        )
    for row in rows:
        if "ONNX" in row.stage and not trained.psnr - row.psnr <= MAX_DROP:
            found.append(
                f"{row.stage} gives {row.psnr:.2f} dB, the trained network {trained.psnr:.2f} dB: more than {MAX_DROP} dB "
                "are lost"
            )
        if row.stage in ("fused", "aethernet test") and abs(trained.psnr - row.psnr) > SAME_PSNR:
            found.append(f"{row.stage} gives {row.psnr:.4f} dB, the trained network {trained.psnr:.4f} dB")
    return found
