"""The accuracy gate: files that come from one network, each against it on real pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aethernet.checkpoint import pretrained
from aethernet.conditions import Conditions, measurement_conditions
from aethernet.data.pictures import middle
from aethernet.errors import UsageError
from aethernet.export.saturation import on_every_x86
from aethernet.progress import Progress
from aethernet.quality.sets import PictureFolders
from aethernet.runtimes.models import Model, resolve_model
from aethernet.runtimes.open import open_model
from aethernet.threads import fixed_threads
from aethernet.verify.agreement import hold_against


@dataclass(frozen=True)
class Verified:
    """One file against the network that it comes from: the figures of `Agreement`, and what the file is.

    `integers` of `convolutions` run in integers; None for a file that PyTorch runs in float anyway, or that is for TensorRT.
    `x86` says whether other CPUs compute the same, for int8 ONNX files; empty for others.
    """

    label: str
    psnr: float
    ssim: float
    drop: float
    agreement: float
    max_error: float
    worst: str
    worst_drop: float
    integers: int | None
    convolutions: int | None
    file_bytes: int
    x86: str
    passed: bool


@dataclass(frozen=True)
class VerificationReport:
    """All files, and the network they were held against, whose own figures come first."""

    reference: str
    psnr: float
    ssim: float
    pictures: int
    max_drop: float
    rows: list[Verified]
    conditions: Conditions

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)


def verify_files(
    files: Sequence[str],
    against: str,
    folders: Sequence[str | Path],
    *,
    max_drop: float = 0.1,
    threads: int | None = None,
    progress: Progress | None = None,
) -> VerificationReport:
    """Runs every file and the network on pictures that are reduced by MATLAB-like bicubic, whole.

    Where a file takes one size only, everything runs on the middles of the pictures, which are mirrored at their borders if
    they are smaller.

    Args:
        files: weights of any stage, or ONNX files, which run in ONNX Runtime on the CPU.
        against: the weights that they were made from, or packaged ones.
        folders: of high-resolution pictures.
        max_drop: the PSNR in dB that a file may lose on the mean of all pictures.

    Raises:
        UsageError: networks of another scale or number of channels, random weights, or files of different fixed sizes.
        DataError: unusable pictures.
    """
    if not max_drop >= 0:
        raise UsageError(f"max-drop must be 0 dB or more, not {max_drop}")
    reference, models = resolve_model(against), [resolve_model(file) for file in files]
    for model in (reference, *models):
        if not model.trained:
            raise UsageError(f"{model.label} has random weights, so nothing can be held against them: give a file")
        if (model.scale, model.in_channels) != (reference.scale, reference.in_channels):
            raise UsageError(
                f"{model.label} is x{model.scale} with {model.in_channels} channels, {reference.label} is "
                f"x{reference.scale} with {reference.in_channels}: they do not come from one another"
            )
    size = _common_size(models)
    pictures = PictureFolders(folders) if size is None else Middles(folders, *(side * reference.scale for side in size))
    sessions = [open_model(model, threads=threads) for model in (reference, *models)]
    with fixed_threads(threads):
        found = hold_against(
            sessions[0].run,
            [session.run for session in sessions[1:]],
            pictures,
            scale=reference.scale,
            in_channels=reference.in_channels,
            progress=progress,
        )
        used = torch.get_num_threads()
    rows = []
    for model, session, agreement in zip(models, sessions[1:], found.runs, strict=True):
        integers, convolutions = (not model.for_tensorrt and session.integer_convolutions()) or (None, None)
        rows.append(
            Verified(
                label=model.label,
                psnr=agreement.psnr,
                ssim=agreement.ssim,
                drop=agreement.drop,
                agreement=agreement.agreement,
                max_error=agreement.max_error,
                worst=agreement.worst,
                worst_drop=agreement.worst_drop,
                integers=integers,
                convolutions=convolutions,
                file_bytes=_bytes(model.spec),
                x86=on_every_x86(model.onnx) if model.onnx is not None else "",
                passed=bool(agreement.drop <= max_drop),  # False for a PSNR that is not a number
            )
        )
    looked_at = "whole pictures" if size is None else f"the {size[0]}x{size[1]} middles of the pictures"
    conditions = measurement_conditions(threads=used, precision="fp32 reference", size=looked_at, device="cpu")
    return VerificationReport(reference.label, found.psnr, found.ssim, len(found.pictures), max_drop, rows, conditions)


class Middles(PictureFolders):
    """The middles of the pictures, (height, width) of them."""

    def __init__(self, folders: Sequence[str | Path], height: int, width: int) -> None:
        super().__init__(folders)
        self.size = (height, width)

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((title, mirrored_middle(picture, *self.size)) for title, picture in super().__iter__())


def mirrored_middle(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The (height, width) middle of a picture (H, W[, C]), which is mirrored at its borders where it is smaller."""
    missing = [max(0, side - own) for side, own in zip((height, width), picture.shape[:2], strict=True)]
    borders = [(count // 2, count - count // 2) for count in missing] + [(0, 0)] * (picture.ndim - 2)
    return middle(np.pad(picture, borders, mode="symmetric"), height, width)


def _bytes(spec: str) -> int:
    file = pretrained.path(spec) if spec in pretrained.available() else Path(spec)
    return file.stat().st_size if file.is_file() else 0


def _common_size(models: Sequence[Model]) -> tuple[int, int] | None:
    sizes = sorted({model.size for model in models if model.size})
    if len(sizes) > 1:
        listed = " and ".join(f"{height}x{width}" for height, width in sizes)
        raise UsageError(f"these files take one size each, {listed}: verify them one after the other")
    return sizes[0] if sizes else None
