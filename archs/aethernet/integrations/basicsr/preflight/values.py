"""Numbers in an option file: of the right kind and size, and not read as text by YAML."""

import math
import re
from collections.abc import Iterator, Mapping

from aethernet.checks import is_number, is_whole
from aethernet.errors import OptionError
from aethernet.integrations.basicsr.preflight import schema
from aethernet.integrations.basicsr.preflight.context import Context, phase, positive
from aethernet.integrations.basicsr.training import optimizers
from aethernet.integrations.basicsr.training.options import TrainOptions

FREQUENCIES = (
    ("train", "total_iter"),
    ("val", "val_freq"),
    ("logger", "print_freq"),
    ("logger", "save_checkpoint_freq"),
)
"""Counts of iterations. BasicSR divides by them, so 5000.0 works and 0 does not."""

NO_NUMBERS = ("type", "suffix", "wandb", "name")
AETHER_NUMBER = re.compile(
    rf"train: (optim_\w+: ({'|'.join(optimizers.NUMBERS)})|grad_clip|max_nonfinite|norm_freeze_iter|distill_opt: weight)"
)
"""What the Aether models turn from text into a number themselves, or report through `TrainOptions`."""


PLAIN_NUMBER = re.compile(
    r"train: (warmup_iter|scheduler: gamma|\w+_opt: (loss|perceptual|style)_weight)|val: metrics: .+: crop_border"
)
"""Entries that have to be numbers, whatever the model and the loss."""


def dataset_numbers(context: Context) -> Iterator[str]:
    """Sizes and counts of the data sets, which have to be whole numbers."""
    for place, section in context.datasets:
        for key in ("batch_size_per_gpu", "gt_size", "num_images"):
            if section.get(key) is not None and not is_whole(section[key], 1):
                yield f"{place}: {key}: must be a whole number of at least 1, not {section[key]!r}"
        workers = section.get("num_worker_per_gpu")
        if workers is not None and not is_whole(workers, 0):
            yield f"{place}: num_worker_per_gpu: must be a whole number of at least 0, not {workers!r}"
        most = section.get("max_damaged")
        if most is not None and not is_whole(most, 0):
            yield f"{place}: max_damaged: must be a whole number of at least 0, not {most!r}"
        ratio = section.get("dataset_enlarge_ratio", 1)
        if not is_ratio(ratio):
            yield f"{place}: dataset_enlarge_ratio: must be a positive number, not {ratio!r}"
        patch = positive(section.get("gt_size"))
        if phase(place) == "train" and patch and context.scale and patch % context.scale:
            below = max(patch - patch % context.scale, context.scale)
            yield (
                f"{place}: gt_size: {patch} is not a multiple of the scale {context.scale}, so cropped pairs would "
                f"not match; use {below} or {patch - patch % context.scale + context.scale}"
            )


def train_numbers(context: Context) -> Iterator[str]:
    """Counts of iterations, and the decay of the weight average."""
    for section, key in FREQUENCIES:
        value = (context.opt.get(section) or {}).get(key)
        if value is not None and positive(value) is None:
            hint = f"; {_as_text(value)}" if isinstance(value, str) and _is_number(value) else ""
            yield f"{section}: {key}: must be a whole number of at least 1, not {value!r}{hint}"
    decay = context.opt["train"].get("ema_decay")
    if decay is not None and not (is_number(decay) and 0 <= decay < 1):
        yield f"train: ema_decay: must be in [0, 1), where 0 means no average, not {decay!r}"


def plain_numbers(context: Context) -> Iterator[str]:
    """What BasicSR computes with as it stands: anything else ends in a traceback, some of it after the first iteration."""
    for name in ("train", "val"):
        for place, value in _entries(name, context.opt.get(name) or {}):
            told = isinstance(value, str) and _is_number(value)  # by `numbers_as_text`
            if PLAIN_NUMBER.fullmatch(place) and value is not None and not told and not is_number(value):
                yield f"{place}: must be a number, not {value!r}"


def _entries(place: str, section: Mapping) -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _entries(f"{place}: {key}", value)
        else:
            yield f"{place}: {key}", value


def numbers_as_text(context: Context) -> Iterator[str]:
    """YAML reads 1e-4 (without a dot) as text; torch fails with it after the folders have been made."""
    handled = {": ".join(keys) for keys in FREQUENCIES}
    is_aether = context.model_type in schema.AETHER_MODELS
    for name in ("train", "val", "logger"):
        for place, value in _texts(name, context.opt.get(name) or {}):
            read = is_aether and AETHER_NUMBER.fullmatch(place)
            if place not in handled and not read and place.rpartition(": ")[2] not in NO_NUMBERS and _is_number(value):
                yield f"{place}: {value!r} is text for YAML; {_as_text(value)}"


def aether_options(context: Context) -> Iterator[str]:
    """Values that the Aether models would refuse, once the network has been built."""
    if context.model_type in schema.AETHER_MODELS:
        try:
            TrainOptions.read(context.opt["train"])
        except OptionError as error:
            yield str(error)


def is_ratio(value: object) -> bool:
    """Whether a value can be a `dataset_enlarge_ratio`."""
    return is_number(value) and 0 < value < math.inf


def _texts(place: str, section: Mapping) -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        if isinstance(value, Mapping) and key not in NO_NUMBERS:
            yield from _texts(f"{place}: {key}", value)
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, str):
                yield f"{place}: {key}", each


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _as_text(text: str) -> str:
    return f"write !!float {text}, or the number with a dot and without quotes"
