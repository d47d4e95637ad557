"""Y of a colour picture: what papers on super-resolution measure, and what a grey network is trained on."""

import numpy as np

Y_FROM_RGB = np.array([65.481, 128.553, 24.966]) / 255.0
"""BT.601, studio swing: MATLAB's `rgb2ycbcr`, less the 16 of black."""


def luma(picture: np.ndarray) -> np.ndarray:
    """MATLAB's `rgb2ycbcr` of (H, W, 3) RGB uint8, Y only: (H, W) uint8 in [16, 235]. (H, W) is returned as it is."""
    return picture if picture.ndim == 2 else np.rint(exact_luma(picture)).astype(np.uint8)


def exact_luma(picture: np.ndarray) -> np.ndarray:
    """The same as float64, not rounded."""
    return picture.astype(np.float64) if picture.ndim == 2 else picture @ Y_FROM_RGB + 16.0
