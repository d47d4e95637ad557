"""PSNR and SSIM on luma, computed by scikit-image with the settings that the field uses: those of BasicSR and MATLAB."""

import numpy as np
from skimage.metrics import mean_squared_error, structural_similarity

from aethernet.errors import DataError

SSIM_WINDOW = 11
"""Side of the Gaussian window of SSIM: a smaller picture has no SSIM."""
SSIM = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255.0}
"""Wang et al. 2004; scikit-image cuts the Gaussian off at 11 pixels, and leaves out the border that it does not reach."""
Y_FROM_RGB = np.array([65.481, 128.553, 24.966]) / 255.0
"""BT.601, studio swing: MATLAB's `rgb2ycbcr`, less the 16 of black."""


def y_psnr_ssim(picture: np.ndarray, reference: np.ndarray, crop_border: int) -> tuple[float, float]:
    """PSNR in dB (infinite for equal pictures) and SSIM of the Y channel (BT.601, studio swing).

    Args:
        picture, reference: (H, W, 3) RGB uint8, which becomes unrounded Y as in BasicSR, or (H, W) uint8, which is
            taken for Y as it is.
        crop_border: pixels to leave out at each side, by custom the scale.

    Raises:
        DataError: shapes that differ, or pictures too small for SSIM inside the border.
    """
    if picture.shape != reference.shape:
        raise DataError(f"pictures of {picture.shape} and {reference.shape} cannot be compared: same shape is needed")
    least = SSIM_WINDOW + 2 * crop_border
    height, width = picture.shape[:2]
    if min(height, width) < least:
        raise DataError(
            f"a picture of {width}x{height} is too small: with a border of {crop_border} left out, SSIM needs "
            f"at least {least}x{least}"
        )
    inside = np.s_[crop_border : height - crop_border, crop_border : width - crop_border]
    y, y_reference = _exact_luma(picture)[inside], _exact_luma(reference)[inside]
    error = mean_squared_error(y_reference, y)
    psnr = float("inf") if error == 0 else 10.0 * np.log10(255.0**2 / error)
    return float(psnr), float(structural_similarity(y_reference, y, **SSIM))


def luma(picture: np.ndarray) -> np.ndarray:
    """MATLAB's `rgb2ycbcr` of (H, W, 3) RGB uint8, Y only: (H, W) uint8 in [16, 235]. (H, W) is returned as it is."""
    return picture if picture.ndim == 2 else np.rint(_exact_luma(picture)).astype(np.uint8)


def _exact_luma(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.float64) if picture.ndim == 2 else picture @ Y_FROM_RGB + 16.0
