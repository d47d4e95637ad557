"""The turn that EXIF asks for."""

import numpy as np

TAG = 0x0112
"""1 is upright; from 5 on width and height are exchanged."""


def upright(img: np.ndarray, orientation: object) -> np.ndarray:
    """(H, W[, C]) turned and mirrored as EXIF says, 1 to 8; a view. Anything else leaves it as it is."""
    if orientation in (5, 6, 7, 8):
        img = img.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        img = img[::-1]
    if orientation in (2, 3, 6, 7):
        img = img[:, ::-1]
    return img
