"""`aethernet export`: weights in, ONNX files out, each held against the network it comes from where pictures are given."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aethernet.cli.arguments import positive, size, with_options
from aethernet.quantization.settings import CALIBRATION_PICTURES, PERCENTILE
from aethernet.verify.budget import MAX_DROP

if TYPE_CHECKING:
    from aethernet.export.half_range import HalfReport
    from aethernet.verify.verification import VerificationReport

HELP = "Write ONNX files for runtimes, and verify them on pictures."
SHOWN_LAYERS = 5


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
        "-n", "--number", type=positive, metavar="N",
        help=f"pictures to calibrate on (default: {CALIBRATION_PICTURES})",
    )  # fmt: skip
    proof.add_argument(
        "--percentile", type=float, metavar="P", help=f"as in `aethernet calibrate` (default: {PERCENTILE})"
    )
    proof.add_argument(
        "--preset", help="as in `aethernet calibrate` (default: that of the target, ort for several targets)"
    )


def run(args: argparse.Namespace) -> int:
    """Prints what was found; the exit code is 1 when a file is not good enough and left out."""
    from aethernet.cli.progress import ProgressBars
    from aethernet.errors import UsageError
    from aethernet.export.saturation import on_every_x86
    from aethernet.release.onnx import ExportSettings, export_files
    from aethernet.tables import write_json
    from aethernet.verify.report import verification_markdown

    if args.json and not args.data:
        raise UsageError("--json writes what pictures show: give them with --data DIR, or leave it out")
    with ProgressBars() as bars:
        found = export_files(args.weights, args.out, with_options(ExportSettings, args), bars.titled)
    if args.json:
        write_json(args.json, "export", Records(found.verification, found.half))
    if found.verification:
        print(verification_markdown(found.verification), end="\n\n")
    if found.half:
        print(f"{half_markdown(found.half)}\n\n{found.half.sentence()}\n")
    elif found.half_unknown:
        print("fp16: nobody has looked whether this network fits into float16; --data DIR does, on its pictures")
    for path in found.written:
        verdict = on_every_x86(path)
        print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB){verdict and f', {verdict}'}")
    for path, problem in found.left_out.items():
        print(f"NOT written: {path} ({problem}{'; the older file stays' if path.exists() else ''})")
    return 1 if found.left_out else 0


def half_markdown(half: "HalfReport") -> str:
    """The layers with the largest numbers."""
    from aethernet.tables import markdown_table

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
    return markdown_table(header, rows)
