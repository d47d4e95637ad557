"""`aethernet verify`: does a file still do what the network does that it was made from?"""

import argparse
from pathlib import Path

from aethernet.data.damaged import MOST_DAMAGED
from aethernet.flags import not_negative, positive, with_options
from aethernet.verify.budget import MAX_DROP

HELP = "Hold files (weights of any stage, ONNX, ncnn) against the network they come from, on real pictures."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="weights, .onnx or .param files")
    parser.add_argument("--against", required=True, metavar="WEIGHTS", help="the float weights, or packaged ones")
    parser.add_argument(
        "--data",
        dest="folders",
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders of high-resolution pictures, such as Set5",
    )
    parser.add_argument(
        "--max-drop",
        type=float,
        default=MAX_DROP,
        metavar="DB",
        help=f"PSNR that a file may lose (default: {MAX_DROP} dB)",
    )
    parser.add_argument(
        "--max-damaged", type=not_negative, default=MOST_DAMAGED, metavar="N",
        help="pictures that may be unreadable; they are left out, and the table says so (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--threads", type=positive, help="threads (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the records to this file")


def run(args: argparse.Namespace) -> int:
    """Prints a table; the exit code is 1 when a file is over budget."""
    from aethernet.cli.progress import ProgressBars
    from aethernet.tables import write_json
    from aethernet.verify.report import verification_markdown
    from aethernet.verify.verification import verify_files

    with ProgressBars() as bars:
        report = with_options(verify_files, args, progress=bars.titled)
    if args.json:
        write_json(args.json, "verification", report)
    print(verification_markdown(report))
    return 0 if report.passed else 1
