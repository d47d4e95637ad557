"""The outline of an option file: which sections there must be, and what is a section. All other checks rely on it."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from aethernet.checks import is_folder_name, is_whole


class Rule(NamedTuple):
    """Keys from the top to a section, with wildcards; whether it names a `type`; whether it may be `~`."""

    keys: tuple[str, ...]
    typed: bool = False
    optional: bool = False


RULES = (
    Rule(("datasets",)),
    Rule(("datasets", "*"), typed=True),
    Rule(("datasets", "*", "io_backend"), typed=True),
    Rule(("network_*",), typed=True),
    Rule(("path",)),
    Rule(("val",), optional=True),
    Rule(("val", "metrics"), optional=True),
    Rule(("val", "metrics", "*"), typed=True),
    Rule(("dist_params",), optional=True),
)
TRAIN_RULES = (
    Rule(("train",)),
    Rule(("train", "optim_*"), typed=True),
    Rule(("train", "scheduler"), typed=True),
    Rule(("train", "pixel_opt"), typed=True, optional=True),
    Rule(("train", "perceptual_opt"), typed=True, optional=True),
    Rule(("train", "gan_opt"), typed=True, optional=True),
    Rule(("train", "ldl_opt"), typed=True, optional=True),
    Rule(("train", "distill_opt"), optional=True),
    Rule(("logger",)),
    Rule(("logger", "wandb"), optional=True),
)

PATHS = (
    ("datasets", "*", "dataroot_gt"),
    ("datasets", "*", "dataroot_lq"),
    ("path", "pretrain_network*"),
    ("path", "resume_state"),
)
"""Entries in which BasicSR expands `~` while it reads."""

NEEDED = ("name", "model_type", "num_gpu", "datasets", "network_g", "path")
NEEDED_BY_TRAIN = ("train", "logger")
NEEDED_BY_TEST = ("val",)
LARGEST_SEED = 2**32 - 1  # of NumPy
PHASES = {True: ("val",), False: ("test", "val")}


def sections(opt: object, is_train: bool) -> Iterator[str]:
    """Sections that are missing, or that are something else than a section, before or after BasicSR has read them."""
    if not isinstance(opt, Mapping):
        yield f"the options are a {type(opt).__name__}, not a section of `key: value` lines: is this an option file?"
        return
    nameless = [place for place, key in _keys(opt) if not isinstance(key, str)]
    if nameless:
        yield f"{nameless[0]}: YAML reads this key as no text; put it into quotes"
        return
    for key in (*NEEDED, *(NEEDED_BY_TRAIN if is_train else NEEDED_BY_TEST)):
        if opt.get(key) is None:
            yield f"{key}: is missing at the top level; BasicSR cannot {'train' if is_train else 'test'} without it"
    for key in ("name", "model_type"):
        value = opt.get(key)
        if value is not None and not (isinstance(value, str) and value.strip()):
            yield f"{key}: must be a text, not {value!r}; put it into quotes"
        elif key == "name" and value is not None and not is_folder_name(str(value)):
            yield f"name: must be the name of a folder, without / and other than . and .., not {value!r}"
    num_gpu = opt.get("num_gpu", 0)
    if num_gpu not in (None, "auto") and not is_whole(num_gpu, 0):
        yield f"num_gpu: must be auto or a whole number of at least 0, not {num_gpu!r}"
    seed = opt.get("manual_seed")
    if seed is not None and not (is_whole(seed, 0) and seed <= LARGEST_SEED):
        yield f"manual_seed: must be a whole number from 0 to {LARGEST_SEED}, not {seed!r}"
    for keys in PATHS:
        for place, value in _matches(opt, keys):
            listed = value if isinstance(value, list) and keys[0] == "datasets" else [value]
            if not all(each is None or isinstance(each, str) for each in listed):
                yield f"{place}: must be a path, or ~ for none, not {value!r}; put a name that YAML reads as a number into quotes"
    for rule in (*RULES, *(TRAIN_RULES if is_train else ())):
        for place, value in _matches(opt, rule.keys):
            yield from _is_section(place, value, rule)
    if isinstance(opt.get("datasets"), Mapping):
        yield from _phases(opt["datasets"], is_train)


def _keys(section: Mapping, place: str = "") -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        here = f"{place}: {key}" if place else str(key)
        yield here, key
        if isinstance(value, Mapping):
            yield from _keys(value, here)


def _matches(section: Mapping, keys: tuple[str, ...], place: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    """Every place in the options that the keys describe, with its value."""
    for key, value in section.items():
        if not fnmatchcase(str(key), keys[0]):
            continue
        here = (*place, str(key))
        if len(keys) == 1:
            yield ": ".join(here), value
        elif isinstance(value, Mapping):
            yield from _matches(value, keys[1:], here)


def _is_section(place: str, value: object, rule: Rule) -> Iterator[str]:
    if value is None and (rule.optional or place in (*NEEDED, *NEEDED_BY_TRAIN)):
        return  # optional, or told already
    if not isinstance(value, Mapping):
        yield f"{place}: must be a section of indented `key: value` lines, not {value!r}"
    elif rule.typed and not isinstance(value.get("type"), str):
        yield f"{place}: type: is missing; it names what is built from this section"


def _phases(datasets: Mapping, is_train: bool) -> Iterator[str]:
    if is_train and "train" not in datasets:
        yield "datasets: train: is missing; BasicSR needs exactly one training set of this name"
    if not is_train and not datasets:
        yield "datasets: has no set to test on; add datasets: test_1"
    for name in datasets:
        if str(name).split("_")[0] not in PHASES[is_train] and not (is_train and name == "train"):
            allowed = "train, val, val_2, ..." if is_train else "test, test_1, test_2, ..."
            yield f"datasets: {name}: is no name that BasicSR knows; allowed: {allowed}"
