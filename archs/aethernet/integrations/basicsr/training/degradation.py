"""Real-ESRGAN's degradation of second order by itself: what BasicSR's models do to a batch, without their networks.

Import this module after `aethernet.integrations.basicsr.compat.apply()`; it imports BasicSR.
"""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from basicsr.models import realesrgan_model, realesrnet_model
from basicsr.models.base_model import BaseModel
from basicsr.models.realesrgan_model import RealESRGANModel
from basicsr.models.realesrnet_model import RealESRNetModel
from basicsr.utils import DiffJPEG, USMSharp
from torch import Tensor
from torch.nn import functional

QUEUE_SIZE = 180
"""BasicSR's default of `queue_size`, the pairs of the pool."""


class Degradation(BaseModel):
    """Degrades what `RealESRGANDataset` gives by the code of BasicSR's model class: blur, resize, noise, JPEG, each twice.

    Source: Wang et al., Real-ESRGAN (ICCVW 2021). Python's, NumPy's and torch's generators decide.

    Args:
        opt: of the option file, with the settings of the degradation at the top level; beside BasicSR's `antialias`, default
            false: bilinear and bicubic reductions are smoothed, as MATLAB's and Pillow's are.
        device: where it computes.
        pooled: exchange pairs with a pool, so that a batch has pictures of several degradations: all pictures of one
            batch are resized alike. Until the pool is full, pairs come back as they were made.
    """

    def __init__(self, opt: Mapping, device: torch.device, *, pooled: bool = True) -> None:
        # BasicSR's constructor is left out: it would build the network.
        self.opt, self.device, self.is_train = opt, device, True
        self.jpeger = DiffJPEG(differentiable=False).to(device)
        self.usm_sharpener = USMSharp().to(device)
        self.queue_size = opt.get("queue_size", QUEUE_SIZE)
        self.pooled = pooled

    def __call__(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`gt` (N, 3, H, W), `kernel1`, `kernel2` and `sinc_kernel` (N, 21, 21) -> patches: gt and lq, RGB in [0, 1].

        The data set gives 400x400 pixels, which is no multiple of 3: what is left over is cut off.
        """
        scale, gt = self.opt["scale"], batch["gt"]
        height, width = (side - side % scale for side in gt.shape[-2:])
        with smoothed_reductions() if self.opt.get("antialias") else contextlib.nullcontext():
            self.feed_data({**batch, "gt": gt[..., :height, :width]})
        return self.gt, self.lq

    def _dequeue_and_enqueue(self) -> None:
        if self.pooled:
            super()._dequeue_and_enqueue()

    def pool(self) -> dict:
        """The pool as it can be saved, `queue_lr`, `queue_gt` and `queue_ptr`; empty before the first batch."""
        if not hasattr(self, "queue_lr"):
            return {}
        return {
            "queue_lr": compact(self.queue_lr),
            "queue_gt": compact(self.queue_gt),
            "queue_ptr": self.queue_ptr,
        }

    def set_pool(self, pool: Mapping, batch: int) -> bool:
        """Takes a pool that was saved; False if it does not fit these options, and the own one stays as it is.

        Args:
            batch: pairs of a batch, by which the pool is filled.
        """
        if not pool:
            return True
        gt_size = self.opt["gt_size"]
        sides = [pool[name].shape[-1] for name in ("queue_gt", "queue_lr")]
        fits = len(pool["queue_gt"]) == self.queue_size and sides == [gt_size, gt_size // self.opt["scale"]]
        if not fits or pool["queue_ptr"] % batch:
            return False
        self.queue_lr, self.queue_gt = (extended(pool[name]).to(self.device) for name in ("queue_lr", "queue_gt"))
        self.queue_ptr = pool["queue_ptr"]
        return True


class FidelityDegradation(Degradation, RealESRNetModel):
    """That of `RealESRNetModel`: with `gt_usm`, the true pictures are sharpened, too."""


class GANDegradation(Degradation, RealESRGANModel):
    """That of `RealESRGANModel`: inputs are made of sharpened pictures, the true ones stay as they are.

    `gt_usm` (N, 3, H, W) is the sharpened form of the last patches.
    """


def degradation(opt: Mapping, device: torch.device, *, is_gan: bool, pooled: bool = True) -> Degradation:
    """What the options ask for.

    Args:
        is_gan: as `RealESRGANModel` degrades, if `gt_usm: false` does not ask for inputs from pictures as they are.
        pooled: see `Degradation`.
    """
    kind = GANDegradation if is_gan and opt.get("gt_usm", True) else FidelityDegradation
    return kind({"gt_usm": True, **opt}, device, pooled=pooled)


@contextlib.contextmanager
def smoothed_reductions() -> Iterator[None]:
    """BasicSR's model classes resize without antialiasing, and offer no choice; inside this they resize with it."""
    modules = (realesrnet_model, realesrgan_model)
    originals = [module.F for module in modules]
    try:
        for module in modules:
            module.F = _Smoothing
        yield
    finally:
        for module, original in zip(modules, originals, strict=True):
            module.F = original


class _Smoothing:
    """Stands for `torch.nn.functional` in those modules, which take nothing but this from it."""

    @staticmethod
    def interpolate(x: Tensor, **arguments) -> Tensor:
        smooths = arguments.get("mode") in ("bilinear", "bicubic")  # area always does
        return functional.interpolate(x, **arguments, antialias=smooths)


def compact(pictures: Tensor) -> Tensor:
    """Float pictures in [0, 1], on the CPU, in uint8 if they have 8-bit values and nothing is lost by it."""
    pictures = pictures.cpu()
    bytes_ = (pictures * 255).round().to(torch.uint8)
    return bytes_ if torch.equal(extended(bytes_), pictures) else pictures


def extended(pictures: Tensor) -> Tensor:
    """The pictures that `compact` was given."""
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures
