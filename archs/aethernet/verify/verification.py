"""The gate alone: files of any kind against the network that they are said to come from."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aethernet.checkpoint import pretrained
from aethernet.conditions import Conditions, measurement_conditions
from aethernet.data.damaged import MOST_DAMAGED, DamagedPicture
from aethernet.data.pictures import middle
from aethernet.errors import UsageError
from aethernet.export.ncnn import files_of
from aethernet.export.saturation import on_every_x86
from aethernet.progress import Progress, Titled, silent
from aethernet.quality.sets import PictureFolders
from aethernet.runtimes.models import Model, resolve_model
from aethernet.runtimes.open import open_model
from aethernet.verify.budget import MAX_DROP, drop_budget
from aethernet.verify.gate import AS_WRITTEN, NCNN, ONNXRUNTIME, PYTORCH, Check, Entry, Gated, hold_files
from aethernet.wording import how_many


@dataclass(frozen=True)
class Verified:
    """One file: its check, its size, and whether other CPUs compute the same (int8 ONNX files; empty for others)."""

    label: str
    check: Check
    file_bytes: int
    x86: str


@dataclass(frozen=True)
class VerificationReport:
    """All files, and the network they were compared with, whose own figures come first.

    `damaged` pictures are no part of any figure.
    """

    reference: str
    psnr: float
    ssim: float
    pictures: int
    max_drop: float
    rows: list[Verified]
    conditions: Conditions
    damaged: list[DamagedPicture] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(row.check.passed for row in self.rows)


def verify_files(
    files: Sequence[str],
    against: str,
    folders: Sequence[str | Path],
    *,
    max_drop: float = MAX_DROP,
    threads: int | None = None,
    max_damaged: int = MOST_DAMAGED,
    progress: Titled = silent,
) -> VerificationReport:
    """Runs every file and the network on pictures that are reduced by MATLAB-like bicubic, whole.

    Where a file takes one size only, everything runs on the middles of the pictures, which are mirrored at their borders if
    they are smaller.

    Args:
        files: weights of any stage, ONNX files, which run in ONNX Runtime on the CPU, or ncnn files, which run in ncnn.
        against: the weights that they were made from, or packaged ones.
        folders: of high-resolution pictures.
        max_drop: the PSNR in dB that a file may lose on the mean of all pictures.
        max_damaged: pictures that may be left out because they cannot be read.
        progress: makes a callback for each step, from its title.

    Raises:
        UsageError: networks of another scale or number of channels, random weights, or files of different fixed sizes.
        DataError: unusable pictures.
    """
    budget = drop_budget(max_drop)
    reference, *models = [resolve_model(spec) for spec in (against, *files)]
    for model in (reference, *models):
        if not model.trained:
            raise UsageError(f"{model.label} has random weights, so nothing can be compared with them: give a file")
        if (model.scale, model.in_channels) != (reference.scale, reference.in_channels):
            raise UsageError(
                f"{model.label} is x{model.scale} with {how_many(model.in_channels, 'channel')}, {reference.label} is "
                f"x{reference.scale} with {reference.in_channels}: they do not come from one another"
            )
    size = _common_size(models)
    label, *labels = _told_apart([reference, *models])
    entries = [
        Entry(name, budget, {_runtime(model): functools.partial(open_model, model, threads=threads)})
        for name, model in zip(labels, models, strict=True)
    ]
    pictures = pictures_of(folders, size, reference.scale, max_damaged, progress("opening"))
    gated = hold_files(
        open_model(reference, threads=threads), entries, pictures,
        scale=reference.scale, in_channels=reference.in_channels, threads=threads, progress=progress("verifying"),
    )  # fmt: skip
    paths = [_file(model) for model in models]
    return verification_report(label, labels, paths, gated, max_drop, size, pictures.damaged)


def verification_report(
    reference: str,
    labels: Sequence[str],
    files: Sequence[Path],
    gated: Gated,
    max_drop: float,
    size: tuple[int, int] | None,
    damaged: Sequence[DamagedPicture],
) -> VerificationReport:
    """What the gate found, of the first runtime of each file, with what a file itself tells."""
    rows = [
        Verified(label, checks[0], _bytes(file),
                 on_every_x86(file) if file.suffix == ".onnx" else "")
        for label, file, checks in zip(labels, files, gated.checks, strict=True)
    ]  # fmt: skip
    looked_at = "whole pictures" if size is None else f"the {size[0]}x{size[1]} middles of the pictures"
    conditions = measurement_conditions(threads=gated.threads, precision="fp32 reference", size=looked_at)
    found = gated.comparison
    return VerificationReport(
        reference, found.psnr, found.ssim, len(found.pictures), max_drop, rows, conditions, list(damaged)
    )


def _bytes(file: Path) -> int:
    """Of ncnn's two files, both."""
    return sum(each.stat().st_size for each in files_of(file) if each.is_file())


def pictures_of(
    folders: Sequence[str | Path],
    size: tuple[int, int] | None,
    scale: int,
    max_damaged: int | None = None,
    progress: Progress | None = None,
) -> PictureFolders:
    """The pictures of folders, or the middles that a file of a fixed input size can take."""
    if size is None:
        return PictureFolders(folders, max_damaged=max_damaged, progress=progress)
    height, width = (side * scale for side in size)
    return Middles(folders, height, width, max_damaged, progress)


class Middles(PictureFolders):
    """The middles of the pictures, (height, width) of them."""

    def __init__(
        self, folders: Sequence[str | Path], height: int, width: int, max_damaged: int | None, progress: Progress | None
    ) -> None:
        super().__init__(folders, max_damaged=max_damaged, progress=progress)
        self.size = (height, width)

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((title, mirrored_middle(picture, *self.size)) for title, picture in super().__iter__())


def mirrored_middle(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The (height, width) middle of a picture (H, W[, C]), which is mirrored at its borders where it is smaller."""
    missing = [max(0, side - own) for side, own in zip((height, width), picture.shape[:2], strict=True)]
    borders = [(count // 2, count - count // 2) for count in missing] + [(0, 0)] * (picture.ndim - 2)
    return middle(np.pad(picture, borders, mode="symmetric"), height, width)


def _told_apart(models: Sequence[Model]) -> list[str]:
    """What to call them in tables: base names, or what was given where two base names are the same."""
    labels = [model.label for model in models]
    return [model.spec if labels.count(model.label) > 1 else model.label for model in models]


def _runtime(model: Model) -> str:
    if model.network is not None:
        return PYTORCH
    if model.ncnn is not None:
        return NCNN
    return AS_WRITTEN if model.for_tensorrt else ONNXRUNTIME


def _file(model: Model) -> Path:
    return pretrained.path(model.spec) if model.spec in pretrained.available() else Path(model.spec)


def _common_size(models: Sequence[Model]) -> tuple[int, int] | None:
    sizes = sorted({model.size for model in models if model.size})
    if len(sizes) > 1:
        listed = " and ".join(f"{height}x{width}" for height, width in sizes)
        raise UsageError(f"these files take one size each, {listed}: verify them one after the other")
    return sizes[0] if sizes else None
