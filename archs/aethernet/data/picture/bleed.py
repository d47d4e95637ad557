"""Colour under transparent pixels: `bleed` and `Bled` spread the visible one there, so that enlarging mixes nothing else into edges."""

from typing import Protocol

import numpy as np

ROWS = 512
"""Of full size that are worked on at once, so that only they are held as floats."""
COARSE = 8
"""The part of the size that `Bled` holds; `ROWS` is a multiple."""


class Rows(Protocol):
    """A picture whose rows can be read, again and again."""

    shape: tuple[int, int, int]
    dtype: np.dtype

    def rows(self, first: int, last: int) -> np.ndarray: ...


def bleed(color: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """The colour with that of the visible pixels spread under those of alpha 0.

    What files hold there is arbitrary, often black or white, and shows as a halo once pixels are mixed. Each empty pixel
    gets the mean, weighted by alpha, of the smallest square of a pyramid around it in which anything shows, so that it
    reaches any distance. Visible pixels keep their colour.

    Args:
        color: (H, W, C) uint8, uint16 or float32.
        alpha: (H, W) of any of these types; only what is 0 counts as transparent. None: opaque.

    Returns:
        (H, W, C) of the same type; `color` itself where all is visible, or nothing.
    """
    if alpha is None or alpha.all() or not alpha.any():
        return color
    filled = color.copy()
    mean, weight = _halved(color, alpha)
    coarse = _fill(mean, weight)
    for top in range(0, len(color), ROWS):
        rows = slice(top, top + ROWS)
        _put(filled[rows], alpha[rows], coarse[top // 2 : (top + ROWS + 1) // 2])
    return filled


class Bled:
    """A picture with alpha whose rows come with the colours that `bleed` gives.

    Only a pyramid from an eighth of the size upwards is held, a fortieth of the picture's floats; what lies below is
    computed anew for the rows that are asked for.

    Args:
        picture: gives rows (h, W, C) with alpha last, again and again; `shape` and `dtype` are the whole's.
    """

    def __init__(self, picture: Rows) -> None:
        self.picture, self.shape, self.dtype = picture, picture.shape, picture.dtype
        height, width, channels = picture.shape
        coarse_shape = -(-height // COARSE), -(-width // COARSE)
        mean, weight = np.empty((*coarse_shape, channels - 1), np.float32), np.empty(coarse_shape, np.float32)
        for top in range(0, height, ROWS):
            levels = self._levels(picture.rows(top, min(top + ROWS, height)))
            place = slice(top // COARSE, top // COARSE + len(levels[-1][1]))
            mean[place], weight[place] = levels[-1]
        self._coarse = _fill(mean, weight) if weight.any() else None

    def rows(self, first: int, last: int) -> np.ndarray:
        """(last - first, W, C)."""
        if self._coarse is None:  # nothing is visible
            return self.picture.rows(first, last)
        start, stop = first // COARSE * COARSE, min(-(-last // COARSE) * COARSE, self.shape[0])
        samples = self.picture.rows(start, stop)
        if samples[:, :, -1].all():
            return samples[first - start : last - start]
        spread = self._coarse[start // COARSE : -(-stop // COARSE)]
        for mean, weight in reversed(self._levels(samples)[:-1]):
            spread = np.where(weight[:, :, None] > 0, mean, _doubled(spread)[: mean.shape[0], : mean.shape[1]])
        samples = samples.copy()
        _put(samples[:, :, :-1], samples[:, :, -1], spread)
        return samples[first - start : last - start]

    @staticmethod
    def _levels(samples: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Means and weights of a half, a quarter and an eighth of the size."""
        levels = [_halved(samples[:, :, :-1], samples[:, :, -1])]
        while 2 ** len(levels) < COARSE:
            levels.append(_halved(*levels[-1]))
        return levels


def _put(color: np.ndarray, alpha: np.ndarray, spread: np.ndarray) -> None:
    """Colours of half the size into the empty pixels of (h, W, C)."""
    empty = alpha == 0
    if not empty.any():
        return
    full = _doubled(spread)[: empty.shape[0], : empty.shape[1]]
    if color.dtype.kind == "u":
        full = full.round()
    color[empty] = full[empty].astype(color.dtype)


def _fill(mean: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(h, w, C) float32 means and (h, w) weights to means without a gap."""
    if weight.all():
        return mean
    coarse = _fill(*_halved(mean, weight))
    spread = _doubled(coarse)[: mean.shape[0], : mean.shape[1]]
    return np.where(weight[:, :, None] > 0, mean, spread)


def _halved(color: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of 2 x 2 pixels and the sums of their weights, half as many of them each way, rounded up; float32."""
    height, width, channels = color.shape
    mean = np.empty(((height + 1) // 2, (width + 1) // 2, channels), np.float32)
    total = np.empty(mean.shape[:2], np.float32)
    for top in range(0, height, ROWS):
        part = _even(weight[top : top + ROWS].astype(np.float32))
        place = slice(top // 2, top // 2 + part.shape[0] // 2)
        total[place] = _sums(part)
        divisor = np.maximum(total[place], np.finfo(np.float32).tiny)
        for channel in range(channels):
            values = _even(color[top : top + ROWS, :, channel].astype(np.float32))
            mean[place, :, channel] = _sums(values * part) / divisor
    return mean, total


def _even(plane: np.ndarray) -> np.ndarray:
    """(h, w) with a row and a column of 0 where a side is odd."""
    height, width = plane.shape
    return np.pad(plane, ((0, height % 2), (0, width % 2))) if height % 2 or width % 2 else plane


def _sums(plane: np.ndarray) -> np.ndarray:
    pairs = plane[0::2] + plane[1::2]
    return pairs[:, 0::2] + pairs[:, 1::2]


def _doubled(img: np.ndarray) -> np.ndarray:
    return img.repeat(2, axis=0).repeat(2, axis=1)
