"""`aethernet bench`: quality and speed, as tables and as JSON; one module of this package per measurement."""

import argparse
import importlib
import logging
from pathlib import Path

HELP = "measure quality and speed, of this and of other networks"
TABLES = ("quality", "speed")
OTHERS = ("arena", "plot")


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="bench", required=True, metavar="WHAT")
    for name in (*TABLES, *OTHERS):
        module = importlib.import_module(f"aethernet.cli.bench.{name}")
        subparser = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.configure(subparser)
        if name in TABLES:
            subparser.add_argument("--json", type=Path, metavar="FILE", help="also write the records to this file")


def run(args: argparse.Namespace) -> int:
    logging.getLogger("onnx_ir").setLevel(logging.WARNING)  # it tells of every constant that it shares
    return importlib.import_module(f"aethernet.cli.bench.{args.bench}").run(args)
