"""Several models on several picture sets: the rows of `aethernet bench quality`."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from aethernet.checkpoint import pretrained
from aethernet.conditions import Conditions, measurement_conditions
from aethernet.data.bicubic import bicubic_upscale
from aethernet.data.damaged import MOST_DAMAGED, DamagedPicture
from aethernet.data.photo import PhotoDegradation
from aethernet.errors import UsageError
from aethernet.progress import Progress, Titled
from aethernet.quality.evaluation import (
    PictureQuality,
    Upscaler,
    evaluate,
    evaluate_bicubic_luma,
    from_batch,
    mean_quality,
    network_upscaler,
    to_batch,
)
from aethernet.quality.inputs import DegradedInputs, InputFolder
from aethernet.quality.sets import PictureFolder, damage_notes, leave_out_damaged, picture_folders
from aethernet.runtimes.models import Model, resolve_model
from aethernet.runtimes.ncnn import NcnnSession
from aethernet.runtimes.onnxruntime import OnnxRuntimeSession
from aethernet.runtimes.pytorch import device_kind
from aethernet.threads import fixed_threads
from aethernet.wording import how_many

BICUBIC, BICUBIC_RGB = "bicubic", "bicubic_rgb"
LUMA_PATH = "Y: picture -> Y -> LR -> Y enlarged"
RGB_PATH = "RGB: picture -> LR in RGB, uint8 -> RGB enlarged, uint8 -> Y"
GREY_NOTE = (
    "grey pictures: on the RGB path three equal channels, whose Y is compared; on the Y path taken for Y as they are, "
    "as the published bicubic figures have it"
)


@dataclass(frozen=True)
class SetScore:
    """One model on one set: the mean and every picture, and the colour path (`LUMA_PATH` or `RGB_PATH`).

    A set of which `damaged` pictures are left out, for every model, has another name: `Set5 (4 of 5)`.

    `inputs` is the SHA-256 of the pixels of degraded inputs, which differ where another Pillow writes other JPEG files.
    """

    model: str
    scale: int
    set_name: str
    path: str
    mean: PictureQuality
    pictures: list[PictureQuality]
    inputs: str | None = None
    damaged: list[DamagedPicture] = field(default_factory=list)


@dataclass(frozen=True)
class QualityReport:
    """A quality table, model by model and set by set, with remarks and what it was measured on."""

    scores: list[SetScore]
    notes: list[str]
    conditions: Conditions


@dataclass(frozen=True)
class _NamedUpscaler:
    """A model made ready: `upscale` is None for bicubic on the Y path."""

    label: str
    scale: int
    upscale: Upscaler | None


def measure_quality(
    models: Sequence[str],
    sets: Sequence[str | Path | PictureFolder],
    *,
    scale: int | None = None,
    lr: Sequence[str | Path] = (),
    degrade: PhotoDegradation | None = None,
    device: str = "cpu",
    threads: int | None = None,
    max_damaged: int | None = MOST_DAMAGED,
    progress: Titled | None = None,
) -> QualityReport:
    """Measures models on folders of high-resolution pictures; see `evaluate` for how.

    Args:
        models: packaged weights, checkpoints, ONNX and ncnn files, `bicubic` (Y path, as its published figures are) or
            `bicubic_rgb` (the same interpolation on the path of the networks).
        sets: folders of high-resolution pictures. All are opened first, and those that cannot be read are left out for all
            models.
        scale: needed for bicubic alone; networks have their own, and one that is given must agree.
        lr: folders of ready-made inputs, one for each set; by default inputs are made.
        degrade: what made inputs suffer beside their reduction.
        device: PyTorch device for networks; files of runtimes run on the CPU.
        threads: for PyTorch and the runtimes; None for their default.
        max_damaged: pictures that may be left out, of all sets together; None for none, where no option says so.
        progress: makes a callback for each pass, from a title such as `tiny.pth, Set5`.

    Raises:
        AetherError: an unknown or untrained model, scales that disagree, an unusable folder or picture.
    """
    if lr and len(lr) != len(sets):
        raise UsageError(
            f"{how_many(len(sets), 'set')}, but {how_many(len(lr), 'folder')} of inputs: give one --lr for each set"
        )
    if lr and degrade:
        raise UsageError("--degrade is for inputs that are made: leave out --lr")
    folders = picture_folders(sets)
    upscalers = _named_upscalers(models, scale, device, threads)
    if (lr or degrade) and any(named.upscale is None for named in upscalers):
        raise UsageError("bicubic makes its inputs from Y: leave out --lr and --degrade, or give bicubic_rgb")
    given = _input_folders(lr, folders, {named.scale for named in upscalers})
    leave_out_damaged(
        folders, [(folder, name) for folder in folders for name in folder], max_damaged,
        progress("opening") if progress else None, [(folders[number], each.paths) for (number, _), each in given.items()],
    )  # fmt: skip
    scores, notes = [], [GREY_NOTE, *damage_notes(folders)]
    with fixed_threads(threads):
        for named in upscalers:
            for number, folder in enumerate(folders):
                report = progress(f"{named.label} x{named.scale}, {folder.name}") if progress else None
                inputs: Mapping[str, np.ndarray] | None = given.get((number, named.scale))
                if degrade:
                    inputs = DegradedInputs(folder, named.scale, degrade)
                score = _score(named, folder, inputs, report)
                scores.append(score)
                if score.inputs:
                    notes.append(
                        f"inputs of {folder.name} at x{named.scale}: {degrade}; SHA-256 of their pixels {score.inputs[:16]}"
                    )
        used = torch.get_num_threads()
    conditions = measurement_conditions(threads=used, precision="fp32", size="whole pictures", device=device)
    return QualityReport(scores, list(dict.fromkeys(notes)), conditions)


def _input_folders(
    lr: Sequence[str | Path], folders: Sequence[PictureFolder], scales: Set[int]
) -> dict[tuple[int, int], InputFolder]:
    """Ready-made inputs, if there are any, by the number of the set and the scale."""
    return {
        (number, scale): InputFolder(place, folder, scale)
        for number, (place, folder) in enumerate(zip(lr, folders, strict=False))
        for scale in sorted(scales)
    }


def _score(
    named: "_NamedUpscaler", folder: PictureFolder, inputs: Mapping[str, np.ndarray] | None, progress: Progress | None
) -> SetScore:
    if named.upscale is None:
        path, pictures = LUMA_PATH, evaluate_bicubic_luma(folder, named.scale, progress)
    else:
        path, pictures = RGB_PATH, evaluate(named.upscale, folder, named.scale, progress, inputs)
    digest = inputs.sha256 if isinstance(inputs, DegradedInputs) else None
    mean, damaged = mean_quality(pictures), list(folder.damaged.values())
    return SetScore(named.label, named.scale, folder.label, path, mean, pictures, digest, damaged)


def onnx_upscaler(path: Path, in_channels: int, threads: int | None = None) -> Upscaler:
    """An `Upscaler` of an ONNX file in ONNX Runtime, whole pictures at once."""
    session = OnnxRuntimeSession(path, threads=threads)
    size = session.input_shape[2:]
    if any(isinstance(length, int) for length in size):
        raise UsageError(f"{path} takes pictures of {size[0]}x{size[1]} only: export it with dynamic height and width")
    return lambda picture: from_batch(session.run(to_batch(picture, in_channels)))


def _told_apart(models: dict[str, Model]) -> dict[str, Model]:
    """Files of one name in several folders, as trainings leave them, are labelled as they were given: the table has a row each."""
    labels = Counter(model.label for model in models.values())
    return {
        spec: dataclasses.replace(model, label=spec) if labels[model.label] > 1 else model
        for spec, model in models.items()
    }


def _named_upscalers(
    models: Sequence[str], scale: int | None, device: str, threads: int | None
) -> list[_NamedUpscaler]:
    device_kind(device)
    opened = _told_apart({spec: resolve_model(spec) for spec in models if spec not in (BICUBIC, BICUBIC_RGB)})
    for model in opened.values():
        if not model.trained:
            raise UsageError(
                f"{model.label} has random weights, so its quality means nothing; {pretrained.hint(model.label)}; or give a "
                "file of trained weights"
            )
        if scale not in (None, model.scale):
            raise UsageError(f"{model.label} upscales by {model.scale}, but --scale {scale} was given: they must "
                              "agree, or leave --scale out")  # fmt: skip
    scales = {scale} if scale else {model.scale for model in opened.values()}
    upscalers = []
    for spec in dict.fromkeys(models):
        if spec in opened:
            upscalers.append(_of_model(opened[spec], device, threads))
        elif len(scales) != 1:
            raise UsageError(f"{spec} needs --scale" + (f": the models have {sorted(scales)}" if scales else ""))
        else:
            upscalers.append(_of_bicubic(spec, *scales))
    return upscalers


def _of_model(model: Model, device: str, threads: int | None) -> _NamedUpscaler:
    if model.onnx is not None:
        return _NamedUpscaler(model.label, model.scale, onnx_upscaler(model.onnx, model.in_channels, threads))
    if model.ncnn is not None:
        session, channels = NcnnSession(model.ncnn, threads), model.in_channels
        return _NamedUpscaler(
            model.label, model.scale, lambda picture: from_batch(session.run(to_batch(picture, channels)))
        )
    assert model.network is not None
    return _NamedUpscaler(model.label, model.scale, network_upscaler(model.network, device))


def _of_bicubic(spec: str, scale: int) -> _NamedUpscaler:
    if scale < 2:
        raise UsageError(f"--scale {scale}: bicubic needs 2 or more")

    def upscale(picture: np.ndarray) -> np.ndarray:
        return bicubic_upscale(picture, scale)

    return _NamedUpscaler(spec, scale, upscale if spec == BICUBIC_RGB else None)
