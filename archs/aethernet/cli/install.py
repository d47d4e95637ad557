"""`aethernet install`: makes this package known to a source tree of BasicSR, traiNNer-redux, neosr or Real-ESRGAN."""

import argparse
import sys
from pathlib import Path

HELP = "write drop-in files into a source tree of BasicSR, traiNNer-redux, neosr or Real-ESRGAN, for its own train.py"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--into",
        required=True,
        type=Path,
        metavar="TREE",
        help="folder that holds the folder basicsr, traiNNer, neosr or realesrgan",
    )
    parser.add_argument("--remove", action="store_true", help="remove the files again")


def run(args: argparse.Namespace) -> int:
    from aethernet.integrations import install

    framework = install.recognise(args.into)
    for path, outcome in (install.remove if args.remove else install.install)(args.into).items():
        print(f"{outcome:9}  {path}")
    if args.remove:
        return 0
    source = install.source_to_add()
    if source is not None:
        print(f"aethernet is not installed for {sys.executable}: the files add {source} to its path.")
    print(f"Train in {args.into}: {framework.start}")
    return 0
