"""What commands share that read one weights file and write another."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--out", type=Path, required=True, help="the file to write: .pth or .safetensors")
    parser.add_argument("--key", help="entry of a BasicSR checkpoint (default: params_ema, else params)")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def check_out(args: argparse.Namespace) -> None:
    """Refuses an output that exists or is of an unknown kind, before any work is done."""
    from aethernet.errors import OutputError
    from aethernet.files import check_writable

    if args.out.exists() and not args.force:
        raise OutputError(f"{args.out} exists: give another -o, or --force to overwrite it")
    if args.out.suffix not in (".pth", ".safetensors"):
        raise OutputError(f"-o must end in .pth or .safetensors, not {args.out.name}")
    check_writable(args.out)
