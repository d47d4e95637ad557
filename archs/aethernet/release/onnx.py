"""`aethernet export`: ONNX files alone, put into a folder one by one, each proven where there are pictures."""

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from aethernet.checkpoint.checkpoint import Checkpoint, read_checkpoint
from aethernet.data.calibration import CalibrationInputs
from aethernet.data.damaged import MOST_DAMAGED
from aethernet.errors import StageError, UsageError
from aethernet.export.form import Form
from aethernet.export.half_range import HalfReport
from aethernet.export.ncnn import files_of
from aethernet.export.ncnn_programs import padding_sentence
from aethernet.export.onnx import Precision, require_exporter
from aethernet.export.qdq import TargetName
from aethernet.network.calibration import calibrate
from aethernet.network.network import AetherNet
from aethernet.optional import optional_package
from aethernet.progress import Titled, silent
from aethernet.quantization.settings import CALIBRATION_PICTURES, PERCENTILE
from aethernet.release.flow import Gate, make_files
from aethernet.release.folder import check_free, folder_inside
from aethernet.release.networks import Networks, calibration_inputs
from aethernet.release.products import FLOAT_NCNN, NCNN_PACKAGES, NCNN_TARGET, Product, onnx_products
from aethernet.release.settings import ExportSettings
from aethernet.verify.budget import MAX_DROP, drop_budget
from aethernet.verify.verification import VerificationReport, pictures_of, verification_report


@dataclass(frozen=True)
class Exported:
    """The files that are there, why others are not, and what was found where there were pictures."""

    written: list[Path]
    left_out: dict[Path, str]
    verification: VerificationReport | None
    half: HalfReport | None
    half_unknown: bool
    padding: str


def export_files(weights: str | Path, out: Path, settings: ExportSettings, progress: Titled = silent) -> Exported:
    """Writes the files of one network, each whole or not at all; one that loses too much does not come into the folder.

    Args:
        weights: of any stage, or the name of packaged ones.
        out: the folder; other files in it stay.
        progress: makes a callback for each step, from its title.

    Raises:
        AetherError: settings that do not go together, unusable weights or pictures, files that exist.
    """
    require_exporter()
    form = Form(static=settings.static, batch=settings.batch, pixels=settings.pixels)
    checkpoint = read_checkpoint(weights, settings.key)
    precisions = settings.precision or (["int8"] if checkpoint.config.quantized else ["fp32", "fp16"])
    _check(weights, checkpoint, precisions, settings)
    name = settings.name or checkpoint.config.name
    if Path(name).name != name:
        raise UsageError(f"name must be the beginning of a file name, not {name!r}: give the folder apart")
    products = _products(precisions, settings, form)
    paths = [out / f"{name}{product.suffix}" for product in products]
    check_free(out, [file for path in paths for file in files_of(path)], settings.force)
    networks = _networks(checkpoint, settings, "int8" in precisions, progress)
    max_drop = MAX_DROP if settings.max_drop is None else settings.max_drop
    gate = None
    network = networks.at("fused")
    padding = padding_sentence(network.receptive_radius) if network is not None else ""
    if settings.data and network is not None:
        gate = Gate(
            network=network,
            pictures=pictures_of(
                settings.data, settings.static, network.config.scale, _max_damaged(settings), progress("opening")
            ),
            inputs=_inputs(settings, network),
            budget=lambda _: drop_budget(max_drop),
            threads=settings.threads,
        )
    with folder_inside(out) as folder:
        made = make_files(folder, name, networks, products, gate, form=form, opset=settings.opset, titled=progress)
        written = [path for path, record in zip(paths, made.records, strict=True) if record.passed]
        verification = None
        if made.gated is not None:
            files = [folder / record.file for record in made.records if record.checks]
            verification = verification_report(
                Path(settings.against or weights).name, [file.name for file in files], files, made.gated, max_drop,
                settings.static, gate.pictures.damaged if gate else (),
            )  # fmt: skip
        written = [file for path in written for file in files_of(path)]
        for path in written:
            os.replace(folder / path.name, path)
    problems = {path: record.problem for path, record in zip(paths, made.records, strict=True) if not record.passed}
    return Exported(written, problems, verification, made.half, "fp16" in precisions and made.half is None, padding)


def _max_damaged(settings: ExportSettings) -> int:
    return MOST_DAMAGED if settings.max_damaged is None else settings.max_damaged


def _inputs(settings: ExportSettings, network: AetherNet) -> CalibrationInputs:
    number = settings.number or CALIBRATION_PICTURES
    return calibration_inputs(settings.data or (), network, number, _max_damaged(settings))


def _targets(settings: ExportSettings) -> list[TargetName]:
    """Those of ONNX files."""
    given = dict.fromkeys(settings.target or ["ort"])
    return [cast(TargetName, target) for target in given if target != NCNN_TARGET]


def _products(precisions: Sequence[Precision], settings: ExportSettings, form: Form) -> list[Product]:
    """With ncnn as the only target, its files alone."""
    targets, ncnn = _targets(settings), NCNN_TARGET in (settings.target or ())
    products = onnx_products(precisions, targets, form, settings.opset) if targets else []
    if not ncnn:
        return products
    floats = [precision for precision in dict.fromkeys(precisions) if precision in FLOAT_NCNN]
    if not floats or (not targets and "int8" in precisions):
        raise UsageError("ncnn files are fp32 or fp16: give --precision fp32 fp16, or int8 another --target")
    if form != Form() or settings.opset is not None:
        raise UsageError("ncnn files take floats of any size, one picture at a time: leave out what fixes ONNX files")
    for package in NCNN_PACKAGES:
        optional_package(package, "ncnn export", " ".join(NCNN_PACKAGES))
    return products + [FLOAT_NCNN[precision] for precision in floats]


def _networks(checkpoint: Checkpoint, settings: ExportSettings, int8: bool, progress: Titled) -> Networks:
    network = checkpoint.network()
    if network.config.quantized:
        against = read_checkpoint(settings.against).network() if settings.against else None
        return Networks(against, network)
    if not int8:
        return Networks(network)
    assert settings.data  # which `_check` has seen to
    targets = _targets(settings)
    quantized = calibrate(
        copy.deepcopy(network),
        _inputs(settings, network),
        quantization=settings.preset or (targets[0] if len(targets) == 1 else "ort"),
        percentile=PERCENTILE if settings.percentile is None else settings.percentile,
        progress=progress("calibrating"),
    )
    return Networks(network, quantized)


def _check(weights: str | Path, checkpoint: Checkpoint, precisions: Sequence[str], settings: ExportSettings) -> None:
    """Refuses settings that do not go together."""
    stage, quantized, int8 = checkpoint.config.stage, checkpoint.config.quantized, "int8" in precisions
    for precision in precisions:
        if quantized and precision in ("fp32", "fp16"):
            raise StageError(
                f"{weights} is of stage {stage}, on int8 grids, and {precision} files are written from the float network: "
                "give the weights that it was calibrated from, or --precision int8"
            )
    if settings.target and _targets(settings) and not int8:
        raise UsageError(f"--target is for int8, {' and '.join(precisions)} files suit every runtime: leave it out")
    if int8 and not quantized and not settings.data:
        raise UsageError(
            f"int8 needs the ranges of activations, and {weights} is of stage {stage}: give --data DIR to calibrate on its "
            "pictures, or weights from `aethernet calibrate WEIGHTS --data DIR -o OUT` or options/qat"
        )
    if settings.data and quantized and not settings.against:
        raise UsageError(
            f"{weights} is of stage {stage}: --data compares the files with the float weights that it comes from, so name "
            "them with --against WEIGHTS"
        )
    if settings.against and not quantized:
        raise UsageError("--against is for weights on int8 grids; files of float weights are compared with these")
    if settings.against:
        differences = checkpoint.config.differences(read_checkpoint(settings.against).config)
        if differences:
            raise UsageError(f"{weights} does not come from {settings.against}: {'; '.join(differences)}")
    for option in ("against", "max_drop", "max_damaged", "json", "number"):
        if getattr(settings, option) is not None and not settings.data:
            flag = option.replace("_", "-")
            raise UsageError(f"--{flag} says how to use pictures: give them with --data DIR, or leave it out")
    if settings.max_drop is not None:
        drop_budget(settings.max_drop)
    for option in ("percentile", "preset"):
        if getattr(settings, option) is not None and (not int8 or quantized):
            raise UsageError(f"--{option} is for calibrating, and nothing is calibrated here: leave it out")
