"""Words around numbers."""


def how_many(number: int, noun: str, many: str = "") -> str:
    """The number and its noun, as `1 picture` and `2 pictures`; `many` is a plural that does not end in `s` alone."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {many or noun + 's'}"
