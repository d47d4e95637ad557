"""How one picture becomes pairs of HR and LR sub-images.

LR is made from the whole picture and then cut, so a sub-image knows what is beyond its borders. All edges are
multiples of the scales' least common multiple, so every cut through HR is a cut between pixels in each LR.
"""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aethernet.checks import is_whole
from aethernet.data.bicubic import bicubic_downsample, modcrop
from aethernet.errors import DataError, UsageError


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """How pictures are cut. `crop_size` None keeps them whole; all sizes are in HR pixels.

    Raises:
        UsageError: a value that no consistent pairs can be made with.
    """

    scales: tuple[int, ...] = (2, 3, 4)
    crop_size: int | None = 480
    step: int = 240
    min_size: int | None = None

    def __post_init__(self) -> None:
        if not self.scales or not all(is_whole(scale, 1) for scale in self.scales):
            raise UsageError(f"scales must be one or more whole numbers of at least 1, not {self.scales!r}")
        object.__setattr__(self, "scales", tuple(sorted(set(self.scales))))
        if self.min_size is None:
            object.__setattr__(self, "min_size", 4 * self.multiple)
        if self.crop_size is not None:
            for name, value in (("crop size", self.crop_size), ("step", self.step)):
                if value < 1 or value % self.multiple:
                    nearest = max(1, round(value / self.multiple)) * self.multiple
                    raise UsageError(
                        f"{name} {value} must be a multiple of {self.multiple}, the least common multiple of the "
                        f"scales {', '.join(map(str, self.scales))}: take {nearest}"
                    )

    @property
    def multiple(self) -> int:
        """What both sides of every sub-image are multiples of."""
        return math.lcm(*self.scales)

    def folders(self, out: Path) -> dict[int, Path]:
        """Scale -> the folder of its pictures below `out`; scale 0 stands for HR."""
        sub = "" if self.crop_size is None else "_sub"
        return {0: out / f"HR{sub}"} | {scale: out / f"LR_bicubic{sub}" / f"X{scale}" for scale in self.scales}

    def lmdbs(self, out: Path) -> dict[int, Path]:
        """As `folders`, for the LMDBs."""
        return {
            scale: out / ("_".join(folder.relative_to(out).parts) + ".lmdb")
            for scale, folder in self.folders(out).items()
        }


def cut_pairs(img: np.ndarray, parameters: Parameters) -> list[dict[int, np.ndarray]]:
    """Cuts (H, W, 3) uint8 into sub-images, each as scale -> picture, where scale 0 stands for HR.

    The last window of a row or column lies flush with the border, so it may overlap its neighbour more than the
    others do. A side shorter than the crop size is taken whole. Without a crop size, each LR comes from the picture cut to a
    multiple of its own scale, as papers measure; HR is cut so for a single scale, and left as it is for several, of which
    BasicSR's validation cuts off what an LR does not cover.

    Raises:
        DataError: a side is shorter than the minimum size.
    """
    height, width = img.shape[:2]
    needed = max(parameters.min_size or 0, parameters.multiple)
    if min(height, width) < needed:
        raise DataError(f"{width}x{height} is too small: both sides must reach the minimum size of {needed}")
    if parameters.crop_size is None:
        lrs = {scale: bicubic_downsample(modcrop(img, scale), scale) for scale in parameters.scales}
        return [{0: modcrop(img, parameters.multiple) if len(lrs) == 1 else img} | lrs]
    hr = modcrop(img, parameters.multiple)
    images = {0: hr} | {scale: bicubic_downsample(hr, scale) for scale in parameters.scales}
    pairs = []
    for rows, columns in itertools.product(*(_windows(side, parameters) for side in hr.shape[:2])):
        pair = {}
        for scale, image in images.items():
            (top, bottom), (left, right) = ((edge // (scale or 1) for edge in window) for window in (rows, columns))
            pair[scale] = image[top:bottom, left:right]
        pairs.append(pair)
    return pairs


def _windows(side: int, parameters: Parameters) -> list[tuple[int, int]]:
    """Start and end of the windows along one side; `side` and all edges are multiples of the scales' multiple."""
    assert parameters.crop_size is not None
    if side <= parameters.crop_size:
        return [(0, side)]
    last = side - parameters.crop_size
    return [(start, start + parameters.crop_size) for start in [*range(0, last, parameters.step), last]]
