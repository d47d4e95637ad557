"""Reading the options of this package's own data sets."""

from collections.abc import Mapping

from aethernet.errors import OptionError

PHASES = ("train", "val", "test")


def integer(opt: Mapping, name: str, *, owner: str, minimum: int, default: int | None = None) -> int:
    """A whole number of at least `minimum`; `owner` is the data set's class in messages.

    Raises:
        OptionError: it is missing and has no default, or it is something else.
    """
    value = opt.get(name, default)
    if value is None:
        raise OptionError(f"{owner} needs {name}: give an integer >= {minimum}")
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise OptionError(f"{owner}: {name} is {value!r}: it must be an integer >= {minimum}")
    return value


def phase(opt: Mapping) -> str:
    """`train`, `val` or `test`, which BasicSR enters."""
    if opt.get("phase") not in PHASES:
        raise OptionError(f"phase is {opt.get('phase')!r}: it must be 'train', 'val' or 'test'")
    return opt["phase"]
