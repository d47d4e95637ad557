"""Colour under transparent pixels: `bleed` spreads the visible one there, so that enlarging mixes nothing else into edges."""

import numpy as np

ROWS = 512
"""Of full size that are worked on at once, so that only they are held as floats."""


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
        empty = alpha[rows] == 0
        if not empty.any():
            continue
        spread = _doubled(coarse[top // 2 : (top + ROWS + 1) // 2])[: empty.shape[0], : empty.shape[1]]
        if color.dtype.kind == "u":
            spread = spread.round()
        filled[rows][empty] = spread[empty].astype(color.dtype)
    return filled


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
