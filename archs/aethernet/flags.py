"""Settings that are also flags of a command: each stands once, as a field of a dataclass with its type, default and help."""

import argparse
import dataclasses
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def flag(help: str, default: Any = None, *, names: str = "", group: str = "", **arguments: Any) -> Any:
    """A field of settings.

    Args:
        help: one line, in which `%(default)s` stands for the default.
        names: on the command line, by default that of the field, such as `--max-drop`.
        group: the heading that it stands under.
        arguments: what `add_argument` is told beside.
    """
    return dataclasses.field(
        default=default, metadata={"names": names.split(), "group": group, "arguments": {"help": help, **arguments}}
    )


def add_flags(parser: argparse.ArgumentParser, settings: type) -> None:
    """Adds the flags of settings to a command, in their order."""
    groups: dict[str, Any] = {"": parser}
    for each in dataclasses.fields(settings):
        group = each.metadata["group"]
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        names = each.metadata["names"] or [f"--{each.name.replace('_', '-')}"]
        groups[group].add_argument(*names, dest=each.name, default=each.default, **each.metadata["arguments"])


def with_options(make: Callable[..., T], args: argparse.Namespace, **others: object) -> T:
    """Calls a function, or makes settings: each argument that is none of the others from the option of its name."""
    names = inspect.signature(make).parameters.keys() - others.keys()
    return make(**{name: getattr(args, name) for name in names}, **others)


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


def not_negative(text: str) -> int:
    """A whole number of at least 0."""
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def byte_size(text: str) -> int:
    """Bytes of a text such as 4G."""
    match = re.fullmatch(r"([1-9]\d*|\d*\.\d+)([MG])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 4G, 1.5G or 800M")
    return int(float(match[1]) * {"M": 2**20, "G": 2**30}[match[2]])


def note(text: str) -> str:
    """A text, or what the file holds that it names."""
    path = Path(text)
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else text
    except OSError:  # too long for a name
        return text
