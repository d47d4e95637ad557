"""How several measurements end."""

import argparse


def publish(args: argparse.Namespace, report, markdown: str) -> int:
    """Writes the JSON file if asked for, then prints the table."""
    from aethernet.tables import write_json

    if args.json:
        write_json(args.json, args.bench, report)
    print(markdown)
    return 0
