"""Arguments that several commands take, and how they become settings."""

import argparse
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


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


def note(text: str) -> str:
    """A text, or what the file holds that it names."""
    path = Path(text)
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else text
    except OSError:  # too long for a name
        return text


def with_options(make: Callable[..., T], args: argparse.Namespace, **others: object) -> T:
    """Calls a function, or makes settings: each argument that is none of the others from the option of its name."""
    names = inspect.signature(make).parameters.keys() - others.keys()
    return make(**{name: getattr(args, name) for name in names}, **others)
