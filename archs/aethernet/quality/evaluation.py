"""The quality of one upscaler on pictures: low-resolution input made, enlarged, compared on luma."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from aethernet.data.bicubic import bicubic_downsample, bicubic_upscale, modcrop
from aethernet.data.luma import luma
from aethernet.errors import DataError, UnusableOutputError
from aethernet.progress import Progress
from aethernet.quality.metrics import y_psnr_ssim

Upscaler = Callable[[np.ndarray], np.ndarray]
"""(H, W, 3) RGB uint8 -> (scale H, scale W, 3) RGB uint8."""


@dataclass(frozen=True)
class PictureQuality:
    """PSNR in dB and SSIM of one picture's Y channel, a border of `scale` pixels left out."""

    name: str
    psnr: float
    ssim: float


def evaluate(
    upscale: Upscaler,
    hr_pictures: Mapping[str, np.ndarray],
    scale: int,
    progress: Progress | None = None,
    lr_pictures: Mapping[str, np.ndarray] | None = None,
) -> list[PictureQuality]:
    """Measures an upscaler as papers on learnt super-resolution do, on whole pictures, in RGB.

    Args:
        upscale: the upscaler, uint8 in and out.
        hr_pictures: (H, W, 3) RGB or (H, W) grey uint8 by name; cropped to multiples of `scale`. Grey becomes RGB
            with three equal channels and is compared on the Y of these, as BasicSR and most networks' papers do.
        scale: the upscaler's scale.
        lr_pictures: inputs by the same names; by default the HR pictures are shrunk (MATLAB-like bicubic, RGB,
            rounded to uint8).

    Raises:
        DataError: a picture that is too small, missing or no uint8, or an output of another size than expected.
        UnusableOutputError: an upscaler of `network_upscaler` gives NaN or infinity.
    """
    records = []
    for number, (name, hr) in enumerate(hr_pictures.items(), start=1):
        _require_uint8(name, "the picture", hr)
        reference = modcrop(as_rgb(hr), scale)
        lr = bicubic_downsample(reference, scale) if lr_pictures is None else as_rgb(lr_pictures[name])
        expected = (lr.shape[0] * scale, lr.shape[1] * scale)
        if expected != reference.shape[:2]:
            raise DataError(
                f"{name}: the input of {lr.shape[1]}x{lr.shape[0]} at scale {scale} does not belong to a reference of "
                f"{reference.shape[1]}x{reference.shape[0]}: were the inputs made for another scale?"
            )
        _require_uint8(name, "the input", lr)
        try:
            output = upscale(lr)
        except UnusableOutputError as error:
            raise UnusableOutputError(f"{name}: {error}") from error
        _require_uint8(name, "the upscaler's output", output)
        if output.shape != reference.shape:
            raise DataError(f"{name}: the upscaler made {output.shape} of {lr.shape}, at scale {scale} it should be "
                            f"{reference.shape}: give the upscaler's own scale")  # fmt: skip
        records.append(_compare(name, output, reference, scale))
        if progress is not None:
            progress(number, len(hr_pictures), name)
    return records


def evaluate_bicubic_luma(
    hr_pictures: Mapping[str, np.ndarray], scale: int, progress: Progress | None = None
) -> list[PictureQuality]:
    """Bicubic interpolation as its published figures were computed: Y first, then shrunk and enlarged as one channel.

    Y is rounded to uint8 at each step. Grey (H, W) pictures are taken for Y as they are, so their figures are lower
    than by `evaluate`, whose Y of a grey picture spans 219 of the 255 levels.
    """
    records = []
    for number, (name, hr) in enumerate(hr_pictures.items(), start=1):
        _require_uint8(name, "the picture", hr)
        reference = modcrop(luma(hr), scale)
        output = bicubic_upscale(bicubic_downsample(reference, scale), scale)
        records.append(_compare(name, output, reference, scale))
        if progress is not None:
            progress(number, len(hr_pictures), name)
    return records


def network_upscaler(network: nn.Module, device: str | torch.device = "cpu") -> Upscaler:
    """An `Upscaler` of a network (N, C, H, W) in [0, 1] RGB; whole pictures at once, on `device`, in eval mode.

    A network for grey pictures enlarges red, green and blue one by one. The network is moved and set to eval.
    """
    network = network.to(device).eval()
    in_channels = getattr(getattr(network, "config", None), "in_channels", 3)

    @torch.inference_mode()
    def upscale(picture: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(to_batch(picture, in_channels)).to(device)
        return from_batch(network(x).float().cpu().numpy())

    return upscale


def to_batch(picture: np.ndarray, in_channels: int) -> np.ndarray:
    """(H, W, 3) RGB uint8 -> float32 in [0, 1]: (1, 3, H, W), or (3, 1, H, W) for a network of one channel."""
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.float32) / 255
    return planes[None] if in_channels == 3 else planes[:, None]


def from_batch(batch: np.ndarray) -> np.ndarray:
    """The inverse of `to_batch`: clipped to [0, 1] and rounded to (H, W, 3) RGB uint8.

    Raises:
        UnusableOutputError: NaN or infinity, which rounding would make black.
    """
    planes = batch.reshape(3, *batch.shape[2:])
    if not (np.isfinite(planes.min()) and np.isfinite(planes.max())):
        raise UnusableOutputError(
            "the model gives values that are not finite numbers: its weights are damaged, or its numbers leave the range of "
            "its precision"
        )
    return np.round(np.clip(planes, 0.0, 1.0) * 255).astype(np.uint8).transpose(1, 2, 0)


def mean_quality(records: list[PictureQuality]) -> PictureQuality:
    """The mean of PSNR and of SSIM over pictures, each picture weighing the same."""
    return PictureQuality(
        "mean",
        math.fsum(record.psnr for record in records) / len(records),
        math.fsum(record.ssim for record in records) / len(records),
    )


def _compare(name: str, output: np.ndarray, reference: np.ndarray, scale: int) -> PictureQuality:
    try:
        return PictureQuality(name, *y_psnr_ssim(output, reference, crop_border=scale))
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _require_uint8(name: str, what: str, picture: np.ndarray) -> None:
    if picture.dtype != np.uint8:
        raise DataError(
            f"{name}: {what} is an array of {picture.dtype}: give uint8, of floats in [0, 1] (x * 255).round()"
        )


def as_rgb(picture: np.ndarray) -> np.ndarray:
    """A grey (H, W) picture as three equal channels; (H, W, 3) as it is."""
    return np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else picture
