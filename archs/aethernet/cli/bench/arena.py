"""`aethernet bench arena`: networks trained under one recipe and compared."""

import argparse
import signal
import sys
from pathlib import Path

HELP = "train several networks under one recipe, then compare their quality and speed"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, metavar="RECIPE.yml", help="see docs/benchmarks.md")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write (default: results/arena/NAME)")
    parser.add_argument(
        "--data", type=Path, metavar="ROOT", help="where relative folders of the recipe start (default: at its file)"
    )
    parser.add_argument("--iterations", type=int, metavar="N", help="of every training, instead of the recipe's")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="networks to train (default: all)")
    parser.add_argument("--no-speed", action="store_true", help="measure quality alone")


def run(args: argparse.Namespace) -> int:
    """Trains, measures, prints the table; an interrupted call goes on when it is repeated."""
    from aethernet.arena.arena import run_arena
    from aethernet.arena.recipe import read_recipe
    from aethernet.arena.records import arena_markdown
    from aethernet.cli.progress import ProgressBars

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the training would outlive this process
    recipe = read_recipe(args.recipe, args.data, args.iterations)
    out = args.out or Path("results/arena") / recipe.name
    try:
        with ProgressBars() as bars:
            report = run_arena(recipe, out, only=args.only, speed=not args.no_speed, progress=bars.titled)
    except KeyboardInterrupt:
        print(f"\naethernet bench: interrupted; the same command goes on in {out}", file=sys.stderr)
        return 130
    print(arena_markdown(report))
    print(f"\n{out / 'arena.json'}")
    return 1 if report.failures else 0
