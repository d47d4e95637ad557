"""The recipe of an arena: which networks, on which pictures, trained how. Read from YAML and checked as a whole."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from aethernet.arena import values
from aethernet.arena.networks import Network, read_network
from aethernet.arena.training import Count, Training, WholeNumber
from aethernet.data.damaged import MOST_DAMAGED
from aethernet.errors import OptionError
from aethernet.files import real_path
from aethernet.yaml_files import StrictLoader

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Folders of HR pictures: to train on, to validate on during the training, to measure at the end. In each of the three
    `max_damaged` pictures may be unreadable, which are left out for all networks."""

    train: tuple[Path, ...]
    val: Path
    test: tuple[Path, ...]
    max_damaged: WholeNumber = MOST_DAMAGED


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How speed is measured in the end: all networks in turn. `size` is HEIGHTxWIDTH of the input."""

    size: str | int = "128x128"
    engines: tuple[str, ...] = ("onnxruntime",)
    threads: Count = 1
    rounds: Count = 10

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", str(self.size)):
            raise ValueError(f"size: must be of the form HEIGHTxWIDTH, such as 128x128, not {self.size!r}")

    @property
    def height_width(self) -> tuple[int, int]:
        height, width = str(self.size).split("x")
        return int(height), int(width)


@dataclass(frozen=True, kw_only=True)
class ArenaRecipe:
    """A whole file. `threads` are those of the training and of the quality."""

    name: str
    scale: int
    data: Pictures
    training: Training
    networks: tuple[Network, ...]
    seeds: tuple[int, ...] = (0,)
    threads: int = 2
    speed: Speed = Speed()


@dataclass(frozen=True, kw_only=True)
class _File:
    """What YAML holds. Sections that need more than a look at their types are read one by one."""

    name: str
    scale: Count
    data: dict
    networks: dict
    recipe: dict | None = None
    seeds: tuple[WholeNumber, ...] = (0,)
    threads: Count = 2
    speed: dict | None = None


class _Loader(StrictLoader):
    """Reads `2e-3` as a number, which PyYAML takes for text as it has no dot."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), [*"-+0123456789"])


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
    content = values.section(_load(path), str(path))
    for key in ("name", "scale", "data", "networks"):
        if content.get(key) is None:
            raise OptionError(f"{path}: {key}: is missing; a recipe needs name, scale, data and networks")
    file = values.record(_File, content, str(path))
    training = Training().changed(file.recipe or {}, "recipe")
    if not file.networks:
        raise OptionError("networks: is empty; give at least one, such as tiny: {type: aether_tiny}")
    of_all = {} if iterations is None else {"iterations": iterations}

    def network(name: object, section: object) -> Network:
        name = _name(name, "networks")
        entries = dict(values.section(section, f"networks: {name}"))
        own = training.changed(entries.pop("recipe", None) or {}, f"networks: {name}: recipe")
        return read_network(name, entries, file.scale, own.changed(of_all, "--iterations"))

    return ArenaRecipe(
        name=_name(file.name, f"{path}: name"),
        scale=file.scale,
        data=_pictures(file.data, Path(data_root) if data_root else path.parent),
        training=training.changed(of_all, "--iterations"),
        networks=tuple(network(name, section) for name, section in file.networks.items()),
        seeds=file.seeds,
        threads=file.threads,
        speed=values.record(Speed, file.speed or {}, "speed"),
    )


def _load(path: Path) -> object:
    if not path.is_file():
        raise OptionError(f"the recipe {path} does not exist: give a .yml such as those in docs/benchmarks.md")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} is not plain YAML: {error}") from error


def _pictures(section: dict, root: Path) -> Pictures:
    for key in ("train", "val", "test"):
        if section.get(key) is None:
            raise OptionError(f"data: {key}: is missing; give train, val and test: folders of HR pictures")
    given = values.record(Pictures, section, "data")

    def found(key: str, folder: Path) -> Path:
        folder = real_path(root / folder)
        if not folder.is_dir():
            raise OptionError(f"data: {key}: {folder} is not a folder; correct it, or name the root with --data")
        return folder

    return Pictures(
        train=tuple(found("train", each) for each in given.train),
        val=found("val", given.val),
        test=tuple(found("test", each) for each in given.test),
        max_damaged=given.max_damaged,
    )


def _name(value: object, place: str) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value) or "debug" in value:
        raise OptionError(f"{place}: {value!r} cannot name a folder: use letters, digits, '.', '_', '+' and '-', and "
                          "not the word debug, to which BasicSR gives a meaning")  # fmt: skip
    return value
