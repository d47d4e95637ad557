"""`aethernet export`: weights in, ONNX files out, each held against the network it comes from where pictures are given."""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aethernet.cli.arguments import positive, size

if TYPE_CHECKING:
    from aethernet.export.files import ExportedFile
    from aethernet.export.half_range import HalfReport
    from aethernet.network.network import AetherNet
    from aethernet.verify.verification import VerificationReport

HELP = "Write ONNX files for runtimes, and verify them on pictures."
SHOWN_LAYERS = 5
MAX_DROP = 0.1
PICTURES = 200


@dataclass(frozen=True)
class Records:
    """What `--json` writes."""

    verification: "VerificationReport | None"
    half_ranges: "HalfReport | None"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help="weights of any stage: .pth, .safetensors, or packaged ones")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="the folder to write to")
    parser.add_argument("--key", help="entry of a BasicSR checkpoint (default: params_ema, else params)")
    parser.add_argument("--name", help="what the file names begin with (default: aether_VARIANT_xSCALE)")
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    files = parser.add_argument_group("what to write")
    files.add_argument(
        "--precision",
        nargs="+",
        metavar="P",
        help="fp32, fp16, int8 (default: fp32 and fp16 of float weights, int8 of weights on int8 grids)",
    )
    files.add_argument("--target", nargs="+", metavar="T", help="of int8: ort, openvino, tensorrt (default: ort)")
    files.add_argument("--opset", type=int, help="operator set, 17 to 22 (default: 17, and 21 for int8)")
    files.add_argument("--static", type=size, metavar="HxW", help="the only input size (default: any)")
    files.add_argument("--batch", type=positive, metavar="N", help="the only number of pictures (default: any)")
    files.add_argument(
        "--pixels", default="float", metavar="FORM", help="float, or bytes in and out: uint8_nchw, uint8_nhwc"
    )
    proof = parser.add_argument_group("pictures, to calibrate and to verify on")
    proof.add_argument("--data", type=Path, nargs="+", metavar="DIR", help="folders of high-resolution pictures")
    proof.add_argument("--against", metavar="WEIGHTS", help="the float weights that weights on int8 grids come from")
    proof.add_argument(
        "--max-drop", type=float, metavar="DB", help=f"PSNR that a file may lose (default: {MAX_DROP} dB)"
    )
    proof.add_argument("--threads", type=positive, help="threads of the verification (default: all)")
    proof.add_argument("--json", type=Path, metavar="FILE", help="also write the records to this file")
    proof.add_argument(
        "-n", "--number", type=positive, metavar="N", help=f"pictures to calibrate on (default: {PICTURES})"
    )
    proof.add_argument("--percentile", type=float, metavar="P", help="as in `aethernet calibrate` (default: 99.99)")
    proof.add_argument(
        "--preset", help="as in `aethernet calibrate` (default: that of the target, ort for several targets)"
    )


def run(args: argparse.Namespace) -> int:
    """Writes, verifies, prints what was found; the exit code is 1 when a file is not good enough and left out."""
    from aethernet.checkpoint.checkpoint import read_checkpoint
    from aethernet.cli.progress import ProgressBars
    from aethernet.export.files import export_files, planned_files
    from aethernet.export.form import Form
    from aethernet.export.onnx import require_exporter
    from aethernet.export.saturation import on_every_x86
    from aethernet.tables import write_json
    from aethernet.verify.report import verification_markdown

    require_exporter()
    form = Form(static=args.static, batch=args.batch, pixels=args.pixels)
    network = read_checkpoint(args.weights, args.key).network()
    precisions = args.precision or (["int8"] if network.config.quantized else ["fp32", "fp16"])
    _check(args, network, precisions)
    choice = {"precisions": precisions, "targets": args.target or ["ort"], "opset": args.opset, "name": args.name}
    planned = planned_files(network.config, args.out, **choice, form=form)
    _check_out(args, planned)
    if not network.config.quantized:
        network.fuse_model()
    half, report = None, None
    with ProgressBars() as bars:
        quantized = _quantized(args, network, bars) if "int8" in precisions else None
        if "fp16" in precisions and args.data:
            half = _half_ranges(args, network, bars)
            if half.overflowing:
                choice["precisions"] = [precision for precision in precisions if precision != "fp16"]
        with _folder_inside(args.out) as folder:
            files = []
            if choice["precisions"]:
                files = export_files(
                    None if network.config.quantized else network, folder, **choice, quantized=quantized,
                    static=args.static, batch=args.batch, pixels=args.pixels, progress=bars.titled("writing"),
                )  # fmt: skip
            if args.data and files:
                report = _verified(args, network, files, folder, bars)
            refused = {row.label for row in report.rows if not row.passed} if report else set()
            written = []
            for file in files:
                if file.path.name not in refused:
                    os.replace(file.path, args.out / file.path.name)
                    written.append(args.out / file.path.name)
    if args.json:
        write_json(args.json, "export", Records(report, half))
    if report:
        print(verification_markdown(report), end="\n\n")
    _print_half(half, "fp16" in precisions)
    for path in written:
        verdict = on_every_x86(path)
        print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB){verdict and f', {verdict}'}")
    for file in planned:
        if file.path not in written:
            reason = "it lost too much" if file.path.name in refused else "float16 overflows"
            print(f"NOT written: {file.path} ({reason}{'; the older file stays' if file.path.exists() else ''})")
    return 0 if len(written) == len(planned) else 1


def _check(args: argparse.Namespace, network: "AetherNet", precisions: list[str]) -> None:
    """Refuses options that do not go together."""
    from aethernet.errors import StageError, UsageError

    stage, int8 = network.config.stage, "int8" in precisions
    for precision in precisions:
        if network.config.quantized and precision in ("fp32", "fp16"):
            raise StageError(
                f"{args.weights} is of stage {stage}, on int8 grids, and {precision} files are written from the float "
                "network: give the weights that it was calibrated from, or --precision int8"
            )
    if args.target and not int8:
        raise UsageError(f"--target is for int8, {' and '.join(precisions)} files suit every runtime: leave it out")
    if int8 and not network.config.quantized and not args.data:
        raise UsageError(
            f"int8 needs the ranges of activations, and {args.weights} is of stage {stage}: give --data DIR to calibrate "
            "on its pictures, or weights from `aethernet calibrate WEIGHTS --data DIR -o OUT` or options/qat"
        )
    if args.data and network.config.quantized and not args.against:
        raise UsageError(
            f"{args.weights} is of stage {stage}: --data holds the files against the float weights that it comes from, "
            "so name them with --against WEIGHTS"
        )
    if args.against and not network.config.quantized:
        raise UsageError("--against is for weights on int8 grids; files of float weights are held against these")
    if args.against:
        from aethernet.checkpoint.checkpoint import read_checkpoint

        differences = network.config.differences(read_checkpoint(args.against).config)
        if differences:
            raise UsageError(f"{args.weights} does not come from {args.against}: {'; '.join(differences)}")
    needs_data = {"--against": args.against, "--max-drop": args.max_drop, "--json": args.json, "--number": args.number}
    for option, value in needs_data.items():
        if value is not None and not args.data:
            raise UsageError(f"{option} says how to use pictures: give them with --data DIR, or leave it out")
    if args.max_drop is not None and not args.max_drop >= 0:
        raise UsageError(f"--max-drop must be 0 dB or more, not {args.max_drop}")
    for option, value in {"--percentile": args.percentile, "--preset": args.preset}.items():
        if value is not None and (not int8 or network.config.quantized):
            raise UsageError(f"{option} is for calibrating, and nothing is calibrated here: leave it out")


def _check_out(args: argparse.Namespace, planned: "list[ExportedFile]") -> None:
    """Refuses files that exist, before any work is done."""
    from aethernet.errors import OutputError

    if args.out.exists() and not args.out.is_dir():
        raise OutputError(f"-o {args.out} is a file: give a folder")
    existing = [file.path.name for file in planned if file.path.exists()]
    if existing and not args.force:
        raise OutputError(
            f"{args.out} holds {', '.join(existing)} already: give another -o or --name, or --force to overwrite"
        )


def _quantized(args: argparse.Namespace, network: "AetherNet", bars) -> "AetherNet":
    """The network of stage int8: converted, or calibrated first."""
    import copy

    from aethernet.network.calibration import PERCENTILE, calibrate

    if network.config.stage == "int8":
        return network
    if network.config.stage == "qat":
        return network.convert_to_quantized()
    targets = list(dict.fromkeys(args.target or ["ort"]))
    inputs = _inputs(args, network)
    step = bars.titled("calibrating")
    calibrated = calibrate(
        copy.deepcopy(network),
        inputs,
        quantization=args.preset or (targets[0] if len(targets) == 1 else "ort"),
        percentile=PERCENTILE if args.percentile is None else args.percentile,
        progress=lambda done: step(done, len(inputs), ""),
    )
    return calibrated.convert_to_quantized()


def _half_ranges(args: argparse.Namespace, network: "AetherNet", bars) -> "HalfReport":
    from aethernet.export.half_range import half_ranges

    inputs, step = _inputs(args, network), bars.titled("looking for large activations")
    return half_ranges(network, inputs, progress=lambda done: step(done, len(inputs), ""))


def _inputs(args: argparse.Namespace, network: "AetherNet"):
    from aethernet.data.calibration import CalibrationInputs

    number = PICTURES if args.number is None else args.number
    return CalibrationInputs(args.data, network.config.scale, network.config.in_channels, number)


def _verified(
    args: argparse.Namespace, network: "AetherNet", files: "list[ExportedFile]", folder: Path, bars
) -> "VerificationReport":
    from aethernet.checkpoint.checkpoint import write_checkpoint
    from aethernet.verify.verification import verify_files

    against = args.against or args.weights
    if args.key and not args.against:  # names one of several networks in the file
        against = str(folder / f"{Path(args.weights).stem}.safetensors")
        write_checkpoint(against, network)
    return verify_files(
        [str(file.path) for file in files],
        against,
        args.data,
        max_drop=MAX_DROP if args.max_drop is None else args.max_drop,
        threads=args.threads,
        progress=bars.titled("verifying"),
    )


@contextlib.contextmanager
def _folder_inside(out: Path) -> Iterator[Path]:
    """A temporary folder inside `out`, which is made for it and removed again if nothing came into it."""
    missing = [path for path in (out, *out.parents) if not path.exists()]
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as folder:
            yield Path(folder)
    finally:
        with contextlib.suppress(OSError):  # what holds something stays
            for path in missing:
                path.rmdir()


def _print_half(half: "HalfReport | None", wanted: bool) -> None:
    from aethernet.tables import markdown_table

    if half:
        header = [f"largest of {len(half.layers)} layers", "kind", "activation", "weight", "headroom", "below 6e-5"]
        rows = [
            [
                layer.name,
                layer.kind,
                f"{layer.activation:.4g}",
                f"{layer.weight:.4g}",
                f"{layer.headroom:,.1f}x",
                f"{layer.below_normal:.2%}",
            ]
            for layer in half.by_headroom[:SHOWN_LAYERS]
        ]
        print(f"{markdown_table(header, rows)}\n\n{half.sentence()}\n")
    elif wanted:
        print("fp16: nobody has looked whether this network fits into float16; --data DIR does, on its pictures")
