"""PSNR and SSIM on luma, computed by scikit-image with the settings that the field uses: those of BasicSR and MATLAB."""

import math

import numpy as np
from skimage.metrics import mean_squared_error, structural_similarity

from aethernet.data.luma import exact_luma
from aethernet.errors import DataError

ROWS = 256
"""That are compared at once."""
SSIM_WINDOW = 11
"""Side of the Gaussian window of SSIM: a smaller picture has no SSIM."""
SSIM = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255.0}
"""Wang et al. 2004; scikit-image cuts the Gaussian off at 11 pixels, and leaves out the border that it does not reach."""


def y_psnr_ssim(picture: np.ndarray, reference: np.ndarray, crop_border: int) -> tuple[float, float]:
    """PSNR in dB (infinite for equal pictures) and SSIM of the Y channel (BT.601, studio swing).

    Args:
        picture, reference: (H, W, 3) RGB uint8, which becomes unrounded Y as in BasicSR, or (H, W) uint8, which is
            taken for Y as it is.
        crop_border: pixels to leave out at each side, by custom the scale.

    Raises:
        DataError: shapes that differ, no uint8, or pictures too small for SSIM inside the border.
    """
    _require_alike(picture, reference)
    least = SSIM_WINDOW + 2 * crop_border
    height, width = picture.shape[:2]
    if min(height, width) < least:
        raise DataError(
            f"a picture of {width}x{height} is too small: with a border of {crop_border} left out, SSIM needs "
            f"at least {least}x{least}"
        )
    inside = np.s_[crop_border : height - crop_border, crop_border : width - crop_border]
    y, y_reference = exact_luma(picture)[inside], exact_luma(reference)[inside]
    psnr = _decibel(float(mean_squared_error(y_reference, y)))
    return psnr, float(structural_similarity(y_reference, y, **SSIM))


def y_psnr(picture: np.ndarray, reference: np.ndarray, crop_border: int) -> float:
    """The PSNR of `y_psnr_ssim` alone, for pictures of any size: some rows at a time are held as floats.

    Raises:
        DataError: shapes that differ, no uint8, or nothing inside the border.
    """
    _require_alike(picture, reference)
    height, width = (side - 2 * crop_border for side in picture.shape[:2])
    if height < 1 or width < 1:
        raise DataError(
            f"a picture of {picture.shape[1]}x{picture.shape[0]} has nothing inside a border of {crop_border}"
        )
    total = 0.0
    for top in range(crop_border, crop_border + height, ROWS):
        rows = np.s_[top : min(top + ROWS, crop_border + height), crop_border : crop_border + width]
        total += float(np.square(exact_luma(reference[rows]) - exact_luma(picture[rows])).sum())
    return _decibel(total / (height * width))


def _require_alike(picture: np.ndarray, reference: np.ndarray) -> None:
    if picture.shape != reference.shape:
        raise DataError(f"pictures of {picture.shape} and {reference.shape} cannot be compared: same shape is needed")
    for each in (picture, reference):
        if each.dtype != np.uint8:
            raise DataError(
                f"an array of {each.dtype} cannot be compared: give uint8, of floats in [0, 1] (x * 255).round()"
            )


def _decibel(error: float) -> float:
    """PSNR of a mean squared error in levels."""
    return float("inf") if error == 0 else 10.0 * math.log10(255.0**2 / error)
