"""Values in an option file: each of the kind and in the range that its reader computes with, by the tables of `expected`.

BasicSR looks at no value: a wrong one ends in a traceback, hours after the start or in the first iteration, or trains
something else (`use_hflip: "false"` flips).
"""

import inspect
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase

from aethernet.errors import OptionError
from aethernet.integrations.basicsr.preflight import classes, degradation, expected, kinds, schema
from aethernet.integrations.basicsr.preflight.context import Context, phase, positive
from aethernet.integrations.basicsr.preflight.kinds import Kind
from aethernet.integrations.basicsr.preflight.networks import is_aether
from aethernet.integrations.basicsr.preflight.registries import find, is_basicsr
from aethernet.integrations.basicsr.training import optimizers
from aethernet.integrations.basicsr.training.options import TrainOptions
from aethernet.integrations.basicsr.training.perceptual import AetherPerceptualLoss

logger = logging.getLogger(__name__)

NO_NUMBERS = ("type", "suffix", "wandb", "name")
AETHER_NUMBER = re.compile(
    rf"train: (optim_\w+: ({'|'.join(optimizers.NUMBERS)})|grad_clip|max_nonfinite|norm_freeze_iter|distill_opt: weight)"
)
"""What the Aether models turn from text into a number themselves, or report through `TrainOptions`."""
OF_PACKAGE = ("torch", "aethernet")
"""Packages whose classes are known here, beside BasicSR."""
BLUR_KERNEL = 21
"""The side of every kernel of RealESRGANDataset, which has 7 to 21 pixels in it by chance, whatever blur_kernel_size says."""


def wrong(context: Context) -> Iterator[str]:
    """Values of another kind than their reader takes, or out of its range."""
    for place, value, kind in _judged(context):
        if context.model_type in schema.AETHER_MODELS and AETHER_NUMBER.fullmatch(place) and isinstance(value, str):
            number = kinds.as_number(value)
            value = value if number is None else number
        if problem := kind.problem(place, value):
            yield problem


def patches(context: Context) -> Iterator[str]:
    """Patches that are no multiple of the scale, and settings of kernels that change nothing."""
    for place, section in context.datasets:
        patch = positive(section.get("gt_size"))
        if phase(place) == "train" and patch and context.scale and patch % context.scale:
            below = max(patch - patch % context.scale, context.scale)
            yield (
                f"{place}: gt_size: {patch} is not a multiple of the scale {context.scale}, so cropped pairs would "
                f"not match; use {below} or {patch - patch % context.scale + context.scale}"
            )
        for key in ("blur_kernel_size", "blur_kernel_size2"):
            if section.get(key) not in (None, BLUR_KERNEL) and degradation.is_degraded(section):
                logger.warning("%s: %s: does nothing: BasicSR's kernels have 7 to %d pixels", place, key, BLUR_KERNEL)


def numbers_as_text(context: Context) -> Iterator[str]:
    """YAML reads 1e-4 (without a dot) as text; torch fails with it after the folders have been made."""
    is_aether_model = context.model_type in schema.AETHER_MODELS
    told = {place for place, _, _ in _judged(context)}
    for name in ("train", "val", "logger"):
        for place, value in _entries(name, context.opt.get(name) or {}):
            texts = [each for each in (value if isinstance(value, list | tuple) else [value]) if isinstance(each, str)]
            own = is_aether_model and AETHER_NUMBER.fullmatch(place)
            if place in told or own or place.rpartition(": ")[2] in NO_NUMBERS:
                continue
            for text in texts:
                if kinds.as_number(text) is not None:
                    yield f"{place}: {text!r} is text for YAML; write !!float {text}, without quotes"


def aether_options(context: Context) -> Iterator[str]:
    """Values that the Aether models would refuse, once the network has been built."""
    if context.model_type in schema.AETHER_MODELS:
        for key, value in context.opt["train"].items():
            try:
                TrainOptions.read({key: value})
            except OptionError as error:
                yield str(error)


def _judged(context: Context) -> Iterator[tuple[str, object, Kind]]:
    """Every entry whose kind is known: its place, its value and the kind."""
    opt = context.opt
    patterns = {**expected.ANYWHERE, **(expected.TRAINING if context.is_train else {})}
    if context.model_type in schema.MODELS and context.is_train:
        patterns |= expected.MODELS
    for place, value in _entries("", opt):
        for pattern, kind in patterns.items():
            if fnmatchcase(place, pattern) and place.count(": ") == pattern.count(": "):
                yield place, value, kind
    if context.is_train and degradation.degrades(context):
        yield from ((key, opt[key], kind) for key, kind in expected.DEGRADATION.items() if opt.get(key) is not None)
    for place, section in context.datasets:
        if section["type"].removesuffix("_basicsr") in schema.DATASETS:
            known = expected.DATASETS
            yield from ((f"{place}: {key}", section[key], known[key]) for key in known if key in section)
    for place, section, target in _built(context):
        yield from _arguments(place, section, target)


def _arguments(place: str, section: Mapping, target: Callable) -> Iterator[tuple[str, object, Kind]]:
    for name, parameter in inspect.signature(target).parameters.items():
        if name not in section:
            continue
        kind = expected.ARGUMENTS.get(name) or kinds.like(parameter.default)
        if kind is not None:
            yield f"{place}: {name}", section[name], kind


def _built(context: Context) -> Iterator[tuple[str, Mapping, Callable]]:
    """Sections of classes and functions that are known, but for those of this package that look at their arguments."""
    found: list[tuple[str, Mapping, Callable | None]] = [
        (place, section, find("network", section["type"]))
        for place, section in context.networks.items()
        if not is_aether(section)
    ]
    for name, section in ((context.opt.get("val") or {}).get("metrics") or {}).items():
        found.append((f"val: metrics: {name}", section, find("metric", section["type"])))
    if context.is_train:
        found += [(place, section, find("loss", section["type"])) for place, section in classes.loss_sections(context)]
        found += list(classes.optimizer_sections(context))
        found += list(classes.scheduler_sections(context))
    for place, section, target in found:
        if target is None or target is AetherPerceptualLoss:
            continue
        if is_basicsr(target) or target.__module__.partition(".")[0] in OF_PACKAGE:
            yield place, section, target


def _entries(place: str, section: Mapping) -> Iterator[tuple[str, object]]:
    """Every entry with its place, sections included: one may stand where a value is wanted."""
    for key, value in section.items():
        here = f"{place}: {key}" if place else str(key)
        yield here, value
        if isinstance(value, Mapping):
            yield from _entries(here, value)
