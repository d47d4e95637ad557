"""What a file may differ from its network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aethernet.errors import UsageError

if TYPE_CHECKING:
    from aethernet.verify.agreement import Agreement

MAX_DROP = 0.1
"""dB of PSNR (Y, mean over pictures) that a file may lose by default."""
FLOAT_ERROR = 1e-4
"""Largest difference of a float32 file, on the [0, 1] range."""
HALF_AGREEMENT = 60.0
"""dB between a float16 file and the network. 8 bits themselves are 59 dB."""


@dataclass(frozen=True)
class Budget:
    """The gate of a file: as a text, as a test, and as the figure that was found. What is not a number does not hold."""

    text: str
    holds: "Callable[[Agreement], bool]"
    found: "Callable[[Agreement], str]"


def drop_budget(max_drop: float) -> Budget:
    """Of a file that may lose so much PSNR.

    Raises:
        UsageError: a loss below 0 dB.
    """
    if not max_drop >= 0:
        raise UsageError(f"max-drop must be 0 dB or more, not {max_drop}")
    return Budget(
        f"mean drop at most {max_drop:g} dB",
        lambda found: found.drop <= max_drop,
        lambda found: f"mean drop {found.drop:.3f} dB, {found.worst_drop:.2f} dB on {found.worst}",
    )


def budget(precision: str, max_drop: float) -> Budget:
    """Of a precision, `float32`, `float16` or `int8`; only the latter may lose `max_drop`."""
    if precision == "float32":
        return Budget(
            f"max error at most {FLOAT_ERROR:g}",
            lambda found: found.max_error <= FLOAT_ERROR,
            lambda found: f"max error {found.max_error:.1e}",
        )
    if precision == "float16":
        return Budget(
            f"agreement at least {HALF_AGREEMENT:g} dB",
            lambda found: found.agreement >= HALF_AGREEMENT,
            lambda found: f"agreement {found.agreement:.1f} dB",
        )
    return drop_budget(max_drop)
