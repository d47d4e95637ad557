"""What a training will see: samples of an option file's training set, with inputs as its model class gets them."""

import copy
import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from aethernet.data.opencv import opencv
from aethernet.errors import OptionError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.pipeline import option_file
from aethernet.progress import Progress

PROBLEMS = (
    ("keys", ("unknown_keys", "missing_keys")),
    ("classes", ("model_type", "dataset_types")),
    ("networks", ("scale",)),
    ("values", ("wrong", "patches")),
    ("datasets", ("pictures", "sizes")),
    ("degradation", ("inputs", "settings")),
)
"""Modules of `preflight` and their checks that concern data: weights, schedule and validation may be missing yet."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """A patch as its losses see it and its input: `gt` (s H, s W, 3) and `lq` (H, W, 3), RGB uint8; `name` of the file."""

    name: str
    gt: np.ndarray
    lq: np.ndarray


@dataclasses.dataclass(frozen=True)
class Preview:
    """Samples, the classes that gave them, and the pictures of the whole set."""

    samples: list[Sample]
    dataset: str
    model: str
    pictures: int


def preview(path: str | Path, count: int, *, seed: int = 0, progress: Progress = lambda *_: None) -> Preview:
    """Builds the training set of an option file and takes samples that are spread evenly over it.

    The degradation is computed on the CPU, without the pool of pairs, and the same for every call with one seed.

    Args:
        count: of samples; fewer if the set has fewer pictures.
        progress: called after each, with the picture's name.

    Raises:
        OptionError: the file or its training set cannot be used; all problems are named.
        MissingDependencyError: BasicSR or OpenCV is missing.
    """
    opt = option_file.read(path, is_train=True)
    opencv("the preview of a training set")
    opt["datasets"] = {"train": {"phase": "train", "scale": opt.get("scale"), **opt["datasets"]["train"]}}
    section = opt["datasets"]["train"]
    for key in ("dataroot_gt", "dataroot_lq"):
        if isinstance(section.get(key), str):
            section[key] = str(Path(section[key]).expanduser())
    _require_sound(opt, path)
    samples = importlib.import_module("aethernet.integrations.basicsr.data.samples")
    registries = importlib.import_module("aethernet.integrations.basicsr.preflight.registries")
    kinds, named = registries.entries("data set"), copy.deepcopy(section)
    if named["type"] not in kinds:  # BasicSR's registry prints that it tries the other name
        named["type"] += registries.SUFFIX
    dataset = importlib.import_module("basicsr.data").build_dataset(named)
    seeded, chosen = samples.SeededSamples(dataset, seed), np.linspace(0, len(dataset) - 1, min(count, len(dataset)))
    pairs = []
    for place, index in enumerate(chosen.round().astype(int).tolist()):
        drawn = seeded[index, 0, place]
        with samples.seeded(seed, 0, place):
            pairs.append(_sample(drawn, opt))
        progress(place + 1, len(chosen), pairs[-1].name)
    return Preview(pairs, section["type"], opt["model_type"], len(dataset))


def _require_sound(opt: dict, path: str | Path) -> None:
    """The checks of a training that concern its data, before anything is read."""
    compat.apply()
    preflight = importlib.import_module("aethernet.integrations.basicsr.preflight")
    context = preflight.Context({"rank": 0, "world_size": 1, "dist": False, **opt}, Path.cwd(), True, False)

    def problems() -> Iterator[str]:
        for module, names in PROBLEMS:
            for name in names:
                yield from getattr(importlib.import_module(f"{preflight.__name__}.{module}"), name)(context)

    # What stands elsewhere in the file is the training's business.
    found = [each for each in problems() if each.startswith(("datasets: train", "model_type")) or _is_degradation(each)]
    if found:
        raise OptionError(f"{path}: {preflight.report(found)}")


def _is_degradation(problem: str) -> bool:
    schema = importlib.import_module("aethernet.integrations.basicsr.preflight.schema")
    return problem.partition(":")[0] in {*schema.AETHER_DEGRADATION, "scale"}


def _sample(drawn: Mapping, opt: Mapping) -> Sample:
    torch = importlib.import_module("torch")
    if "kernel1" in drawn:
        training = importlib.import_module("aethernet.integrations.basicsr.training.degradation")
        batch = {name: value[None] for name, value in drawn.items() if isinstance(value, Tensor)}
        degrade = training.degradation(opt, torch.device("cpu"), is_gan="GAN" in opt["model_type"], pooled=False)
        with torch.no_grad():
            gt, lq = (each[0] for each in degrade(batch))
    elif "lq" in drawn and "gt" in drawn:
        gt, lq = drawn["gt"], drawn["lq"]
    else:
        raise OptionError(
            f"datasets: train: type: {opt['datasets']['train']['type']} gives {', '.join(drawn)}, and no pair of gt and lq to "
            "look at"
        )
    return Sample(Path(str(drawn.get("gt_path", drawn.get("lq_path", "")))).name, _levels(gt), _levels(lq))


def _levels(picture: Tensor) -> np.ndarray:
    """(1 or 3, H, W) in [0, 1] -> (H, W, 3) uint8; Y is shown as grey."""
    levels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))
