"""Values of a recipe: each function takes what YAML gave and its place in the file, and returns it or raises.

YAML reads `2e-3` (no dot) as text, so text that is a number is taken for one.
"""

import copy
import difflib
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aethernet.errors import OptionError

Reader = Callable[[object, str], Any]


def section(value: object, place: str, known: Collection[str] | None = None) -> Mapping[str, Any]:
    """A mapping; with `known`, one of these keys only."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise OptionError(f"{place}: must be a section of `key: value` lines, not {value!r}")
    for key in value:
        if known is not None and key not in known:
            raise OptionError(f"{place}: there is no entry {key!r}; {near(key, known)}")
    return value


def mapping(value: object, place: str) -> Mapping[str, Any]:
    return section(value, place)


def typed(value: object, place: str) -> Mapping[str, Any]:
    """A section with `type`, or the type alone."""
    result = {"type": value} if isinstance(value, str) else section(value, place)
    text(result.get("type"), f"{place}: type")
    return {key: _number_of_text(each) for key, each in result.items()}


def _number_of_text(value: object) -> object:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def number(*, above: float | None = None, below: float = math.inf) -> Reader:
    """A number of at least 0 (or more than `above`) and less than `below`."""

    def read(value: object, place: str) -> float:
        try:
            result = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        except ValueError:
            result = math.nan
        in_range = result >= 0 if above is None else result > above
        if not in_range or not result < below:
            least = "at least 0" if above is None else f"above {above}"
            most = "" if below == math.inf else f" and below {below:g}"
            raise OptionError(f"{place}: must be a number {least}{most}, not {value!r}")
        return result

    return read


def whole(least: int) -> Reader:
    """A whole number of at least `least`."""

    def read(value: object, place: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise OptionError(f"{place}: must be a whole number of at least {least}, not {value!r}")
        return value

    return read


def text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise OptionError(f"{place}: must be a text, not {value!r}")
    return value


def listed(read: Reader) -> Reader:
    """One value or a list of them, as a tuple."""

    def read_list(value: object, place: str) -> tuple:
        items = value if isinstance(value, list) else [value]
        if not items:
            raise OptionError(f"{place}: must not be empty")
        return tuple(read(item, place) for item in items)

    return read_list


def optional(read: Reader) -> Reader:
    def read_optional(value: object, place: str) -> object:
        return None if value is None else read(value, place)

    return read_optional


def size(value: object, place: str) -> tuple[int, int]:
    """`128x96`: height and width."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", value) if isinstance(value, str) else None
    if not match:
        raise OptionError(f"{place}: must be of the form HEIGHTxWIDTH, such as 128x128, not {value!r}")
    return int(match[1]), int(match[2])


def near(name: str, known: Collection[str]) -> str:
    """`did you mean 'this'?`, or all that is known."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {found[0]!r}?" if found else f"known: {', '.join(known)}"


def merged(base: Mapping, changes: Mapping) -> dict:
    """A deep copy of `base` with `changes` laid over it, section by section."""
    result = copy.deepcopy(dict(base))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result
