"""Bicubic resizing as MATLAB's `imresize` does it, which is what super-resolution papers mean by "bicubic".

Shrinking stretches the cubic kernel by the scale (antialiasing), the borders are mirrored, and pixel centres stay
aligned: with scale s, output pixel i stands over input position s * (i + 0.5) - 0.5. OpenCV's and PyTorch's
bicubic differ from this, and a network trained on theirs loses quality on published test sets.

Source: R. G. Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.5.
"""

import functools
import math
from fractions import Fraction

import numpy as np

from aethernet.checks import whole_number
from aethernet.errors import DataError, UsageError

KERNEL_WIDTH = 4  # support of the cubic kernel in input pixels, before it is stretched


def bicubic_downsample(img: np.ndarray, scale: int) -> np.ndarray:
    """Shrinks a picture by an integer factor with antialiasing; `scale` 1 returns a copy.

    Args:
        img: (H, W) or (H, W, C), uint8 in [0, 255] or floating point in any range. Channels are treated alike, so
            the colour order does not matter.
        scale: integer >= 1.

    Returns:
        (ceil(H / scale), ceil(W / scale)[, C]) of the input's type; apply `modcrop` first for an exact ratio. uint8
        is rounded to the nearest level, halves upwards, and clipped; float32 is left unrounded and may overshoot.

    Raises:
        DataError: another shape or type. UsageError: another scale.
    """
    return _resize(img, Fraction(1, _checked_scale(scale)))


def bicubic_upscale(img: np.ndarray, scale: int) -> np.ndarray:
    """Enlarges a picture by an integer factor: the baseline that every network is compared with.

    Takes and raises what `bicubic_downsample` does and returns (H * scale, W * scale[, C]).
    """
    return _resize(img, Fraction(_checked_scale(scale)))


def modcrop(img: np.ndarray, scale: int) -> np.ndarray:
    """Cuts (H, W[, C]) at the bottom and right, so that both sides are multiples of `scale`. Returns a view.

    Raises:
        DataError: the picture is smaller than `scale`, so nothing would be left.
    """
    height, width = (side - side % _checked_scale(scale) for side in img.shape[:2])
    if not height or not width:
        raise DataError(f"a picture of {img.shape[1]}x{img.shape[0]} has no multiple of {scale} in both sides")
    return img[:height, :width]


def _checked_scale(scale: int) -> int:
    return whole_number("scale", int(scale) if isinstance(scale, np.integer) else scale, 1, UsageError)


def _resize(img: np.ndarray, ratio: Fraction) -> np.ndarray:
    is_float = np.issubdtype(img.dtype, np.floating)
    if img.ndim not in (2, 3) or not img.size or not (img.dtype == np.uint8 or is_float):
        raise DataError(
            f"a picture must be a non-empty (H, W) or (H, W, C) array of uint8 or floats, "
            f"not {img.dtype} of shape {img.shape}"
        )
    if ratio == 1:
        return img.copy()
    out = img.reshape(*img.shape[:2], -1).astype(np.float64 if img.dtype == np.float64 else np.float32)
    for _ in range(2):  # the rows; then, with the axes swapped, the columns
        out = np.ascontiguousarray(_resize_rows(out, ratio).swapaxes(0, 1))
    out = out.reshape(*out.shape[:2], *img.shape[2:])
    if is_float:
        return out.astype(img.dtype, copy=False)
    return np.clip(np.floor(out + 0.5), 0, 255).astype(np.uint8)


def _resize_rows(img: np.ndarray, ratio: Fraction) -> np.ndarray:
    """Resizes the first axis of a floating point array (L, M, C) -> (ceil(L * ratio), M, C)."""
    indices, weights = _taps(img.shape[0], ratio)
    weights = weights.astype(img.dtype)[:, :, None, None]
    out = weights[0] * img[indices[0]]
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        out += weight * img[index]
    return out


@functools.lru_cache(maxsize=64)
def _taps(length: int, ratio: Fraction) -> tuple[np.ndarray, np.ndarray]:
    """For every tap and output position: which input position it reads and its weight, both (taps, out_length)."""
    out_length = math.ceil(length * ratio)
    stretch = max(1.0, float(1 / ratio))  # antialiasing: the kernel grows as the picture shrinks
    centre = (np.arange(out_length) + 0.5) / float(ratio) - 0.5
    first = np.floor(centre - KERNEL_WIDTH * stretch / 2).astype(np.int64)
    indices = first + np.arange(math.ceil(KERNEL_WIDTH * stretch) + 2)[:, None]
    weights = _cubic((centre - indices) / stretch)
    weights /= weights.sum(axis=0)
    used = np.abs(weights).max(axis=1) > 0
    mirrored = indices[used] % (2 * length)  # symmetric borders, also for pictures smaller than the kernel
    return np.where(mirrored < length, mirrored, 2 * length - 1 - mirrored), weights[used]


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
