"""What every check looks at: the options, where they will be used, and the pictures that they name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from aethernet.checks import is_number
from aethernet.integrations.basicsr.preflight.pictures import Pictures, look


@dataclass(frozen=True)
class Context:
    """The options after `shape.sections` found nothing wrong, with short ways to their parts."""

    opt: Mapping
    root: Path
    is_train: bool
    resuming: bool

    @property
    def model_type(self) -> str:
        return self.opt["model_type"].removesuffix("_basicsr")

    @property
    def resumes(self) -> bool:
        """Whether a former run goes on. With --auto_resume one that saved no state begins anew."""
        path = self.opt["path"]
        if path.get("resume_state") or not self.opt.get("auto_resume"):
            return self.resuming or bool(path.get("resume_state"))
        return self.has_states

    @property
    def has_states(self) -> bool:
        """Whether a former run of this name saved a state to resume from."""
        return any(Path(str(self.opt["path"].get("training_states"))).glob("*.state"))

    @property
    def scale(self) -> int | None:
        """The top-level scale, or None if it is missing or no positive whole number."""
        return positive(self.opt.get("scale"))

    @property
    def networks(self) -> dict[str, Mapping]:
        return {key: section for key, section in self.opt.items() if key.startswith("network_")}

    @property
    def datasets(self) -> Iterator[tuple[str, Mapping]]:
        """The data sets with their place in the file, such as `datasets: train`."""
        for name, section in self.opt["datasets"].items():
            yield f"datasets: {name}", section

    @cached_property
    def pictures(self) -> dict[str, Pictures]:
        """What stands on disk for each data set, by its place in the file."""
        return {place: look(place, section) for place, section in self.datasets}


def phase(place: str) -> str:
    """`val` for the place `datasets: val_2`, as BasicSR takes it from the name."""
    return place.rpartition(" ")[2].split("_")[0]


def whole(value: object) -> int | None:
    """The whole number that `value` is, also when YAML read it as 5000.0; None for anything else."""
    if not is_number(value):
        return None
    return int(value) if float(value).is_integer() else None


def positive(value: object) -> int | None:
    """Like `whole`, for numbers of at least 1."""
    number = whole(value)
    return number if number is not None and number >= 1 else None
