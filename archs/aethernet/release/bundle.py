"""The steps of a release, in order: from one checkpoint to a folder of files that are proven."""

import copy
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aethernet.checkpoint.checkpoint import Checkpoint
from aethernet.conditions import measurement_conditions, own_command
from aethernet.data.calibration import CalibrationInputs
from aethernet.errors import UsageError
from aethernet.export.half_range import HalfReport, half_ranges
from aethernet.export.onnx import require_exporter
from aethernet.export.saturation import saturation
from aethernet.files import atomic_path, sha256
from aethernet.network.network import AetherNet
from aethernet.progress import Progress
from aethernet.quality.sets import PictureFolders
from aethernet.quantization.settings import QuantizationConfig
from aethernet.release import folder as places
from aethernet.release.card import card_markdown
from aethernet.release.crops import CropCollector
from aethernet.release.gate import Gated, Verdict, openvino_is_there, pass_gate
from aethernet.release.latency import measure_latency
from aethernet.release.log import logged_to
from aethernet.release.origin import Origin, header_of, read_origin
from aethernet.release.page import page_html
from aethernet.release.plan import FP16, INT8_ORT, Product, budget
from aethernet.release.records import KIND, FileRecord, Mean, Report, SpeedRecord
from aethernet.release.tensorrt import Shapes, engine_lines
from aethernet.release.write import calibrated, read_float, read_tuned, write_files
from aethernet.tables import write_json

logger = logging.getLogger(__name__)

TIMED_THREADS = 1
SEVEN_BITS = "`aethernet calibrate` and options/qat keep weights on 7 bits, unless weight_bits: 8 is asked for"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be chosen.

    Args:
        name: of the files; by default that of packaged weights, or such as `aether_tiny_x4`.
        key: entry of a BasicSR checkpoint.
        qat: a checkpoint of stage qat or int8, or the name of packaged ones, fine-tuned from the weights; by default the
            weights are calibrated.
        calibration: folders of pictures to calibrate on; by default those that the gate looks at.
        calibration_number: of them, at most; on the pictures of the gate no more than the gate looks at.
        preset: what is int8 after calibration: `ort`, `openvino`, `tensorrt` or `quality`.
        max_drop: the PSNR in dB that an int8 file may lose, mean over pictures.
        pictures: how many the gate looks at, spread evenly; None for all.
        threads: of the gate; None for all.
        size: height and width of the low-resolution picture that is timed, with one thread, in so many `rounds`.
        shapes: for TensorRT.
        data_note, license_id, datasets, experiment: for the model card, before what is found beside the weights.
    """

    name: str | None = None
    key: str | None = None
    qat: str | Path | None = None
    calibration: Sequence[Path] = ()
    calibration_number: int = 100
    preset: str = "ort"
    max_drop: float = 0.1
    pictures: int | None = None
    threads: int | None = None
    size: tuple[int, int] = (128, 128)
    rounds: int = 7
    shapes: Shapes = field(default_factory=Shapes)
    data_note: str | None = None
    license_id: str | None = None
    datasets: Sequence[str] = ()
    experiment: Path | None = None

    def __post_init__(self) -> None:
        if not self.max_drop >= 0:
            raise UsageError(f"max-drop must be 0 dB or more, not {self.max_drop}")
        if self.name is not None and not self.name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise UsageError(f"a name is made of letters, digits, dots, dashes and underscores, not {self.name!r}")
        if self.qat is not None and self.calibration:
            raise UsageError("--qat brings its own ranges: leave out --calibration")
        if min(*self.size, self.rounds) < 1:
            raise UsageError(f"size {self.size} in {self.rounds} rounds: all must be at least 1")
        QuantizationConfig.read(self.preset)


@dataclass(frozen=True)
class Released:
    """What was found, the folder that holds it, and whether anything is known of the training data."""

    report: Report
    folder: Path
    data_is_stated: bool


def release(
    weights: str | Path,
    data: Sequence[Path],
    out: Path,
    settings: Settings,
    progress: Callable[[str], Progress] = lambda _: lambda *_: None,
) -> Released:
    """Writes, verifies and times every file, and puts the folder in its place.

    A file that fails its gate is not in the folder. A folder that is not whole does not replace one that is: it is put
    beside it, as `OUT.failed`.

    Args:
        weights: float weights of stage train or fused, or the name of packaged ones.
        data: folders of high-resolution pictures for the gate.
        out: the bundle's folder: new, empty, or an earlier bundle as it was written.
        progress: makes a callback for each step, from its title.

    Raises:
        AetherError: unusable weights, pictures or places; nothing is left of what was begun.
    """
    require_exporter()
    out = Path(os.path.abspath(out))
    failed_out = out.with_name(out.name + places.FAILED)
    places.check_replaceable(out)
    places.check_replaceable(failed_out)
    pictures = PictureFolders(data, settings.pictures)
    with places.built_beside(out) as folder:
        with logged_to(folder / places.LOG):
            checkpoint = read_float(weights, settings.key, progress("proving"))
            origin = read_origin(
                checkpoint.path, data_note=settings.data_note, license_id=settings.license_id,
                datasets=settings.datasets, experiment=settings.experiment,
            )  # fmt: skip
            report = _fill(folder, checkpoint, origin, data, pictures, settings, progress)
        places.write_sums(folder)
        earlier = places.read_report(out)
        place = failed_out if not report.passed and earlier is not None and earlier["passed"] else out
        places.put_in_place(folder, place)
    if report.passed:
        places.remove_bundle(failed_out)
    return Released(report, place, origin.is_stated)


def _fill(
    folder: Path,
    checkpoint: Checkpoint,
    origin: Origin,
    data: Sequence[Path],
    pictures: PictureFolders,
    settings: Settings,
    progress: Callable[[str], Progress],
) -> Report:
    """Everything but the checksums."""
    network = checkpoint.network()
    name = settings.name or network.config.name
    quantized, int8 = _quantized(network, checkpoint, data, settings, progress("calibrating"))
    header = header_of(checkpoint.path) | {"name": name}
    products = write_files(folder, name, network, quantized, header, progress("writing"))
    crops = CropCollector()
    gated = pass_gate(
        folder, name, network, products, pictures, max_drop=settings.max_drop, threads=settings.threads, look=crops,
        progress=progress("verifying"),
    )  # fmt: skip
    looked_at = CalibrationInputs(data, network.config.scale, network.config.in_channels, len(pictures))
    watched = progress("float16 ranges")
    half = half_ranges(network, looked_at, progress=lambda done: watched(done, len(looked_at), ""))
    files = [_record(folder, name, verdict, settings.max_drop, half) for verdict in gated.verdicts]
    for record in files:
        if not record.passed:
            (folder / record.file).unlink()
            logger.warning("%s failed its gate and was removed: %s", record.file, record.problem)
    passed = {record.file for record in files if record.passed}
    held = [verdict.product for verdict in gated.verdicts if f"{name}{verdict.product.suffix}" in passed]
    speed = measure_latency(
        folder,
        name,
        held,
        size=settings.size,
        rounds=settings.rounds,
        threads=TIMED_THREADS,
        progress=progress("timing"),
    )
    report = _report(name, network, gated, files, speed, int8, held, half, settings)
    write_json(folder / places.REPORT, KIND, report)
    page = page_html(report, crops.chosen(_worst(gated)))
    for file, text in ((places.CARD, card_markdown(report, origin)), (places.PAGE, page)):
        with atomic_path(folder / file) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return report


def _quantized(
    network: AetherNet, checkpoint: Checkpoint, data: Sequence[Path], settings: Settings, progress: Progress
) -> tuple[AetherNet, str]:
    """The network on int8 grids, and where its ranges come from."""
    if settings.qat is not None:
        return read_tuned(settings.qat, checkpoint), f"Fine-tuned for int8 (QAT): {Path(settings.qat).name}."
    folders, number = settings.calibration or data, settings.calibration_number
    if not settings.calibration and settings.pictures is not None:
        number = min(number, settings.pictures)
    inputs = CalibrationInputs(folders, network.config.scale, network.config.in_channels, number)
    quantized = calibrated(network, inputs, settings.preset, progress)
    same = "" if settings.calibration else ", where the figures are from, too (--calibration takes others)"
    return quantized, (
        f"Calibrated, not fine-tuned (PTQ), preset {settings.preset}, on {len(inputs)} pictures of "
        f"{', '.join(folder.resolve().name for folder in folders)}{same}."
    )


def _record(folder: Path, name: str, verdict: Verdict, max_drop: float, half: HalfReport) -> FileRecord:
    product = verdict.product
    path, allowed, remarks = folder / f"{name}{product.suffix}", budget(product.precision, max_drop), [*verdict.remarks]
    problems = [
        f"{check.problem or (check.figures and allowed.found(check.figures))} in {check.runtime}, {allowed.text}"
        for check in verdict.checks
        if not check.passed
    ]
    if product is FP16:
        remarks.insert(0, half.sentence())
        if half.overflowing:
            problems.append(half.sentence())
    if product.precision == "int8" and path.suffix == ".onnx":
        pairs = saturation(path)
        remarks.append(f"{'Int8' if product.for_x86 else 'On x86 CPUs, which it is not for'}: {pairs.sentence()}.")
        if pairs.possible and product.for_x86:
            problems.append(f"{pairs.sentence()}. {SEVEN_BITS}")
    return FileRecord(
        file=path.name,
        precision=product.precision,
        purpose=product.purpose,
        bytes=path.stat().st_size,
        sha256=sha256(path),
        budget=allowed.text,
        checks=verdict.checks,
        remarks=remarks,
        passed=not problems,
        problem="; ".join(problems),
    )


def _report(
    name: str,
    network: AetherNet,
    gated: Gated,
    files: Sequence[FileRecord],
    speed: Sequence[SpeedRecord],
    int8: str,
    held: Sequence[Product],
    half: HalfReport,
    settings: Settings,
) -> Report:
    config = network.config
    fused = copy.deepcopy(network).fuse_model()
    notes = ["Fused and unfused were compared on photographs and noise in float32 and float64 before anything was written: "
             "see release.log."] if config.stage == "train" else ["The weights came fused: there is no training form."]  # fmt: skip
    if not openvino_is_there():
        notes.append("OpenVINO is not installed here: its files were verified in ONNX Runtime only.")
    return Report(
        name=name,
        title=config.title,
        variant=config.variant,
        scale=config.scale,
        in_channels=config.in_channels,
        parameters=sum(parameter.numel() for parameter in fused.parameters()),
        receptive_radius=network.receptive_radius,
        passed=all(record.passed for record in files),
        network=Mean(gated.comparison.psnr, gated.comparison.ssim),
        bicubic=Mean(gated.bicubic.psnr, gated.bicubic.ssim),
        pictures=gated.comparison.pictures,
        max_drop=settings.max_drop,
        int8=int8,
        files=files,
        speed=speed,
        half=half,
        input_size=settings.size,
        tensorrt=engine_lines(name, held, config.in_channels, settings.shapes),
        notes=notes,
        conditions=measurement_conditions(
            threads=gated.threads, precision="as the files", size="whole pictures", command=command_for_others(sys.argv)
        ),
        speed_conditions=measurement_conditions(
            threads=TIMED_THREADS,
            precision="as the files",
            size="input {}x{}".format(*settings.size),
            command=command_for_others(sys.argv),
        ),
    )


def command_for_others(argv: Sequence[str]) -> str:
    """A command line without the folders of this machine: paths shrink to their names."""
    program, *arguments = argv
    is_path = [
        os.sep in text and os.path.isdir(os.path.dirname(text)) for text in arguments
    ]  # a note is no name of a file
    names = [Path(text).name if path else text for text, path in zip(arguments, is_path, strict=True)]
    return own_command([program, *names])


def _worst(gated: Gated) -> list[str]:
    """The picture that loses most in the int8 file that is shown."""
    checks = [verdict.checks[0] for verdict in gated.verdicts if verdict.product is INT8_ORT]
    return [check.figures.worst for check in checks if check.figures is not None]
