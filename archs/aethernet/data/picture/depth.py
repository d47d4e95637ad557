"""Samples of one depth from those of another, to the nearest level."""

import numpy as np

ROWS = 256
"""That are converted at once, so that only they are held in wider types."""


def as_depth(samples: np.ndarray, depth: int) -> np.ndarray:
    """(H, W[, C]) uint8, uint16 (0 to 65535) or float in [0, 1] as uint8 or uint16, by a depth of 8 or 16.

    Floats beyond are clipped. Of the right type already, the array itself.
    """
    kind = {8: np.uint8, 16: np.uint16}[depth]
    if samples.dtype == kind:
        return samples
    converted = np.empty(samples.shape, kind)
    for top in range(0, len(samples), ROWS):
        converted[top : top + ROWS] = _convert(samples[top : top + ROWS], 2**depth - 1)
    return converted


def _convert(samples: np.ndarray, most: int) -> np.ndarray:
    if samples.dtype == np.uint8:
        return samples.astype(np.uint16) * 257
    if samples.dtype == np.uint16:
        return (samples.astype(np.uint32) * 255 + 32895) >> 16  # by 257, to the nearest
    return samples.clip(0, 1) * np.float32(most) + np.float32(0.5)
