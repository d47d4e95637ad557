"""`aethernet release`: from one checkpoint to a folder of files that are proven, put in its place as a whole."""

import copy
import dataclasses
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aethernet.checkpoint.checkpoint import Checkpoint
from aethernet.conditions import measurement_conditions, own_command
from aethernet.export.ncnn_graph import read_graph
from aethernet.export.ncnn_programs import PREPADDING, SMALLEST_TILE, is_enough
from aethernet.export.onnx import require_exporter
from aethernet.files import check_writable, real_path, write_text
from aethernet.network.calibration import calibrate
from aethernet.progress import Progress, Titled, silent
from aethernet.quality.sets import PictureFolders
from aethernet.quantization.settings import CALIBRATION_PICTURES
from aethernet.release import folder as places
from aethernet.release.bundle_card import bundle_card
from aethernet.release.crops import BICUBIC, CropCollector
from aethernet.release.flow import OPENVINO_MISSING, Gate, Made, make_files
from aethernet.release.latency import measure_latency
from aethernet.release.log import logged_to
from aethernet.release.networks import Networks, calibration_inputs, is_fine_tuned, read_float, read_tuned
from aethernet.release.origin import Origin, read_origin
from aethernet.release.page import page_html
from aethernet.release.products import BUNDLE, INT8, INT8_ORT, NCNN_PACKAGES, QAT, Product
from aethernet.release.records import KIND, Mean, Report, SpeedRecord
from aethernet.release.settings import Settings
from aethernet.release.tensorrt import engine_lines
from aethernet.release.tile_error import tile_error
from aethernet.tables import write_json
from aethernet.verify.budget import budget
from aethernet.wording import how_many

logger = logging.getLogger(__name__)

TIMED_THREADS = 1
NO_NCNN = "ncnn files, for Upscayl and Real-ESRGAN-ncnn-vulkan, were not made: {} not installed (pip install ncnn pnnx)"


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
    progress: Titled = silent,
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
    check_writable(out.parent / places.CARD)
    pictures = PictureFolders(data, settings.pictures, progress=progress("opening"))
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
    progress: Titled,
) -> Report:
    """Everything but the checksums."""
    networks, int8 = _networks(checkpoint, data, settings, progress("calibrating"))
    network, crops = networks.plain_network(), CropCollector()
    name = settings.name or network.config.name
    missing = [package for package in NCNN_PACKAGES if importlib.util.find_spec(package) is None]
    products = _products(networks, ncnn=not missing)
    left_out = [NO_NCNN.format(" and ".join(missing))] if missing else []
    gate = Gate(
        network=network,
        pictures=pictures,
        inputs=calibration_inputs(data, network, len(pictures)),
        budget=lambda precision: budget(precision, settings.max_drop),
        threads=settings.threads,
        look=crops,
    )
    made = make_files(folder, name, networks, products, gate, header=origin.header(name), titled=progress)
    passed = [product for product, record in zip(products, made.records, strict=True) if record.passed]
    _remove_failed(folder, made)
    speed = measure_latency(
        folder, name, passed, size=settings.size, rounds=settings.rounds, threads=TIMED_THREADS,
        progress=progress("timing", "round"),
    )  # fmt: skip
    seams = None
    if any(product.is_ncnn for product in passed) and not is_enough(network.receptive_radius):
        seams = tile_error(
            gate.network, gate.inputs, tile=SMALLEST_TILE, padding=PREPADDING, progress=progress("tiles")
        )
    graphs = [read_graph(folder / f"{name}{product.suffix}") for product in passed if product.is_ncnn]
    report = dataclasses.replace(
        _report(name, networks, made, passed, speed, int8, settings),
        left_out=left_out, ncnn_layers=graphs[0].kinds if graphs else [], tile_error=seams,
    )  # fmt: skip
    write_json(folder / places.REPORT, KIND, report)
    int8_file = f"{name}{INT8_ORT.suffix}"
    worst = [record.checks[0].figures for record in made.records if record.file == int8_file and record.checks]
    page = page_html(report, crops.chosen([figures.worst for figures in worst if figures]))
    card = bundle_card(report, network.config, origin).markdown()
    for file, text in ((places.CARD, card), (places.PAGE, page)):
        write_text(folder / file, text)
    return report


def _products(networks: Networks, *, ncnn: bool) -> list[Product]:
    """What can be written from these networks. A network on int8 grids is given away to be trained or, without, in integers."""
    not_made = INT8 if networks.at("qat") else QAT
    found = [each for each in BUNDLE if each is not not_made and networks.at(each.stage) is not None]
    return [each for each in found if ncnn or not each.is_ncnn]


def _remove_failed(folder: Path, made: Made) -> None:
    for record in made.records:
        if not record.passed:
            for file in record.names:
                (folder / file).unlink(missing_ok=True)
            logger.warning("%s failed its gate and was removed: %s", record.file, record.problem)


def _networks(
    checkpoint: Checkpoint, data: Sequence[Path], settings: Settings, progress: Progress
) -> tuple[Networks, str]:
    """The float network and that on int8 grids, and where the latter comes from."""
    network = checkpoint.network()
    if settings.qat is not None:
        tuned, name = read_tuned(settings.qat, checkpoint), Path(settings.qat).name
        how = (
            "Fine-tuned for int8 (QAT)"
            if is_fine_tuned(tuned, network)
            else "Calibrated, not fine-tuned (PTQ), in a file"
        )
        return Networks(network, tuned), f"{how}: {name}."
    folders, number = settings.calibration or data, CALIBRATION_PICTURES
    if not settings.calibration and settings.pictures is not None:
        number = min(number, settings.pictures)
    inputs = calibration_inputs(folders, network, number)
    quantized = calibrate(copy.deepcopy(network), inputs, quantization=settings.preset, progress=progress)
    same = "" if settings.calibration else ", where the figures are from, too (--calibration takes others)"
    return Networks(network, quantized), (
        f"Calibrated, not fine-tuned (PTQ), preset {settings.preset}, on {how_many(len(inputs), 'picture')} of "
        f"{', '.join(real_path(folder).name for folder in folders)}{inputs.damaged.note()}{same}."
    )


def _report(
    name: str,
    networks: Networks,
    made: Made,
    passed: Sequence[Product],
    speed: Sequence[SpeedRecord],
    int8: str,
    settings: Settings,
) -> Report:
    network, fused = networks.plain_network(), networks.at("fused")
    assert made.gated is not None and made.half is not None and fused is not None  # a bundle has a gate
    config, found, command = network.config, made.gated.comparison, command_for_others(sys.argv)
    bicubic = made.gated.others[BICUBIC]
    notes = ["Fused and unfused were compared on photographs and noise in float32 and float64 before anything was written: "
             "see release.log."] if config.stage == "train" else ["The weights came fused: there is no training form."]  # fmt: skip
    if any(OPENVINO_MISSING in record.remarks for record in made.records):
        notes.append("OpenVINO is not installed here: its files were verified in ONNX Runtime only.")
    return Report(
        name=name,
        title=config.title,
        variant=config.variant,
        scale=config.scale,
        in_channels=config.in_channels,
        parameters=sum(parameter.numel() for parameter in fused.parameters()),
        receptive_radius=network.receptive_radius,
        passed=all(record.passed for record in made.records),
        network=Mean(found.psnr, found.ssim),
        bicubic=Mean(bicubic.psnr, bicubic.ssim),
        pictures=found.pictures,
        max_drop=settings.max_drop,
        int8=int8,
        files=made.records,
        speed=speed,
        half=made.half,
        input_size=settings.size,
        tensorrt=engine_lines(name, passed, config.in_channels, settings.shapes),
        notes=notes,
        conditions=measurement_conditions(
            threads=made.gated.threads, precision="as the files", size="whole pictures", command=command
        ),
        speed_conditions=measurement_conditions(
            threads=TIMED_THREADS, precision="as the files", size="input {}x{}".format(*settings.size), command=command
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
