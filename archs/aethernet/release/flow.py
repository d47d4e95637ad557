"""The way of every file out of the house: written from its network, compared with it on pictures, judged."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aethernet.checkpoint.checkpoint import write_checkpoint
from aethernet.data.calibration import CalibrationInputs
from aethernet.errors import UsageError
from aethernet.export.form import Form
from aethernet.export.half_range import HalfReport, half_ranges
from aethernet.export.ncnn import export_ncnn, files_of, weights_of
from aethernet.export.onnx import export_onnx
from aethernet.export.saturation import saturation
from aethernet.files import sha256
from aethernet.network.network import AetherNet
from aethernet.progress import Progress, Titled, silent
from aethernet.quality.sets import PictureFolders
from aethernet.release.crops import BICUBIC, INT8
from aethernet.release.networks import Networks
from aethernet.release.products import INT8_ORT, Product
from aethernet.release.records import FileRecord
from aethernet.runtimes.pytorch import TorchSession
from aethernet.verify.agreement import bicubic_run
from aethernet.verify.budget import Budget
from aethernet.verify.gate import OPENVINO, Check, Gated, Look, file_entry, hold_files, openvino_is_there

logger = logging.getLogger(__name__)

OPENVINO_MISSING = "not verified in OpenVINO: the package is not installed (pip install openvino)"
SEVEN_BITS = "`aethernet calibrate` and options/qat keep weights on 7 bits, unless weight_bits: 8 is asked for"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """How files are judged.

    Attributes:
        network: what they are compared with, as it is.
        pictures: of high resolution, and `inputs` made of such, which float16 is tried on.
        budget: of a precision.
        look: sees every picture and what the network, bicubic and the int8 file for ONNX Runtime made of it.
    """

    network: AetherNet
    pictures: PictureFolders
    inputs: CalibrationInputs
    budget: Callable[[str], Budget]
    threads: int | None = None
    look: Look | None = None


@dataclass(frozen=True)
class Made:
    """A record of each file, in the order of the products; `half` and `gated` are None where nobody looked."""

    records: list[FileRecord]
    half: HalfReport | None
    gated: Gated | None


def make_files(
    folder: Path,
    name: str,
    networks: Networks,
    products: Sequence[Product],
    gate: Gate | None,
    *,
    header: Mapping[str, str] | None = None,
    form: Form | None = None,
    opset: int | None = None,
    titled: Titled = silent,
) -> Made:
    """Writes the products into `folder` and judges them; without a gate they are written unproven.

    A float16 file of numbers that float16 does not have is not written at all.

    Args:
        header: texts for the headers of `.safetensors`.
        form, opset: of ONNX files, as in `export_onnx`.

    Raises:
        AetherError: as `write_product` and `hold_files`.
    """
    half = None
    if gate is not None and any(product.precision == "float16" for product in products):
        half = half_ranges(gate.network, gate.inputs, progress=titled("float16 ranges"))
    overflows = half is not None and bool(half.overflowing)
    written = {
        product: folder / f"{name}{product.suffix}"
        for product in products
        if not (overflows and product.precision == "float16")
    }
    step = titled("writing", "file")
    for number, (product, path) in enumerate(written.items(), start=1):
        write_product(path, product, networks, header=header, form=form, opset=opset)
        logger.debug("wrote %s (%d bytes)", path.name, path.stat().st_size)
        step(number, len(written), path.name)
    gated = _judged(written, gate, titled("verifying")) if gate is not None and written else None
    checks = dict(zip(written, gated.checks, strict=True)) if gated is not None else {}
    records = [_record(folder / f"{name}{each.suffix}", each, checks.get(each, []), gate, half) for each in products]
    return Made(records, half, gated)


def write_product(
    path: Path,
    product: Product,
    networks: Networks,
    *,
    header: Mapping[str, str] | None = None,
    form: Form | None = None,
    opset: int | None = None,
) -> None:
    """Writes one file, whole or not at all.

    Raises:
        UsageError: the stage that it is written from is not at hand. AetherError: as `export_onnx`.
    """
    network = networks.at(product.stage)
    if network is None:
        raise UsageError(f"{path.name} is written from a network of stage {product.stage}, and there is none")
    if product.is_ncnn:
        export_ncnn(network, path, half=product.precision == "float16")
        return
    if not product.is_onnx:
        write_checkpoint(path, network, header)
        return
    form = form or Form()
    export_onnx(
        network, network.config.scale, product.onnx_precision, path, opset, product.target,
        static=form.static, batch=form.batch, pixels=form.pixels,
    )  # fmt: skip


def _judged(written: Mapping[Product, Path], gate: Gate, progress: Progress) -> Gated:
    entries = []
    for product, path in written.items():
        runtimes = [runtime for runtime in product.runtimes if runtime != OPENVINO or openvino_is_there()]
        shown = INT8 if product == INT8_ORT else ""
        entries.append(file_entry(path, gate.budget(product.precision), runtimes, gate.threads, shown))
    config = gate.network.config
    others = {BICUBIC: bicubic_run(gate.network)} if gate.look is not None else {}
    return hold_files(
        TorchSession(gate.network), entries, gate.pictures, scale=config.scale, in_channels=config.in_channels,
        others=others, threads=gate.threads, look=gate.look, progress=progress,
    )  # fmt: skip


def _record(
    path: Path, product: Product, checks: Sequence[Check], gate: Gate | None, half: HalfReport | None
) -> FileRecord:
    allowed = gate.budget(product.precision) if gate is not None else None
    remarks, problems = [product.remark] if product.remark else [], []
    if allowed is not None:
        problems += [
            f"{check.problem or (check.figures and allowed.found(check.figures))} in {check.runtime}, {allowed.text}"
            for check in checks
            if not check.passed
        ]
        if OPENVINO in product.runtimes and not openvino_is_there():
            remarks.append(OPENVINO_MISSING)
    if product.precision == "float16" and half is not None:
        remarks.insert(0, half.sentence())
        if half.overflowing:
            problems.append(half.sentence())
    if product.precision == "int8" and product.is_onnx:
        pairs = saturation(path)
        remarks.append(f"{'Int8' if product.for_x86 else 'On x86 CPUs, which it is not for'}: {pairs.sentence()}.")
        if pairs.possible and product.every_x86:
            problems.append(f"{pairs.sentence()}. {SEVEN_BITS}")
    weights = weights_of(path) if product.is_ncnn else None
    return FileRecord(
        file=path.name,
        precision=product.precision,
        purpose=product.purpose,
        bytes=sum(file.stat().st_size for file in files_of(path) if file.is_file()),
        sha256=sha256(path) if path.is_file() else "",
        budget=allowed.text if allowed is not None else "",
        checks=checks,
        remarks=remarks,
        passed=not problems,
        problem="; ".join(problems),
        weights=weights.name if weights else "",
        weights_sha256=sha256(weights) if weights and weights.is_file() else "",
    )
