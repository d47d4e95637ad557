"""The options of this package's own data sets, read and checked."""

from collections.abc import Mapping

from aethernet.checks import one_of, whole_number
from aethernet.errors import OptionError

PHASES = ("train", "val", "test")


def integer(opt: Mapping, name: str, *, owner: str, minimum: int, default: int | None = None) -> int:
    """A whole number of at least `minimum`; `owner` is the data set's class in messages.

    Raises:
        OptionError: it is missing and has no default, or it is something else.
    """
    value = opt.get(name, default)
    if value is None:
        raise OptionError(f"{owner} needs {name}, a whole number of at least {minimum}")
    return whole_number(f"{owner}: {name}", value, minimum, OptionError)


def patch_size(opt: Mapping, scale: int, *, owner: str, minimum: int) -> int:
    """`gt_size`, the side of the square GT patch in pixels: a multiple of the scale."""
    size = integer(opt, "gt_size", owner=owner, minimum=minimum)
    if size % scale:
        lower = size - size % scale
        raise OptionError(
            f"{owner}: gt_size {size} is not a multiple of scale {scale}: take {lower} or {lower + scale}"
        )
    return size


def phase(opt: Mapping) -> str:
    """`train`, `val` or `test`, which BasicSR enters."""
    one_of("phase", opt.get("phase"), PHASES, OptionError)
    return opt["phase"]
