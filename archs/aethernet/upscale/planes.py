"""The samples of a window as what a network takes, and what it gives as samples."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from aethernet.errors import UnusableOutputError

ROWS_AT_ONCE = 32
"""They stay in the cache between the steps of rounding, which halves its time."""


def to_planes(window: np.ndarray, in_channels: int) -> np.ndarray:
    """(H, W, C) of any kind -> (N, in_channels, H, W) float32 in [0, 1], contiguous.

    A network of three channels gets colours as one picture and grey or alpha as another of three equal channels; a network
    of one channel gets every channel as a picture.
    """
    planes = np.ascontiguousarray(window.transpose(2, 0, 1), dtype=np.float32)
    if window.dtype != np.float32:
        planes /= np.float32(np.iinfo(window.dtype).max)
    if in_channels == 1:
        return planes[:, None]
    if window.shape[2] == 3:
        return planes[None]
    single = [np.broadcast_to(plane, (3, *plane.shape)) for plane in (planes if len(planes) < 3 else planes[3:])]
    return np.stack([planes[:3], *single] if len(planes) > 3 else single)


@dataclass(frozen=True)
class Rounding:
    """From what a network made of `to_planes` to levels, in several threads."""

    in_channels: int
    pool: ThreadPoolExecutor
    threads: int
    clips: bool = True

    def __call__(self, out: np.ndarray, target: np.ndarray) -> float:
        """(N, channels, H, W) float32, clipped to [0, 1] and rounded half to even, into `target` (H, W, C).

        Without `clips`, into float32 as they are.

        Returns:
            The largest value in `out`.

        Raises:
            UnusableOutputError: values that are not finite numbers.
        """
        planes = self.planes(out, target.shape[2])
        rows = max(ROWS_AT_ONCE, -(-len(target) // self.threads))
        parts = [slice(top, top + rows) for top in range(0, len(target), rows)]
        return max(
            self.pool.map(lambda part: _round([plane[part] for plane in planes], target[part], self.clips), parts)
        )

    def planes(self, out: np.ndarray, channels: int) -> list[np.ndarray]:
        """One (H, W) for each channel of the picture."""
        if self.in_channels == 1:
            return list(out[:, 0])
        pictures = list(out)
        planes = list(pictures.pop(0)) if channels >= 3 else []
        return planes + [picture.mean(axis=0) for picture in pictures]


def _round(planes: list[np.ndarray], target: np.ndarray, clips: bool = True) -> float:
    """See `Rounding`. The extremes are taken where the numbers are at hand: a NaN is both, an infinity is one."""
    whole = np.float32(1 if target.dtype == np.float32 else np.iinfo(target.dtype).max)
    largest = 0.0
    for top in range(0, len(target), ROWS_AT_ONCE):
        part = target[top : top + ROWS_AT_ONCE]
        for channel, plane in enumerate(planes):
            levels = plane[top : top + ROWS_AT_ONCE] * whole
            low, high = levels.min(), levels.max()
            if not (np.isfinite(low) and np.isfinite(high)):
                raise UnusableOutputError("the model gives values that are not finite numbers")
            largest = max(largest, float(high / whole))
            if target.dtype != np.float32:
                np.rint(levels, out=levels)
            if clips and (low < 0 or high > whole):
                np.clip(levels, 0, whole, out=levels)
            part[:, :, channel] = levels.astype(target.dtype, copy=False)
    return largest
