"""`aethernet test`: BasicSR's testing pipeline with everything of this package registered."""

import argparse

from aethernet.cli.train import add_flags, run_pipeline

HELP = "measure and write what a trained network makes of the test sets of an option file"


def configure(parser: argparse.ArgumentParser) -> None:
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    return run_pipeline(args, is_train=False)
