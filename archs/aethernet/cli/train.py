"""`aethernet train`: BasicSR's training pipeline with everything of this package registered."""

import argparse
import sys

from aethernet.flags import with_options

HELP = "train, or continue to train, what an option file describes"


def configure(parser: argparse.ArgumentParser) -> None:
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    return run_pipeline(args, is_train=True)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """BasicSR's own flags, for training and for testing."""
    parser.add_argument("-opt", required=True, metavar="FILE", help="option file (YAML)")
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm"],
        default="none",
        help="what started this process: pytorch for torchrun, slurm for srun (default: none)",
    )
    parser.add_argument("--auto_resume", action="store_true", help="go on from the experiment's newest checkpoint")
    parser.add_argument("--debug", action="store_true", help="log each iteration; validate and save every 8")
    parser.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument(
        "--force_yml",
        nargs="+",
        default=[],
        metavar="SECTION:KEY=VALUE",
        help="change entries of the option file for this run, such as logger:print_freq=10",
    )


def run_pipeline(args: argparse.Namespace, *, is_train: bool) -> int:
    from aethernet.integrations.basicsr.pipeline import launcher

    try:
        launcher.run(with_options(launcher.Flags, args), is_train=is_train)
    except launcher.Interrupted as interrupted:
        print(f"\naethernet {args.command}: {interrupted}", file=sys.stderr)
        return 130
    return 0
