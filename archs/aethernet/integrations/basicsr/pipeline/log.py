"""What the lines of BasicSR's log tell."""

import re

ITERATION = re.compile(r"\[epoch:\s*[\d,]+, iter:\s*([\d,]+),")


def reached_iterations(text: str) -> list[int]:
    """The iterations that a line, or a whole log, says were reached, in its order."""
    return [int(number.replace(",", "")) for number in ITERATION.findall(text)]
