"""`aethernet bench plot`: quality against latency, training curves, and what longer trainings would buy."""

import argparse
from pathlib import Path

HELP = "draw quality against latency and training curves from the JSON files of other benchmarks"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE.json",
        help="what `bench arena` wrote, several of them to compare lengths of training; or what `bench quality --json` "
        "and `bench speed --json` wrote, together",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("results/plots"), metavar="DIR|FILE",
        help="a folder, or a .png, .svg or .pdf file that the other plots are written beside (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--engine", help="engine of the times (default: what most networks were timed in)")
    parser.add_argument("--threads", type=int, help="threads of the times, if there are several")
    parser.add_argument("--size", metavar="HxW", help="input size of the times, if there are several")
    parser.add_argument(
        "--extrapolate", type=float, nargs="?", const=10.0, metavar="FACTOR",
        help="also draw and print what FACTOR times the longest training would bring (without a number: 10); needs "
        "files of at least three lengths of training",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Writes the plots and prints their files, behind the extrapolations if asked for."""
    from aethernet.errors import UsageError
    from aethernet.plots.comparison_files import read_comparison
    from aethernet.plots.growth import extrapolations
    from aethernet.plots.plot import write_plots

    if args.extrapolate is not None and not args.extrapolate > 1:
        raise UsageError(f"--extrapolate {args.extrapolate:g}: the factor must be greater than 1, such as 10")
    comparison = read_comparison(args.files)
    asked = args.engine or args.threads or args.size
    setting = None
    if asked or comparison.is_timed or not comparison.has_curves:
        setting = comparison.setting(engine=args.engine, threads=args.threads, size=args.size)
    found, reasons = extrapolations(comparison, args.extrapolate) if args.extrapolate else ({}, {})
    for name, extrapolation in found.items():
        print(f"{name}: {extrapolation.sentence()}")
    for reason in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name, own in reasons.items() if own == reason)
        print(f"{names}: not extrapolated: {reason}")
    if args.extrapolate and not found and not reasons:
        print("nothing to extrapolate: these files hold no trainings, give those of `bench arena`")
    for path in write_plots(comparison, args.out, setting, found):
        print(path)
    return 0
