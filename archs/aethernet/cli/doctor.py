"""`aethernet doctor`: what works here, what does not, and the command that mends it."""

import argparse
import dataclasses
import json
import logging
from pathlib import Path

from aethernet.wording import how_many

HELP = "check this environment and name a remedy for every problem"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="int8 .onnx files: are they right on every x86 CPU? .param files: are they whole, and what runs them?",
    )
    parser.add_argument("--json", action="store_true", help="print the records as JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Returns 1 if something that training needs is missing or broken, or a file cannot be read."""
    from aethernet.doctor import diagnose

    package_log = logging.getLogger("aethernet")
    level = package_log.level
    package_log.setLevel(logging.ERROR)  # what the imports warn of is in the table already
    try:
        checks = diagnose(args.files)
    finally:
        package_log.setLevel(level)
    errors = sum(check.status == "error" for check in checks)
    if args.json:
        print(json.dumps({"ok": not errors, "checks": [dataclasses.asdict(check) for check in checks]}, indent=2))
        return int(errors > 0)
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{check.status:7}  {check.name:{width}}  {check.found}")
        if check.remedy:
            print(f"{'':7}  {'':{width}}  -> {check.remedy}")
    warnings = sum(check.status == "warning" for check in checks)
    print(f"\n{how_many(len(checks), 'check')}: {how_many(errors, 'error')}, {how_many(warnings, 'warning')}")
    return int(errors > 0)
