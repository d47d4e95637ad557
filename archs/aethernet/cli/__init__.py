"""The `aethernet` command: one module of this package per subcommand.

A subcommand's module has `HELP` (one line), `configure(parser)` and `run(args) -> int` (the exit code), and
imports what only it needs inside `run`: nothing here may import torch, which takes seconds.
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aethernet.errors import AetherError
from aethernet.files import check_writable
from aethernet.version import __version__

COMMANDS = (
    "upscale",
    "serve",
    "train",
    "test",
    "fuse",
    "calibrate",
    "convert",
    "verify",
    "export",
    "release",
    "card",
    "data",
    "options",
    "install",
    "bench",
    "doctor",
    "demo",
)


class Parser(argparse.ArgumentParser):
    """Refuses empty arguments, as a shell's variable without a value is: `Path` takes them for the current folder.

    An argument that may be empty is of the type `str`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("type", None, _filled)
        self.register("type", Path, lambda text: Path(_filled(text)))

    def add_subparsers(self, **options: Any) -> Any:
        commands = super().add_subparsers(**options)
        commands.type = str  # it gets the arguments of its commands as well, whose parsers look at them
        return commands


def _filled(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def build_parser(program: str = "aethernet", names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    parser = Parser(prog=program, description="Train, fuse and measure AetherNet super-resolution networks.")
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in names:
        module = importlib.import_module(f"aethernet.cli.{name}")
        subparser = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.configure(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None, program: str = "aethernet", names: Sequence[str] = COMMANDS) -> int:
    """Runs one subcommand and returns its exit code: 0 done, 1 refused with a message, 2 wrong usage.

    Args:
        argv: the words of the command line; by default this process's.
        program: what messages call it.
        names: the subcommands that it has.
    """
    try:
        parser = build_parser(program, names)
        args = parser.parse_args(argv)
    except KeyboardInterrupt:
        return _interrupted(program)
    if args.command is None:
        parser.print_help()
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(message)s")  # other libraries: what matters alone
    logging.getLogger("aethernet").setLevel(logging.INFO)
    try:
        if isinstance(getattr(args, "json", None), Path) and args.json != Path("-"):
            check_writable(args.json)
        return args.run(args)
    except BrokenPipeError:  # as of `| head`, which has read what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (AetherError, OSError) as error:
        print(
            f"{program} {args.command}: error: {error if isinstance(error, AetherError) else _words(error)}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return _interrupted(f"{program} {args.command}")


def _interrupted(who: str) -> int:
    print(f"{who}: interrupted", file=sys.stderr)
    return 130


def _words(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{os.fsdecode(error.filename)}: {reason}" if isinstance(error.filename, str | bytes) else reason
