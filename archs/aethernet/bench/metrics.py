"""PSNR and SSIM on luma, by BasicSR's functions, so that a figure here is the figure that its training log shows."""

import importlib
from types import ModuleType

import numpy as np

from aethernet.errors import DataError, EnvironmentProblem
from aethernet.integrations.basicsr import compat

SSIM_WINDOW = 11
"""Side of the Gaussian window of SSIM: a smaller picture has no SSIM."""


def y_psnr_ssim(picture: np.ndarray, reference: np.ndarray, crop_border: int) -> tuple[float, float]:
    """PSNR in dB (infinite for equal pictures) and SSIM of the Y channel (BT.601, studio swing).

    Args:
        picture, reference: (H, W, 3) RGB uint8, which becomes unrounded Y as in BasicSR, or (H, W) uint8, which is
            taken for Y as it is.
        crop_border: pixels to leave out at each side, by custom the scale.

    Raises:
        DataError: shapes that differ, or pictures too small for SSIM inside the border.
        EnvironmentProblem: BasicSR is not installed.
    """
    if picture.shape != reference.shape:
        raise DataError(f"pictures of {picture.shape} and {reference.shape} cannot be compared: same shape is needed")
    least = SSIM_WINDOW + 2 * crop_border
    if min(picture.shape[:2]) < least:
        height, width = picture.shape[:2]
        raise DataError(
            f"a picture of {width}x{height} is too small: with a border of {crop_border} left out, SSIM needs "
            f"at least {least}x{least}"
        )
    functions = _basicsr("basicsr.metrics.psnr_ssim")
    is_rgb = picture.ndim == 3
    # BasicSR's conversion to Y expects OpenCV's order, blue first.
    pair = (picture[:, :, ::-1], reference[:, :, ::-1]) if is_rgb else (picture[:, :, None], reference[:, :, None])
    psnr = functions.calculate_psnr(*pair, crop_border=crop_border, test_y_channel=is_rgb)
    ssim = functions.calculate_ssim(*pair, crop_border=crop_border, test_y_channel=is_rgb)
    return float(psnr), float(ssim)


def luma(picture: np.ndarray) -> np.ndarray:
    """MATLAB's `rgb2ycbcr` of (H, W, 3) RGB uint8, Y only: (H, W) uint8 in [16, 235]. (H, W) is returned as it is."""
    if picture.ndim == 2:
        return picture
    return _basicsr("basicsr.utils.color_util").rgb2ycbcr(picture, y_only=True)


def _basicsr(module: str) -> ModuleType:
    compat.apply()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise EnvironmentProblem(
            f"PSNR and SSIM are computed by BasicSR, and {error.name} is missing: run `aethernet doctor`, "
            "which names the command that installs it"
        ) from error
