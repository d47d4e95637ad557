"""Values of a recipe, read by msgspec: what YAML gave becomes a record, or an error names its place in the file."""

import copy
import re
import typing
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec

from aethernet.checks import did_you_mean
from aethernet.errors import OptionError

Record = TypeVar("Record")

WORDS = {"int": "a whole number", "float": "a number", "str": "a text", "null": "~", "array": "a list",
         "object": "a section of `key: value` lines"}  # fmt: skip
"""What msgspec calls the types of JSON."""
EXPECTED = re.compile(r"Expected `([^`]*)`(.*?)(?:, got [^-]*?)?(?: - at `\$(.*)`)?")


def section(value: object, place: str, known: Collection[str] | None = None) -> Mapping[str, Any]:
    """A mapping; with `known`, one of these keys only."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise OptionError(f"{place}: must be {WORDS['object']}, not {value!r}")
    for key in value:
        if known is not None and key not in known:
            raise OptionError(f"{place}: there is no entry {key!r}; {did_you_mean(key, known)}")
    return value


def record(kind: type[Record], value: object, place: str) -> Record:
    """A section as a dataclass with types that msgspec checks; one value alone will do for a tuple.

    Raises:
        OptionError: an unknown entry, or one of another type or out of its range.
    """
    fields = typing.get_type_hints(kind)
    content = {
        key: [each] if typing.get_origin(fields[key]) is tuple and not isinstance(each, list | tuple) else each
        for key, each in section(value, place, fields).items()
    }
    try:
        return msgspec.convert(content, kind, strict=False, dec_hook=lambda own, each: own(each))  # Path("Set5/HR")
    except msgspec.ValidationError as error:
        raise OptionError(_in_words(str(error), content, place)) from None


def _in_words(message: str, content: Any, place: str) -> str:
    """msgspec's message with the place in the file and the value there."""
    match = EXPECTED.fullmatch(message)
    if match is None:
        return f"{place}: {message}"
    kinds, bounds, path = match.groups(default="")
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        place, content = (f"{place}: {name}", content[name]) if name else (place, content[int(index)])
    words = " or ".join(WORDS.get(kind, kind) for kind in kinds.split(" | "))
    return f"{place}: must be {words}{bounds}, not {content!r}"


def typed(value: object, place: str) -> Mapping[str, Any]:
    """A section with `type`, or the type alone."""
    result = {"type": value} if isinstance(value, str) else section(value, place)
    if not isinstance(result.get("type"), str):
        raise OptionError(f"{place}: type: must be {WORDS['str']}, not {result.get('type')!r}")
    return result


def merged(base: Mapping, changes: Mapping) -> dict:
    """A deep copy of `base` with `changes` laid over it, section by section."""
    result = copy.deepcopy(dict(base))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result
