"""Windows over a picture, each with the part of its result that equals the whole picture's.

A result depends on what lies within the network's receptive radius, the halo. A window therefore gives the right result
except in a frame of that width, and at the picture's own edges there is no such frame: the network pads there as it does
for the whole picture. Nothing is padded, mirrored or blended. All windows of a plan have one size, so that they can be
computed in batches, and by files that take one size only; the last one stands at the picture's edge.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from aethernet.wording import how_many


@dataclass(frozen=True)
class Span:
    """Along one axis, in input pixels: the window [start, stop) and the part [first, last) whose result is taken."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """Windows in rows (from top to bottom) and columns; every pair of a row and a column is one window."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of every window."""
        return self.rows[0].stop - self.rows[0].start, self.columns[0].stop - self.columns[0].start

    @property
    def count(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def cost(self) -> float:
        """Computed pixels over the picture's: 1.0 for the whole at once, 1.15 where the halo costs 15 %."""
        height, width = self.window
        return self.count * height * width / (self.rows[-1].stop * self.columns[-1].stop)

    def __iter__(self) -> Iterator[tuple[Span, Span]]:
        return ((row, column) for row in self.rows for column in self.columns)


def spans(length: int, window: int, halo: int) -> tuple[Span, ...]:
    """Windows of exactly `window` pixels (or one of `length`, if that is less), as few as do, over an axis.

    Raises:
        ValueError: windows of which nothing is left between the halos.
    """
    if window >= length:
        return (Span(0, length, 0, length),)
    if window <= 2 * halo:
        raise ValueError(f"a window of {how_many(window, 'pixel')} leaves nothing between halos of {halo}")
    count = 1 + -(-(length - window) // (window - 2 * halo))
    starts = [number * (length - window) // (count - 1) for number in range(count)]
    bounds = [0, *((left + window + right) // 2 for left, right in itertools.pairwise(starts)), length]
    return tuple(
        Span(start, start + window, first, last)
        for start, (first, last) in zip(starts, itertools.pairwise(bounds), strict=True)
    )


def equal_window(length: int, window: int, halo: int) -> tuple[int, int]:
    """How many windows of at most `window` pixels cover an axis, and the least size of which that many do."""
    if window >= length:
        return 1, length
    if window <= 2 * halo:
        raise ValueError(f"a window of {how_many(window, 'pixel')} leaves nothing between halos of {halo}")
    count = 1 + -(-(length - window) // (window - 2 * halo))
    return count, -(-(length + (count - 1) * 2 * halo) // count)


def plan_windows(
    height: int,
    width: int,
    halo: int,
    *,
    pixels: int | None = None,
    side: int | None = None,
    size: tuple[int, int] | None = None,
    multiple: int = 1,
) -> Plan:
    """The cheapest plan of windows that are not too large.

    Args:
        pixels: of a window, at most. Strips of the whole width are taken where they are cheaper than squares.
        side: of a window, at most; instead of `pixels`.
        size: the only height and width of a window, for files that take no other; the picture must not be smaller.
        multiple: of the height and width of a window and of where it starts; the picture's must be multiples, too.

    Raises:
        ValueError: so small windows that nothing is left between the halos.
    """
    if multiple > 1:
        units = plan_windows(
            height // multiple,
            width // multiple,
            -(-halo // multiple),
            pixels=pixels and pixels // multiple**2,
            side=side and side // multiple,
            size=size and (size[0] // multiple, size[1] // multiple),
        )
        return Plan(_times(units.rows, multiple), _times(units.columns, multiple))
    if size is not None:
        return Plan(spans(height, size[0], halo), spans(width, size[1], halo))
    if side is not None:
        rows, columns = (equal_window(length, side, halo)[1] for length in (height, width))
        return Plan(spans(height, rows, halo), spans(width, columns, halo))
    if pixels is None or pixels >= height * width:
        return Plan(spans(height, height, halo), spans(width, width, halo))
    rows, columns = _cheapest_window(height, width, halo, pixels)
    return Plan(spans(height, rows, halo), spans(width, columns, halo))


def _cheapest_window(height: int, width: int, halo: int, pixels: int) -> tuple[int, int]:
    """Height and width, over all numbers of columns."""
    best = None
    for count in range(1, width + 1):
        columns = -(-(width + (count - 1) * 2 * halo) // count)
        rows = pixels // columns
        if count > 1 and columns <= 2 * halo:
            break
        if rows >= height or rows > 2 * halo:
            in_rows, rows = equal_window(height, rows, halo)
            cost = in_rows * rows * count * columns
            if best is None or cost < best[0]:
                best = cost, rows, columns
            if in_rows == 1:
                break
    if best is None:
        raise ValueError(f"windows of {pixels} pixels leave nothing between halos of {halo}")
    return best[1:]


def _times(axis: tuple[Span, ...], multiple: int) -> tuple[Span, ...]:
    return tuple(Span(*(multiple * pixel for pixel in (span.start, span.stop, span.first, span.last))) for span in axis)
