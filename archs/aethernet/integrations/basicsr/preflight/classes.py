"""The types that an option file names, other than networks: do they exist, do they take the arguments given?"""

import importlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping

import torch

from aethernet.checks import did_you_mean
from aethernet.errors import OptionError
from aethernet.integrations.basicsr.preflight import schema
from aethernet.integrations.basicsr.preflight.context import Context, phase
from aethernet.integrations.basicsr.preflight.registries import argument_problems, find, is_basicsr, unknown
from aethernet.integrations.basicsr.training.options import DistillOptions

logger = logging.getLogger(__name__)

WITHOUT_TRUTH = ("SingleImageDataset",)
VIDEOS = (
    "REDSDataset", "REDSRecurrentDataset", "Vimeo90KDataset", "VideoTestDataset", "VideoTestVimeo90KDataset",
    "VideoTestDUFDataset", "VideoRecurrentTestDataset",
)  # fmt: skip
LOWER_IS_BETTER = ("calculate_niqe",)
PAIRS = "take a PairedImageDataset with dataroot_gt and dataroot_lq"
LOSSES = ("pixel_opt", "perceptual_opt", "gan_opt", "ldl_opt")
SCHEDULERS = {
    "MultiStepLR": "MultiStepRestartLR",
    "MultiStepRestartLR": "MultiStepRestartLR",
    "CosineAnnealingRestartLR": "CosineAnnealingRestartLR",
}
"""The names that BaseModel knows, and the class in basicsr.models.lr_scheduler that it builds."""


def model_type(context: Context) -> Iterator[str]:
    if find("model", context.opt["model_type"]) is None:
        yield unknown("model", "model_type", context.opt["model_type"]).replace(": type", "", 1)


def dataset_types(context: Context) -> Iterator[str]:
    for place, section in context.datasets:
        kind, trains = section["type"].removesuffix("_basicsr"), phase(place) == "train"
        if find("data set", section["type"]) is None:
            yield unknown("data set", place, section["type"])
        elif context.model_type not in schema.MODELS:
            continue  # what somebody else's model takes is not known
        elif kind in VIDEOS:
            yield f"{place}: type: {kind} gives frames of films, and {context.model_type} takes pictures: {PAIRS}"
        elif kind == "FFHQDataset" or (kind == "RealESRGANDataset" and not trains):
            yield f"{place}: type: {kind} gives no low-resolution pictures: {PAIRS}"
        elif trains and kind in WITHOUT_TRUTH:
            yield f"{place}: type: {kind} gives no pictures to compare with, without which nothing is trained: {PAIRS}"


def metrics(context: Context) -> Iterator[str]:
    """BasicSR's metrics swallow every further argument, so a wrong name would measure with the default."""
    for name, section in ((context.opt.get("val") or {}).get("metrics") or {}).items():
        place = f"val: metrics: {name}"
        metric = find("metric", section["type"])
        if metric is None:
            yield unknown("metric", place, section["type"])
            continue
        yield from argument_problems(
            place, metric, section, supplied=("img", "img2"), ignored=("type", "better"), closed=is_basicsr(metric)
        )
        if context.is_train and section["type"] in LOWER_IS_BETTER and section.get("better", "higher") == "higher":
            yield f"{place}: better: is missing: the lower the better holds of {section['type']}; add better: lower"


def ground_truth(context: Context) -> Iterator[str]:
    """Without it BasicSR ends with an error after the first picture, or compares with pictures of the training."""
    metrics = ((context.opt.get("val") or {}).get("metrics") or {}).items()
    comparing = [name for name, section in metrics if _compares(find("metric", section["type"]))]
    if not comparing:
        return
    for place, section in context.datasets:
        if section["type"].removesuffix("_basicsr") in WITHOUT_TRUTH and phase(place) != "train":
            yield (
                f"{place}: type: {section['type']} has no ground truth, which val: metrics: {', '.join(comparing)}: compares "
                "with; give a PairedImageDataset with dataroot_gt, or remove this from metrics"
            )


def _compares(metric: Callable | None) -> bool:
    """Whether a metric takes a second picture; NIQE judges one alone."""
    return metric is not None and "img2" in inspect.signature(metric).parameters


def losses(context: Context) -> Iterator[str]:
    for place, section in loss_sections(context):
        loss = find("loss", section["type"])
        yield from argument_problems(place, loss, section) if loss else (unknown("loss", place, section["type"]),)


def loss_sections(context: Context) -> Iterator[tuple[str, Mapping]]:
    """The sections that name a loss, with their place in the file."""
    for name in LOSSES:
        if section := context.opt["train"].get(name):
            yield f"train: {name}", section
    if (options := distillation(context)) is not None:
        yield "train: distill_opt: loss", options.loss


def optimizer_sections(context: Context) -> Iterator[tuple[str, Mapping, type | None]]:
    """The sections that name an optimiser, with their place in the file and the class that is built."""
    known = _known_optimizers(context)
    for name, section in context.opt["train"].items():
        if name.startswith("optim_"):
            yield f"train: {name}", section, known.get(section["type"])


def scheduler_sections(context: Context) -> Iterator[tuple[str, Mapping, type]]:
    """The section of the learning rate's schedule, with its place and the class that is built; none if it is unknown."""
    section = context.opt["train"].get("scheduler")
    name = SCHEDULERS.get(section["type"]) if section is not None else None
    if name is not None:
        yield "train: scheduler", section, getattr(importlib.import_module("basicsr.models.lr_scheduler"), name)


def distillation(context: Context) -> DistillOptions | None:
    """The section `distill_opt` of an Aether model; None where there is none, or a wrong one, which `values` tells."""
    if context.model_type not in schema.AETHER_MODELS:
        return None
    try:
        return DistillOptions.read(context.opt["train"].get("distill_opt"))
    except OptionError:
        return None


def optimizers(context: Context) -> Iterator[str]:
    """BasicSR 1.4.2 builds Adam only; the Aether models build more; what models from elsewhere build is not known."""
    known = _known_optimizers(context)
    for place, section, optimizer in optimizer_sections(context):
        kind = section["type"]
        if optimizer is not None:
            yield from _optimizer_arguments(place, optimizer, section)
        elif context.model_type in schema.MODELS:
            yield f"{place}: type: {context.model_type} does not build {kind!r}; {_other_optimizer(kind, known)}"
        elif find("model", context.model_type):
            logger.warning("%s: type: BasicSR itself does not build %r", place, kind)


def scheduler(context: Context) -> Iterator[str]:
    section = context.opt["train"].get("scheduler")
    if section is None:
        return  # told as a missing key
    if section["type"] not in SCHEDULERS and context.model_type in schema.MODELS:
        advice = did_you_mean(section["type"], SCHEDULERS)
        yield f"train: scheduler: type: BasicSR does not build {section['type']!r}; {advice}"
    for place, _, target in scheduler_sections(context):
        yield from argument_problems(place, target, section, supplied=("optimizer",))


def _known_optimizers(context: Context) -> dict[str, type]:
    if context.model_type in schema.AETHER_MODELS:
        return importlib.import_module("aethernet.integrations.basicsr.training.optimizers").OPTIMIZERS
    return {"Adam": torch.optim.Adam}


def _other_optimizer(kind: str, known: Mapping[str, type]) -> str:
    ours = importlib.import_module("aethernet.integrations.basicsr.training.optimizers").OPTIMIZERS
    if kind in ours:
        return f"allowed: {', '.join(known)}; for {kind} set model_type: {' or '.join(schema.AETHER_MODELS)}"
    return did_you_mean(kind, known)


def _optimizer_arguments(place: str, optimizer: type, section: Mapping) -> Iterator[str]:
    yield from argument_problems(place, optimizer, section, supplied=("params",))
    if section.get("lr") is None:  # torch has a default, BasicSR has none
        yield f"{place}: lr: is missing; add the learning rate, such as lr: 0.0002"
