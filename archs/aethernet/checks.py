"""Small checks of what users give, with the words of their errors.

Python and YAML take True for 1; here it is no number.
"""

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeGuard

from aethernet.errors import AetherError


def is_whole(value: object, least: float = float("-inf")) -> TypeGuard[int]:
    """Whether it is an `int` of at least `least`; 4.0 is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_folder_name(text: str) -> bool:
    """Whether a folder can be called so: no path, and nothing that stands for another folder."""
    return text not in ("", ".", "..") and not set(text) & set("/\\\0")


def is_one_of(value: object, allowed: Collection) -> bool:
    """Whether it is among them and of their type: 4.0 and True equal whole numbers."""
    return value in allowed and type(value) in map(type, allowed)


def whole_number(name: str, value: object, least: int, error: type[AetherError]) -> int:
    """The value, or `error` if it is no whole number of at least `least`."""
    if not is_whole(value, least):
        raise error(f"{name} must be a whole number of at least {least}, not {value!r}")
    return value


def one_of(name: str, value: object, allowed: Collection, error: type[AetherError]) -> None:
    """Raises `error` if the value is none of those that are allowed."""
    if not is_one_of(value, allowed):
        raise error(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")


def samples_problem(low: float, high: float, beyond: float) -> str | None:
    """What is wrong with a picture of floats, which should be in [0, 1], as `has values ...`; None if nothing is.

    Args:
        low, high: its least and its largest value; NaN if any is.
        beyond: how far from [0, 1] they may be: noise and overshoot are no fault.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return "has values that are not finite numbers (NaN or infinity)"
    if high > 1 + beyond:
        return (
            f"has values up to {high:.4g}, and [0, 1] is taken: divide 8-bit samples by 255, those of 16 bits by 65535"
        )
    if low < -beyond:
        return f"has values down to {low:.4g}, and [0, 1] is taken: (x + 1) / 2 brings [-1, 1] there"
    return None


def near(name: object, known: Iterable[str], most: int = 3, likeness: float = 0.6) -> list[str]:
    """Which of the known names are like this one, in capitals or not, the likest first."""
    lowered = {each.lower(): each for each in known}
    return [lowered[each] for each in difflib.get_close_matches(str(name).lower(), lowered, most, likeness)]


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`did you mean 'this'?` for a name that is like it or contains it; else all that is known, sets in alphabetical order."""
    known = list(known) if isinstance(known, Sequence | Mapping) else sorted(known)
    found = near(name, known, most=1) or [each for each in known if str(name).lower() in each.lower()]
    return f"did you mean {found[0]!r}?" if found else f"known: {', '.join(known) or 'none'}"
