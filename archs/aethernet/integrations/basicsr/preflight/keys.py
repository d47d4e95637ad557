"""Keys that nobody reads, and keys that somebody needs. BasicSR ignores the first and misses the second too late."""

import logging
from collections.abc import Collection, Iterator, Mapping

from aethernet.checks import did_you_mean
from aethernet.integrations.basicsr.preflight import schema
from aethernet.integrations.basicsr.preflight.context import Context, phase
from aethernet.integrations.basicsr.preflight.registries import find

logger = logging.getLogger(__name__)


def unknown_keys(context: Context) -> Iterator[str]:
    """Keys that would be ignored. Those of classes from elsewhere are only mentioned in the log."""
    opt = context.opt
    if context.model_type in schema.MODELS or find("model", context.model_type):  # else all that matters is the name
        yield from _unknown_to_model(context)
    yield from _unknown("dist_params", opt.get("dist_params"), schema.DIST_PARAMS, "here", refuse=True)
    yield from _unknown_paths(context)
    for place, section in context.datasets:
        kind = section["type"].removesuffix("_basicsr")
        known = schema.DATASETS.get(kind)
        yield from _unknown(place, section, known or (), f"for type {kind}", refuse=known is not None)
        yield from _unknown_backend(place, section)
    if context.is_train:  # testing does not read it
        yield from _unknown("logger", opt["logger"], schema.LOGGER, "here", refuse=True)
        yield from _unknown("logger: wandb", opt["logger"].get("wandb"), schema.WANDB, "here", refuse=True)


def missing_keys(context: Context) -> Iterator[str]:
    """Keys without which BasicSR fails with a KeyError, some of them hours after the start."""
    opt = context.opt
    for place, section in context.datasets:
        kind = section["type"].removesuffix("_basicsr")
        needed = ("name", *schema.DATASETS_NEED.get(kind, ()))
        if phase(place) == "train":
            needed += (*schema.LOADERS_NEED, *schema.TRAINING_SETS_NEED.get(kind, ()))
        yield from _missing(place, section, needed)
    val = opt.get("val")
    if val is not None:
        yield from _missing("val", val, ("save_img", "val_freq") if context.is_train else ("save_img",))
        if not context.is_train and val.get("save_img") and "suffix" not in val:
            yield "val: suffix: is missing and save_img is true; add `suffix: ~` to use the name of the test"
    if not context.is_train:
        return
    yield from _missing("logger", opt["logger"], ("print_freq", "save_checkpoint_freq", "use_tb_logger"))
    model = schema.MODELS.get(context.model_type)
    yield from _missing("train", opt["train"], model.needed if model else ("total_iter",))
    if model is None:
        return
    for network in model.networks:
        if network not in opt:
            yield f"{network}: is missing; {context.model_type} trains with {' and '.join(model.networks)}"
    if not any(opt["train"].get(loss) for loss in ("pixel_opt", "perceptual_opt", "gan_opt")):
        yield "train: pixel_opt: is missing, and so is every other loss; add pixel_opt, such as {type: L1Loss}"


def _unknown_to_model(context: Context) -> Iterator[str]:
    """Keys of the sections that the model class reads."""
    opt, model = context.opt, schema.MODELS.get(context.model_type)
    reader = f"with model_type {context.model_type}"
    networks = model.networks if model else context.networks
    top = schema.TOP.union(networks, model.top if model else ())
    yield from _unknown("", opt, top, reader, refuse=model is not None)
    yield from _unknown("val", opt.get("val"), schema.VAL, reader, refuse=model is not None)
    if context.is_train:
        known = (model or schema.MODELS["SRModel"]).train
        yield from _unknown("train", opt["train"], known, reader, refuse=model is not None)


def _unknown(
    place: str, section: Mapping | None, known: Collection[str], reader: str, *, refuse: bool
) -> Iterator[str]:
    for key, value in (section or {}).items():
        if key in known or (value is None and _readers(place, key)):  # `gan_opt: ~` asks for nothing
            continue
        where = f"{place}: {key}" if place else str(key)
        if refuse:
            yield f"{where}: nobody reads this key {reader}, so it would do nothing; {_advice(place, key, known)}"
        elif known:
            logger.warning("%s: this key is not checked: it is not known here what is read %s", where, reader)


def _advice(place: str, key: str, known: Collection[str]) -> str:
    """The model class that would read the key, or a key of nearly the same name."""
    readers = _readers(place, key)
    return f"it is read with model_type: {' or '.join(readers)}" if readers else did_you_mean(key, known)


def _readers(place: str, key: str) -> list[str]:
    """The model classes that read a key of this section."""
    return [
        name
        for name, model in schema.MODELS.items()
        if (place == "train" and key in model.train) or (not place and key in {*model.top, *model.networks})
    ]


def _unknown_paths(context: Context) -> Iterator[str]:
    letters = {"g", "d", *(name.removeprefix("network_") for name in context.networks)}
    known = schema.PATH | {key.format(letter) for key in schema.PATH_OF_NETWORK for letter in letters}
    for key in context.opt["path"]:
        if key in known:
            continue
        creates = not any(part in key for part in schema.PATH_NOT_CREATED)
        if not creates and context.model_type not in schema.MODELS:
            logger.warning("path: %s: this key is not checked: BasicSR itself does not read it", key)
            continue
        effect = "and makes a folder of its value" if creates else "so it would do nothing"
        yield f"path: {key}: BasicSR does not read this key, {effect}; {did_you_mean(key, known - schema.PATH_ENTERED)}"


def _unknown_backend(place: str, section: Mapping) -> Iterator[str]:
    backend = section.get("io_backend")
    if backend is None:
        return
    if backend["type"] not in ("disk", "lmdb", "memcached"):
        yield f"{place}: io_backend: type: {backend['type']} is unknown; allowed: disk, lmdb, memcached"
    if backend["type"] == "disk":
        yield from _unknown(f"{place}: io_backend", backend, ("type",), "for type disk", refuse=True)


def _missing(place: str, section: Mapping, needed: tuple[str, ...]) -> Iterator[str]:
    for key in needed:
        if section.get(key) is None:
            yield f"{place}: {key}: is missing; BasicSR cannot go without it"
