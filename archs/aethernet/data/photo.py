"""What happens to a photograph before somebody enlarges it: slight blur, sensor noise, JPEG.

The order is that of a camera and the web: the scene is blurred, sampled (here: reduced by bicubic interpolation), gets
noise, and is compressed.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from aethernet.data.bicubic import bicubic_downsample, modcrop
from aethernet.errors import DataError

CLEAN_SHARE = 0.15
"""Of the pictures of training, which are reduced only: a network that never sees them loses what it knew of them."""
BLUR, BLUR_SHARE = 0.5, 0.5
"""The largest sigma in low-resolution pixels, and the share of pictures that are blurred at all; as for the next two."""
NOISE, NOISE_SHARE = 6.0, 0.8
QUALITY, QUALITY_SHARE = (40, 95), 0.9


@dataclass(frozen=True)
class PhotoDegradation:
    """What one picture suffers.

    Attributes:
        blur: sigma of the Gaussian before the reduction, in low-resolution pixels; 0 for none.
        noise: sigma of Gaussian noise after it, in levels of 255; 0 for none.
        quality: of the JPEG, 1 to 100, colour at half resolution as cameras write it; None for none.
    """

    blur: float = 0.0
    noise: float = 0.0
    quality: int | None = None

    def __call__(self, img: np.ndarray, scale: int, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (H // scale, W // scale, 3) uint8 RGB.

        Raises:
            DataError: another shape or type, or a picture smaller than the scale.
        """
        if img.ndim != 3 or img.shape[2] != 3 or img.dtype != np.uint8:
            raise DataError(f"an array {img.shape} of {img.dtype}: give (H, W, 3), uint8, RGB")
        low = modcrop(img, scale).astype(np.float32)
        if self.blur:
            sigma = self.blur * scale
            low = ndimage.gaussian_filter(low, (sigma, sigma, 0), mode="reflect", truncate=3.0)
        low = bicubic_downsample(low, scale)
        if self.noise:
            low = low + rng.normal(0, self.noise, low.shape).astype(np.float32)
        levels = np.clip(np.rint(low), 0, 255).astype(np.uint8)
        return levels if self.quality is None else jpeg(levels, self.quality)


def random_degradation(rng: np.random.Generator) -> PhotoDegradation:
    """As training draws them: the preset `photo`."""
    if rng.random() < CLEAN_SHARE:
        return PhotoDegradation()
    return PhotoDegradation(
        blur=float(rng.uniform(0, BLUR)) if rng.random() < BLUR_SHARE else 0.0,
        noise=float(rng.uniform(0, NOISE)) if rng.random() < NOISE_SHARE else 0.0,
        quality=int(rng.integers(QUALITY[0], QUALITY[1] + 1)) if rng.random() < QUALITY_SHARE else None,
    )


def jpeg(img: np.ndarray, quality: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB, written as JPEG and read again."""
    with io.BytesIO() as file:
        Image.fromarray(img).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        with Image.open(file) as picture:
            return np.array(picture)
