"""`aethernet release`: one checkpoint in, a folder of verified files out."""

import argparse
from pathlib import Path

from aethernet.cli.interruption import ended_like_interrupted
from aethernet.files import real_path
from aethernet.flags import add_flags, with_options
from aethernet.release.settings import Settings
from aethernet.wording import how_many

HELP = "Write, verify and time every file of a network: weights, ONNX fp32, fp16 and int8, ncnn, a model card, report.html."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", metavar="WEIGHTS", help="float weights (.pth, .safetensors), or packaged ones")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR",
        help="folders of high-resolution pictures that every file is verified on",
    )  # fmt: skip
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="OUT",
        help="the bundle's folder; an earlier bundle is replaced",
    )
    add_flags(parser, Settings)


def run(args: argparse.Namespace) -> int:
    """Prints what the bundle holds; the exit code is 1 when a file failed its gate."""
    from aethernet.cli.progress import ProgressBars
    from aethernet.release.bundle import release

    with ended_like_interrupted(), ProgressBars() as bars:
        released = release(args.weights, args.data, args.out, with_options(Settings, args), bars.titled)
    report = released.report
    width = max(len(record.file) for record in report.files)
    for record in report.files:
        runtimes = ", ".join(check.runtime for check in record.checks)
        verdict = (
            f"passed ({record.budget}; {runtimes})" if record.passed else f"FAILED, not in the bundle: {record.problem}"
        )
        print(f"{record.file:<{width}}  {record.bytes / 1e6:6.2f} MB  {verdict}")
    print(
        f"\n{len(report.kept)} of {how_many(len(report.files), 'file')} passed on {how_many(len(report.pictures), 'picture')}"
    )
    for note in report.left_out:
        print(note)
    print(f"report: {released.folder / 'report.html'}")
    if not report.passed:
        kept = released.folder.name != real_path(args.out).name
        print(f"{args.out} is the earlier bundle, untouched" if kept else f"{args.out} lacks the files that failed")
    if not released.data_is_stated:
        print("the model card names no training data: give --data-note")
    return 0 if report.passed else 1
