"""A picture that comes in strips of rows, from top to bottom, so that it need not be in memory as a whole."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from aethernet.data.picture.picture import NOTHING, Metadata, Picture


@dataclass(frozen=True, eq=False)
class Strips:
    """A picture whose rows come once.

    `rows` yields (h, W, `channels`): 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha), of `dtype`, which is as in
    `Picture`; `height` and `width` are those of the whole. The rest is as in `Picture`.
    """

    rows: Iterable[np.ndarray]
    height: int
    width: int
    channels: int
    dtype: np.dtype
    is_transparent: bool = False
    depth: int = 8
    format: str = "PNG"
    metadata: Metadata = NOTHING
    notices: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def has_alpha(self) -> bool:
        return self.channels in (2, 4)

    def whole(self) -> Picture:
        """All rows together."""
        pixels, top = np.empty((self.height, self.width, self.channels), self.dtype), 0
        for strip in self.rows:
            pixels[top : top + len(strip)] = strip
            top += len(strip)
        colors = self.channels - self.has_alpha
        return Picture(
            color=np.ascontiguousarray(pixels[:, :, :colors]),
            alpha=np.ascontiguousarray(pixels[:, :, colors]) if self.has_alpha else None,
            depth=self.depth,
            format=self.format,
            metadata=self.metadata,
            notices=self.notices,
        )


def regrouped(strips: Iterable[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """The same rows in strips of `rows`, the last one of what is left."""
    held: list[np.ndarray] = []
    count = 0
    for strip in strips:
        while len(strip):
            held.append(strip[: rows - count])
            count += len(held[-1])
            strip = strip[len(held[-1]) :]
            if count == rows:
                yield held[0] if len(held) == 1 else np.concatenate(held)
                held, count = [], 0
    if held:
        yield np.concatenate(held)
