"""`aethernet export`: weights in, ONNX files out, each compared with the network it comes from where pictures are given."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aethernet.flags import add_flags, with_options
from aethernet.release.settings import ExportSettings
from aethernet.wording import how_many

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
    add_flags(parser, ExportSettings)


def run(args: argparse.Namespace) -> int:
    """Prints what was found; the exit code is 1 when a file is not good enough and left out."""
    from aethernet.cli.progress import ProgressBars
    from aethernet.export.saturation import on_every_x86
    from aethernet.release.onnx import export_files
    from aethernet.tables import write_json
    from aethernet.verify.report import verification_markdown

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
        verdict = on_every_x86(path) if path.suffix == ".onnx" else ""
        print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB){verdict and f', {verdict}'}")
    if any(path.suffix == ".param" for path in found.written):
        print(f"{found.padding}.")
    for path, problem in found.left_out.items():
        print(f"NOT written: {path} ({problem}{'; the older file stays' if path.exists() else ''})")
    return 1 if found.left_out else 0


def half_markdown(half: "HalfReport") -> str:
    """The layers with the largest numbers."""
    from aethernet.tables import markdown_table

    header = [
        f"largest of {how_many(len(half.layers), 'layer')}",
        "kind",
        "activation",
        "weight",
        "headroom",
        "below 6e-5",
    ]
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
