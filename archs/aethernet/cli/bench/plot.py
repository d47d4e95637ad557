"""`aethernet bench plot`: quality against latency, and training curves."""

import argparse
from pathlib import Path

from aethernet.flags import positive

HELP = "draw quality against latency and training curves from the JSON files of other benchmarks"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE.json",
        help="what `bench arena` wrote, one or several; or what `bench quality --json` and `bench speed --json` wrote, "
        "together",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("results/plots"), metavar="DIR|FILE",
        help="a folder, or a .png, .svg or .pdf file that the other plots are written beside (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--engine", help="engine of the times (default: what most networks were timed in)")
    parser.add_argument("--threads", type=positive, help="threads of the times, if there are several")
    parser.add_argument("--size", metavar="HxW", help="input size of the times, if there are several")


def run(args: argparse.Namespace) -> int:
    """Writes the plots and prints their files."""
    from aethernet.plots.comparison_files import read_comparison
    from aethernet.plots.plot import write_plots

    comparison = read_comparison(args.files)
    asked = args.engine or args.threads or args.size
    setting = None
    if asked or comparison.is_timed or not comparison.has_curves:
        setting = comparison.setting(engine=args.engine, threads=args.threads, size=args.size)
    for path in write_plots(comparison, args.out, setting):
        print(path)
    return 0
