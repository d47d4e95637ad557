"""What the tests of option files share: their text and their values as a parser gives them."""

import argparse
import re
from pathlib import Path

from aethernet.cli import options
from aethernet.training.recipes import file_name

ROOT = Path(__file__).parents[2]


def file_text(variant: str, scale: int, stage: str) -> str:
    """The file in the checkout."""
    return (ROOT / file_name(variant, scale, stage)).read_bytes().decode()


def numbers_that_are_texts(section: object) -> list[str]:
    """PyYAML takes `1e-4` for text, and a trainer fails with it in the optimiser."""
    if isinstance(section, dict | list):
        values = section.values() if isinstance(section, dict) else section
        return [text for value in values for text in numbers_that_are_texts(value)]
    is_one = isinstance(section, str) and re.fullmatch(r"[-+\d.]+(e[-+]?\d+)?|true|false|~", section)
    return [section] if is_one else []


def run_command(*arguments: str) -> int:
    """`aethernet options ARGUMENTS`, whose errors are raised here."""
    parser = argparse.ArgumentParser()
    options.configure(parser)
    return options.run(parser.parse_args(arguments))
