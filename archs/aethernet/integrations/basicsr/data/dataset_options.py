"""The options of this package's own data sets, read and checked."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from aethernet.checks import one_of, whole_number
from aethernet.data.luma import exact_luma
from aethernet.errors import OptionError

PHASES = ("train", "val", "test")


def integer(opt: Mapping, name: str, *, owner: str, minimum: int, default: int | None = None) -> int:
    """A whole number of at least `minimum`; `owner` is the data set's class in messages.

    Raises:
        OptionError: it is missing and has no default, or it is something else.
    """
    value = opt.get(name, default)
    if value is None:
        raise OptionError(f"{owner} needs {name}, a whole number of at least {minimum}")
    return whole_number(f"{owner}: {name}", value, minimum, OptionError)


def patch_size(opt: Mapping, scale: int, *, owner: str, minimum: int) -> int:
    """`gt_size`, the side of the square GT patch in pixels: a multiple of the scale."""
    size = integer(opt, "gt_size", owner=owner, minimum=minimum)
    if size % scale:
        lower = size - size % scale
        raise OptionError(
            f"{owner}: gt_size {size} is not a multiple of scale {scale}: take {lower} or {lower + scale}"
        )
    return size


def phase(opt: Mapping) -> str:
    """`train`, `val` or `test`, which BasicSR enters."""
    one_of("phase", opt.get("phase"), PHASES, OptionError)
    return opt["phase"]


def is_grey(opt: Mapping, *, owner: str) -> bool:
    """Whether `color: y` asks for the Y channel alone, as in PairedImageDataset."""
    one_of(f"{owner}: color", opt.get("color"), (None, "y"), OptionError)
    return opt.get("color") == "y"


def to_tensor(planes: np.ndarray, grey: bool) -> Tensor:
    """(3, H, W) RGB uint8 -> float32 in [0, 1]: (3, H, W), or (1, H, W), its Y in [16, 235] / 255, not rounded."""
    if grey:
        y = exact_luma(planes.transpose(1, 2, 0)) / 255
        return torch.from_numpy(y[None].astype(np.float32))
    return torch.from_numpy(np.ascontiguousarray(planes)).float().div_(255)
