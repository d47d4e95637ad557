"""The second half of the demo: the trained network is fine-tuned for int8, and a release is made of both."""

import json
from dataclasses import dataclass
from pathlib import Path

from aethernet.checkpoint.checkpoint import load_network
from aethernet.data.embedded import PICTURES
from aethernet.demo.commands import one_step, run_command
from aethernet.demo.options import EXPERIMENT, VARIANT, qat_options, write_yaml
from aethernet.export.onnx import export_onnx
from aethernet.network.config import network_name
from aethernet.progress import Titled
from aethernet.release.folder import REPORT
from aethernet.wording import how_many

MAX_DROP = 0.15
"""dB that an int8 file may lose."""


@dataclass(frozen=True)
class Release:
    """The folder of the bundle and files in it, and beside it the int8 file without fine-tuning (PTQ). `problems` says why
    files are not in the bundle."""

    folder: Path
    name: str
    ptq: Path
    problems: list[str]

    def file(self, suffix: str) -> Path:
        return self.folder / f"{self.name}{suffix}"


def quantize_and_release(
    out: Path, data: Path, trained: Path, *, scale: int, iterations: int, progress: Titled
) -> Release:
    """Calibrates, fine-tunes and releases; every step as a user would take it.

    Args:
        out: the demo's folder.
        data: its pictures.
        trained: the float weights.
        iterations: of the fine-tuning.

    Raises:
        ProcessError: a command failed. A file that lost more than `MAX_DROP` is among the problems of the release.
    """
    calibrated = out / "aether_tiny_qat.safetensors"
    pictures = str(data / "embedded" / "train" / "HR")
    run_command(
        out, "calibrate", "calibrate", str(trained), "--data", pictures, "-o", str(calibrated), progress=progress
    )
    write_yaml(out / "qat.yml", qat_options(data, scale, iterations, calibrated))
    run_command(out, "fine-tune for int8", "train", "-opt", "qat.yml", progress=progress, iterations=iterations)
    tuned = out / "experiments" / f"{EXPERIMENT}_qat" / "models" / "net_g_latest.pth"

    folder, ptq = out / "release", out / "aether_tiny_int8_ptq.onnx"
    run_command(
        out, "release", "release", str(trained), "--qat", str(tuned), "--data", str(data / "embedded" / "val" / "HR"),
        "-o", str(folder), "--max-drop", str(MAX_DROP), "--data-note", data_note(), progress=progress,
        # A file that failed its gate makes for exit code 1, too: the others are there.
        succeeded=lambda code: code == 0 or (code == 1 and (folder / REPORT).exists()),
    )  # fmt: skip
    with one_step(progress, "int8 without fine-tuning"):
        export_onnx(load_network(calibrated, stage="int8"), scale, "int8", ptq)
    records = json.loads((folder / REPORT).read_text(encoding="utf-8"))["files"]
    problems = [
        f"{record['file']} is not in the bundle: {record['problem']}" for record in records if not record["passed"]
    ]
    return Release(folder, network_name(VARIANT, scale), ptq, problems)


def data_note() -> str:
    """What the demo trains on, for the model card."""
    trained = [f"{picture.name} ({picture.source})" for picture in PICTURES if picture.split == "train"]
    return (
        f"{how_many(len(trained), 'picture')} that come with scikit-image, to show how it goes: {'; '.join(trained)}."
    )
