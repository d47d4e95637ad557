"""`aethernet bench fusion`: fused against unfused speed, and what each branch costs in training."""

import argparse

from aethernet.cli.arguments import size
from aethernet.cli.bench.shared import add_patches, add_timing, publish, timing
from aethernet.cli.progress import ProgressBars

HELP = "fused against unfused speed, and what each branch costs in training"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("variants", nargs="*", default=["small"], metavar="VARIANT", help="(default: small)")
    parser.add_argument("--scale", type=int, default=4, help="(default: %(default)s)")
    parser.add_argument("--size", type=size, default=(128, 128), metavar="HxW", help="input size (default: 128x128)")
    add_patches(parser)
    add_timing(parser)


def run(args: argparse.Namespace) -> int:
    from aethernet.bench.fusion import measure_fusion
    from aethernet.bench.report import fusion_markdown

    with ProgressBars() as bars:
        report = measure_fusion(
            args.variants,
            scale=args.scale,
            size=args.size,
            batch=args.batch,
            patch=args.patch,
            **timing(args),
            progress=bars.step,
        )
    return publish(args, report, fusion_markdown(report))
