"""Pictures that are read by rows, again and again.

They are arrays (H, W, C) with 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha) channels, of uint8, uint16 or
float32 in [0, 1]; what becomes of one is of the same kind.
"""

from typing import Protocol

import numpy as np

from aethernet.upscale.windows import Windows
from aethernet.wording import how_many


class Source(Protocol):
    """A picture whose rows can be read, again and again."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""

    @property
    def dtype(self) -> np.dtype: ...

    def rows(self, first: int, last: int) -> np.ndarray:
        """(last - first, W, C)."""


class ArraySource:
    """A picture in memory, (H, W, C)."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.shape: tuple[int, int, int] = pixels.shape
        self.dtype = pixels.dtype

    def rows(self, first: int, last: int) -> np.ndarray:
        return self.pixels[first:last]


class Padded:
    """A picture with its last rows and columns repeated, up to the size that a model needs.

    Only for models of one size, of multiples, or of a least size; other pictures pass as they are.
    """

    def __init__(self, source: Source, windows: Windows) -> None:
        self.source, self.scale = source, windows.scale
        height, width, channels = source.shape
        least = windows.size or (windows.least, windows.least)
        padded = [
            max(-(-length // windows.multiple) * windows.multiple, low)
            for length, low in zip((height, width), least, strict=True)
        ]
        self.shape = (padded[0], padded[1], channels)

    def note(self, windows: Windows) -> str:
        """What is not exact: a model of one size pads with zeros where this picture goes on. "" where all is."""
        if windows.size is None or self.shape == self.source.shape:
            return ""
        rows, columns = windows.size
        return (
            f"smaller than the {columns}x{rows} that the file takes: up to {how_many(windows.halo.pixels, 'pixel')} from the right and the "
            "bottom edge the result is not exact; give a file of free sizes, or the weights"
        )

    def rows(self, first: int, last: int) -> np.ndarray:
        height, width, _ = self.source.shape
        rows = self.source.rows(min(first, height - 1), min(last, height))
        below, right = last - first - len(rows), self.shape[1] - width
        return np.pad(rows, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else rows

    def cropped(self, strip: np.ndarray, first: int) -> np.ndarray:
        """A strip that starts at input row `first`, without what was added."""
        height, width, _ = self.source.shape
        return strip[: max(0, (height - first) * self.scale), : width * self.scale]
