"""Types of arguments that several commands take."""

import argparse
import re


def size(text: str) -> tuple[int, int]:
    """Height and width from a text such as 256x256."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form HEIGHTxWIDTH, such as 256x256")
    return int(match[1]), int(match[2])


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)
