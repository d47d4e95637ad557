"""Kinds of values that an option file can ask for: what fits, and the words for it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from aethernet.checks import is_number, is_whole, near


@dataclass(frozen=True)
class Kind:
    """What an entry may be.

    Args:
        allowed: it in words, to stand behind `must be`.
        fits: whether a value is of this kind.
        is_whole: whether it is written without a dot.
    """

    allowed: str
    fits: Callable[[Any], bool]
    is_whole: bool = False

    def or_none(self) -> "Kind":
        """This kind, or `~`, which is as good as leaving the line out."""
        return replace(self, fits=lambda value: value is None or self.fits(value))

    def problem(self, place: str, value: object) -> str | None:
        """What is wrong with the value at this place in the file, or None."""
        if self.fits(value):
            return None
        number = as_number(value) if isinstance(value, str) else None
        if number is not None and (self.fits(number) or self.fits(whole_or_float(number))):
            written = f"{number:.0f}" if self.is_whole else f"!!float {value}"
            return f"{place}: {value!r} is text for YAML; write {written}, without quotes"
        quoted = "; put it into quotes" if is_number(value) and self.fits(str(value)) else ""
        return f"{place}: must be {self.allowed}, not {value!r}{quoted}"


def as_number(text: str) -> float | None:
    """The number that a text is, such as `1e-4`, which YAML does not read as one; else None."""
    try:
        return float(text)
    except ValueError:
        return None


def whole_or_float(number: float) -> int | float:
    return int(number) if number.is_integer() else number


def is_finite(value: object) -> TypeGuard[int | float]:
    return is_number(value) and math.isfinite(value)


def whole(least: int, most: float = math.inf) -> Kind:
    """A whole number without a dot."""
    words = f"a whole number of at least {least}" if most == math.inf else f"a whole number from {least} to {most}"
    return Kind(words, lambda value: is_whole(value, least) and value <= most, is_whole=True)


def count(least: int) -> Kind:
    """A whole number, also as 5000.0."""
    return Kind(
        f"a whole number of at least {least}",
        lambda value: is_finite(value) and value >= least and float(value).is_integer(),
        is_whole=True,
    )


def number(least: float = -math.inf, above: float = -math.inf) -> Kind:
    """A finite number of at least `least` and more than `above`."""
    words = "a number"
    if above == 0:
        words = "a positive number"
    elif least > -math.inf:
        words = f"a number of at least {least:g}"
    return Kind(words, lambda value: is_finite(value) and least <= value and value > above)


def numbers(*counts: int, least: float = -math.inf, words: str) -> Kind:
    """A list of finite numbers; of these lengths, if there are any."""

    def fits(value: object) -> bool:
        if not isinstance(value, list | tuple) or (counts and len(value) not in counts):
            return False
        return all(is_finite(each) and each >= least for each in value)

    return Kind(words, fits)


def pair(least: float, most: float) -> Kind:
    """A range: two numbers, the smaller one first."""
    return Kind(
        f"two numbers from {least:g} to {most:g}, the smaller one first",
        lambda value: is_finite_list(value, 2) and least <= value[0] <= value[1] <= most,
    )


def is_finite_list(value: object, length: int) -> TypeGuard[Sequence[float]]:
    return isinstance(value, list | tuple) and len(value) == length and all(map(is_finite, value))


def choice(*names: str) -> Kind:
    return Kind(f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


def not_near(*names: str) -> Kind:
    """A name that is one of these, or like none of them: more than these are taken."""
    return Kind(
        f"a name such as {', '.join(names)}",
        lambda value: isinstance(value, str) and (value in names or not near(value, names)),
    )


SWITCH = Kind("true or false", lambda value: isinstance(value, bool) or (is_whole(value) and value in (0, 1)))
"""BasicSR takes any text for true, `false` in quotes as well. 1 and 0 mean what they say."""
STRICT_SWITCH = Kind("true or false", lambda value: isinstance(value, bool))
"""Of which BasicSR asks whether it is true itself, so that 1 is as good as false."""
TEXT = Kind("a text", lambda value: isinstance(value, str) and bool(value.strip()))
TEXT_OR_NUMBER = Kind("a text", lambda value: isinstance(value, str) or is_number(value))
PROBABILITY = Kind("a probability in [0, 1]", lambda value: is_finite(value) and 0 <= value <= 1)
DECAY = Kind("in [0, 1), where 0 means no average", lambda value: is_finite(value) and 0 <= value < 1)
BETAS = Kind(
    "two numbers in [0, 1) such as [0.9, 0.99]",
    lambda value: is_finite_list(value, 2) and all(0 <= each < 1 for each in value),
)
PORT = Kind(
    "a whole number from 1 to 65535",
    lambda value: (
        is_whole(int(value) if isinstance(value, str) and value.isdecimal() else value, 1) and int(value) <= 65535
    ),
)
"""BasicSR makes a text of it, so that one in quotes does as well."""
STEPS = numbers(least=0, words="a list of numbers such as [1000, 2000], none of them below 0")
MEANS = numbers(1, 3, words="a list of three numbers such as [0.5, 0.5, 0.5]")
LIST_OF_NUMBERS = numbers(words="a list of numbers")


def odd(least: int, most: int) -> Kind:
    return Kind(
        f"an odd whole number from {least} to {most}",
        lambda value: is_whole(value, least) and value <= most and value % 2 == 1,
        is_whole=True,
    )


def names(one: str) -> Kind:
    """A list of names, or one alone."""

    def fits(value: object) -> bool:
        listed: Sequence = value if isinstance(value, list | tuple) else [value]
        return all(isinstance(each, str) for each in listed)

    return Kind(f"{one} or a list of them", fits)


def like(default: object) -> Kind | None:
    """The kind of an argument by its default, as far as that tells anything."""
    if isinstance(default, bool):
        return SWITCH
    if is_number(default):  # a size is one number or one for each axis, and 1 and 0 can be a switch's
        takes_bool = default in (0, 1)
        return Kind(
            "a number",
            lambda value: is_finite(value) or LIST_OF_NUMBERS.fits(value) or (takes_bool and isinstance(value, bool)),
        )
    if isinstance(default, str):
        return Kind("a text", lambda value: value is None or isinstance(value, str))
    if isinstance(default, list | tuple) and default and all(map(is_number, default)):
        return LIST_OF_NUMBERS
    return None
