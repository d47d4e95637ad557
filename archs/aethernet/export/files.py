"""All files of one network: every precision and target that is asked for, under names that tell them apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aethernet.errors import UsageError
from aethernet.export.form import Form
from aethernet.export.onnx import check_choices, export_onnx, file_suffix
from aethernet.network.config import AetherConfig
from aethernet.network.network import AetherNet
from aethernet.progress import Progress


@dataclass(frozen=True)
class ExportedFile:
    """One ONNX file; `target` is None but for int8."""

    path: Path
    precision: str
    target: str | None = None


def planned_files(
    config: AetherConfig,
    out: str | Path,
    *,
    precisions: Sequence[str],
    targets: Sequence[str] = ("ort",),
    opset: int | None = None,
    form: Form | None = None,
    name: str | None = None,
) -> list[ExportedFile]:
    """The files that `export_files` would write, in its order, float ones first; nothing is written.

    Raises:
        UsageError: no or unknown precisions or targets, a wrong operator set, a name that is a path.
    """
    name = name or config.name
    if Path(name).name != name:
        raise UsageError(f"name must be the beginning of a file name, not {name!r}: give the folder apart")
    if not precisions:
        raise UsageError("no precision was given: fp32, fp16 or int8")
    if "int8" in precisions and not targets:
        raise UsageError("int8 files are written for a runtime: give a target, ort, openvino or tensorrt")
    files = []
    for precision in sorted(dict.fromkeys(precisions), key=lambda precision: precision == "int8"):
        for target in dict.fromkeys(targets) if precision == "int8" else ("ort",):
            check_choices(precision, target, opset)
            path = Path(out) / f"{name}{file_suffix(precision, target, form or Form())}"
            files.append(ExportedFile(path, precision, target if precision == "int8" else None))
    return files


def export_files(
    network: AetherNet | None,
    out: str | Path,
    *,
    precisions: Sequence[str],
    targets: Sequence[str] = ("ort",),
    quantized: AetherNet | None = None,
    opset: int | None = None,
    static: tuple[int, int] | None = None,
    batch: int | None = None,
    pixels: str = "float",
    name: str | None = None,
    progress: Progress | None = None,
) -> list[ExportedFile]:
    """Writes one network in several precisions, each file whole or not at all.

    Args:
        network: the float network, of stage train or fused, left as it is; None where int8 alone is wanted.
        out: the folder; files of the same names are replaced.
        precisions: of `fp32`, `fp16` and `int8`.
        targets: of `ort`, `openvino` and `tensorrt`, for int8.
        quantized: what `convert_to_quantized()` made of the network, for int8.
        opset, static, batch, pixels: as in `export_onnx`.
        name: what the file names begin with, by default `aether_VARIANT_xSCALE`.

    Raises:
        UsageError: as in `planned_files` and `export_onnx`, or networks that do not belong together.
        StageError: a network of the wrong stage.
    """
    source = network or quantized
    if source is None:
        raise UsageError("no network was given")
    form = Form(static=static, batch=batch, pixels=pixels)
    files = planned_files(source.config, out, precisions=precisions, targets=targets, opset=opset, form=form, name=name)
    if quantized is None and any(file.precision == "int8" for file in files):
        raise UsageError(
            "int8 files need a network with ranges of activations: `aethernet calibrate WEIGHTS --data DIR -o OUT` writes "
            "one, in Python aethernet.calibrate(network, pictures) and convert_to_quantized()"
        )
    if network is None and any(file.precision != "int8" for file in files):
        raise UsageError("fp32 and fp16 files are written from the float network, and none was given")
    if network is not None and quantized is not None and network.config.differences(quantized.config):
        raise UsageError(
            f"the networks do not come from one another: {'; '.join(network.config.differences(quantized.config))}"
        )
    for number, file in enumerate(files, start=1):
        model = quantized if file.precision == "int8" else network
        assert model is not None
        export_onnx(
            model, model.config.scale, file.precision, file.path, opset, file.target or "ort",
            static=static, batch=batch, pixels=pixels,
        )  # fmt: skip
        if progress is not None:
            progress(number, len(files), file.path.name)
    return files
