"""What several measurements take, and how they end."""

import argparse

from aethernet.flags import positive


def add_timing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=positive, default=1, help="threads of every engine (default: %(default)s)")
    parser.add_argument("--rounds", type=positive, default=10, help="measured runs of each (default: %(default)s)")
    parser.add_argument("--warmup", type=positive, default=2, help="runs before that (default: %(default)s)")


def publish(args: argparse.Namespace, report, markdown: str) -> int:
    """Writes the JSON file if asked for, then prints the table."""
    from aethernet.tables import write_json

    if args.json:
        write_json(args.json, args.bench, report)
    print(markdown)
    return 0
