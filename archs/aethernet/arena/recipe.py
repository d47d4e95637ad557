"""The recipe of an arena: which networks, on which pictures, trained how. Read from YAML and checked as a whole."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from aethernet.arena import values
from aethernet.arena.networks import Contender, read_contender
from aethernet.errors import OptionError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network is trained; `recipe:` of the file, and of a network for what differs there.

    Args:
        iterations: steps; with `seconds` None.
        seconds: wall time instead: each network gets as many iterations as it does in this time, measured first.
        batch: patches in a step.
        lq_size: side of a patch in low-resolution pixels.
        lr: learning rate after the warm-up, from where one cosine goes down to `eta_min`.
        optimizer: `type` and further arguments of BasicSR's `optim_g`; the type alone will do.
        betas: for optimisers that have them.
        grad_clip: largest gradient norm; None does not clip.
        ema_decay: of the weight average, which is what is validated and measured; 0 for none.
        warmup_iter: steps in which the rate rises from 0.
        loss: BasicSR's `pixel_opt`; the type alone will do.
        freeze_share: part of the training after which the norm statistics of our networks are fixed.
        workers: processes that make patches.
        val_points: validations during the training, which make the curve.
        options: anything of BasicSR's option file, laid over what follows from the above.
    """

    iterations: int | None = 2000
    seconds: float | None = None
    batch: int = 8
    lq_size: int = 32
    lr: float = 2e-3
    optimizer: Mapping = field(default_factory=lambda: {"type": "AdamW"})
    betas: tuple[float, ...] = (0.9, 0.99)
    weight_decay: float = 0.0
    grad_clip: float | None = 1.0
    ema_decay: float = 0.99
    eta_min: float = 1e-7
    warmup_iter: int = 0
    loss: Mapping = field(default_factory=lambda: {"type": "L1Loss"})
    freeze_share: float = 0.3
    workers: int = 1
    val_points: int = 10
    options: Mapping = field(default_factory=dict)

    def changed(self, section: object, place: str) -> "Training":
        """A copy with the entries of a section; `options` are laid over those that are there."""
        given = values.section(section, place, TRAINING)
        read: dict = {key: TRAINING[key](value, f"{place}: {key}") for key, value in given.items()}
        if read.get("iterations") and read.get("seconds"):
            raise OptionError(f"{place}: give iterations or seconds, not both")
        if read.get("seconds"):
            read["iterations"] = None
        elif read.get("iterations"):
            read["seconds"] = None
        if "options" in read:
            read["options"] = values.merged(self.options, read["options"])
        training = dataclasses.replace(self, **read)
        if training.iterations is None and training.seconds is None:
            raise OptionError(f"{place}: neither iterations nor seconds are left: give one of them")
        return training


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Folders of HR pictures: to train on, to validate on during the training, to measure at the end."""

    train: tuple[Path, ...]
    val: Path
    test: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How speed is measured in the end: all networks in turn."""

    size: tuple[int, int] = (128, 128)
    engines: tuple[str, ...] = ("onnxruntime",)
    threads: int = 1
    rounds: int = 10


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A network of the arena with its own training."""

    contender: Contender
    training: Training

    @property
    def name(self) -> str:
        return self.contender.name

    def lasting(self, iterations: int | None) -> "Entry":
        """The same for another number of iterations; None leaves it as it is."""
        if iterations is None:
            return self
        return dataclasses.replace(self, training=self.training.changed({"iterations": iterations}, "--iterations"))


@dataclass(frozen=True, kw_only=True)
class ArenaRecipe:
    """A whole file. `threads` are those of the training and of the quality."""

    name: str
    scale: int
    data: Pictures
    training: Training
    networks: tuple[Entry, ...]
    seeds: tuple[int, ...] = (0,)
    threads: int = 2
    speed: Speed = Speed()


TRAINING = {
    "iterations": values.optional(values.whole(1)),
    "seconds": values.optional(values.number(above=0)),
    "batch": values.whole(1),
    "lq_size": values.whole(1),
    "lr": values.number(above=0),
    "optimizer": values.typed,
    "betas": values.listed(values.number()),
    "weight_decay": values.number(),
    "grad_clip": values.optional(values.number(above=0)),
    "ema_decay": values.number(below=1),
    "eta_min": values.number(),
    "warmup_iter": values.whole(0),
    "loss": values.typed,
    "freeze_share": values.number(),
    "workers": values.whole(0),
    "val_points": values.whole(1),
    "options": values.mapping,
}
SPEED = {
    "size": values.size,
    "engines": values.listed(values.text),
    "threads": values.whole(1),
    "rounds": values.whole(1),
}
DATA = {"train": values.listed(values.text), "val": values.text, "test": values.listed(values.text)}
TOP = ("name", "scale", "data", "recipe", "seeds", "threads", "networks", "speed")


def read_recipe(path: str | Path, data_root: str | Path | None = None, iterations: int | None = None) -> ArenaRecipe:
    """Reads a recipe file.

    Args:
        path: the YAML file.
        data_root: the folder that relative paths below `data:` start from; by default that of the file.
        iterations: of every training, instead of those of the file.

    Raises:
        OptionError: no such file, an unknown or missing entry, or a value out of its range.
        ConfigError: a network that cannot be built.
    """
    path = Path(path)
    content = values.section(_load(path), str(path), TOP)
    for key in ("name", "scale", "data", "networks"):
        if content.get(key) is None:
            raise OptionError(f"{path}: {key}: is missing; a recipe needs name, scale, data and networks")
    name, scale = _name(content["name"], f"{path}: name"), values.whole(1)(content["scale"], f"{path}: scale")
    training = Training().changed(content.get("recipe") or {}, "recipe")
    networks = values.section(content["networks"], "networks")
    if not networks:
        raise OptionError(f"{path}: networks: is empty; give at least one, such as tiny: {{type: aether_tiny}}")
    speed = values.section(content.get("speed") or {}, "speed", SPEED)
    return ArenaRecipe(
        name=name,
        scale=scale,
        data=_pictures(content["data"], Path(data_root) if data_root else path.parent),
        training=training if iterations is None else training.changed({"iterations": iterations}, "--iterations"),
        networks=tuple(
            _entry(_name(key, "networks"), each, scale, training).lasting(iterations) for key, each in networks.items()
        ),
        seeds=values.listed(values.whole(0))(content.get("seeds", 0), "seeds"),
        threads=values.whole(1)(content.get("threads", 2), "threads"),
        speed=Speed(**{key: SPEED[key](value, f"speed: {key}") for key, value in speed.items()}),
    )


def _load(path: Path) -> object:
    if not path.is_file():
        raise OptionError(f"the recipe {path} does not exist: give a .yml such as those in docs/benchmarks.md")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} is not plain YAML: {error}") from error


def _entry(name: str, section: object, scale: int, training: Training) -> Entry:
    place = f"networks: {name}"
    content = dict(values.section(section, place))
    own = content.pop("recipe", None) or {}
    return Entry(contender=read_contender(name, content, scale), training=training.changed(own, f"{place}: recipe"))


def _pictures(section: object, root: Path) -> Pictures:
    content = values.section(section, "data", DATA)
    for key in DATA:
        if content.get(key) is None:
            raise OptionError(f"data: {key}: is missing; give train, val and test: folders of HR pictures")
    paths = {key: DATA[key](value, f"data: {key}") for key, value in content.items()}
    resolved = {
        key: tuple((root / each).resolve() for each in ([value] if isinstance(value, str) else value))
        for key, value in paths.items()
    }
    for key, folders in resolved.items():
        for folder in folders:
            if not folder.is_dir():
                raise OptionError(f"data: {key}: {folder} is not a folder; correct it, or name the root with --data")
    return Pictures(train=resolved["train"], val=resolved["val"][0], test=resolved["test"])


def _name(value: object, place: str) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value) or "debug" in value:
        raise OptionError(f"{place}: {value!r} cannot name a folder: use letters, digits, '.', '_', '+' and '-', and "
                          "not the word debug, to which BasicSR gives a meaning")  # fmt: skip
    return value
