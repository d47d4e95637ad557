"""How windows over a picture are chosen: by what a model takes, by memory, and by what the halo costs."""

import dataclasses
from dataclasses import dataclass, replace

from aethernet.upscale.halo import Halo
from aethernet.upscale.tiles import Plan, plan_windows

COSTLY = 1.15
"""What the halo may add to the work before larger windows are taken, or else it is said."""


@dataclass(frozen=True)
class Windows:
    """How windows are chosen.

    Attributes:
        scale: of the model.
        in_channels: of the model: 1 or 3.
        halo: what it sees.
        pixels: of a window, at most; None for no limit.
        side: of a window, at most, in the place of `pixels`.
        size: the only height and width that the model takes.
        batch: windows that are computed at once.
        multiple, least: what the sides of a picture must be multiples of, and be at least.
        passes: over the picture, to gather the means of channel attention.
    """

    scale: int
    in_channels: int
    halo: Halo
    pixels: int | None = None
    side: int | None = None
    size: tuple[int, int] | None = None
    batch: int = 1
    multiple: int = 1
    least: int = 1
    passes: int = 2

    def plan(self, height: int, width: int) -> Plan:
        """Raises `ValueError` for windows of which nothing is left."""
        return plan_windows(
            height, width, self.halo.pixels,
            pixels=self.pixels, side=self.side, size=self.size, multiple=self.multiple,
        )  # fmt: skip

    def halved(self, height: int, width: int) -> "Windows":
        """The same with windows of half the area; raises `ValueError` where that is not possible."""
        if self.size is not None:
            raise ValueError("the model takes one size only")
        if self.batch > 1:
            return dataclasses.replace(self, batch=self.batch // 2)
        rows, columns = self.plan(height, width).window
        smaller = dataclasses.replace(self, side=None, pixels=rows * columns // 2)
        smaller.plan(height, width)
        return smaller


def with_pixels(windows: Windows, height: int, width: int, preferred: int, most: int | None) -> Windows:
    """Windows of the preferred area, or of more where the halo would cost much and memory suffices."""
    pixels = preferred if most is None else min(preferred, most)
    while True:
        chosen = replace(windows, pixels=pixels)
        try:
            cost = chosen.plan(height, width).cost
        except ValueError:  # nothing is left between the halos
            cost = float("inf")
        if cost <= COSTLY or pixels >= height * width or (most is not None and pixels >= most):
            break
        pixels = 2 * pixels if most is None else min(2 * pixels, most)
    if cost == float("inf"):  # memory is short: the smallest windows that there are
        chosen = replace(windows, pixels=(4 * windows.halo.pixels + windows.multiple) ** 2)
    return chosen
