"""The second half of the demo: the trained network becomes an int8 file, with and without fine-tuning for it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aethernet.checkpoint import load_network
from aethernet.demo.commands import run_command
from aethernet.demo.options import EXPERIMENT, qat_options, write_yaml
from aethernet.export.onnx import export_onnx

MAX_DROP = 0.15
"""dB that an int8 file may lose; `aethernet verify` refuses more."""


@dataclass(frozen=True)
class Int8Files:
    """The ONNX files: float, int8 by calibration alone (PTQ), int8 after fine-tuning (QAT)."""

    fp32: Path
    ptq: Path
    qat: Path


def quantize(
    out: Path, data: Path, trained: Path, *, scale: int, iterations: int, progress: Callable[[str, float], None]
) -> Int8Files:
    """Calibrates, fine-tunes, converts, exports and verifies; every step as a user would take it.

    Args:
        out: the demo's folder.
        data: its pictures.
        trained: the float weights.
        iterations: of the fine-tuning.

    Raises:
        EnvironmentProblem: a command failed, or a file lost more than `MAX_DROP`.
    """
    calibrated = out / "aether_tiny_qat.safetensors"
    pictures = str(data / "embedded" / "train" / "HR")
    run_command(
        out, "calibrate", "calibrate", str(trained), "--data", pictures, "-o", str(calibrated), progress=progress
    )
    write_yaml(out / "qat.yml", qat_options(data, scale, iterations, calibrated))
    run_command(out, "fine-tune for int8", "train", "-opt", "qat.yml", progress=progress, iterations=iterations)
    tuned = out / "experiments" / f"{EXPERIMENT}_qat" / "models" / "net_g_latest.pth"

    progress("export", 0.0)
    files = Int8Files(*(out / f"aether_tiny_{name}.onnx" for name in ("fp32", "int8_ptq", "int8_qat")))
    export_onnx(load_network(trained), scale, "fp32", files.fp32)
    for weights, path in ((calibrated, files.ptq), (tuned, files.qat)):
        export_onnx(load_network(weights, stage="int8"), scale, "int8", path)
    progress("export", 1.0)
    run_command(
        out, "verify", "verify", *map(str, (files.fp32, files.ptq, files.qat)), "--against", str(trained),
        "--data", str(data / "embedded" / "val" / "HR"), "--max-drop", str(MAX_DROP),
        progress=progress,
    )  # fmt: skip
    return files
