"""`aethernet bench training`: time of a training iteration, and of a multiply-accumulate in it."""

import argparse

from aethernet.cli.bench.shared import add_patches, add_timing, publish, timing
from aethernet.cli.progress import ProgressBars

HELP = "time of a training iteration, and of a multiply-accumulate in it"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="a variant such as aether_small_x4, or a network of others"
    )
    add_patches(parser)
    add_timing(parser)


def run(args: argparse.Namespace) -> int:
    from aethernet.bench.report import training_markdown
    from aethernet.bench.training import measure_training

    with ProgressBars() as bars:
        report = measure_training(
            args.models,
            batch=args.batch,
            patch=args.patch,
            **timing(args),
            progress=bars.step,
        )
    return publish(args, report, training_markdown(report))
