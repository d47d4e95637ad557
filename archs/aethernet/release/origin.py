"""Where released weights come from, as data: the experiment that trained them, or the header of their own file."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import safetensors

from aethernet.errors import DataError
from aethernet.files import real_path
from aethernet.release.experiment import read_training

logger = logging.getLogger(__name__)

UNKNOWN = "Not stated. Ask whoever trained these weights before you pass them on."
Inputs = Literal["clean", "photo"]
NUMBERS = ("iterations", "seed", "commit")
"""Facts that a header also has by themselves, for whoever looks at it."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a model card says of the past, and a header carries on.

    Attributes:
        license_id: of the weights, as model hubs name it.
        datasets: the training data by the hubs' names, and `data_note` in words.
        inputs: what they were trained for: `clean`, pictures that were only reduced, or `photo`, photographs.
        training: how they were trained, facts by their titles; empty if that is unknown.
        numbers: those of NUMBERS that are known.
    """

    license_id: str = "other"
    datasets: Sequence[str] = ()
    data_note: str = UNKNOWN
    inputs: Inputs = "clean"
    training: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_stated(self) -> bool:
        """Whether anything is known of the training data."""
        return self.data_note != UNKNOWN

    def header(self, name: str) -> dict[str, str]:
        """The texts for the header of a `.safetensors`, which `read_origin` reads."""
        texts = {
            "name": name,
            "license": self.license_id,
            "datasets": ", ".join(self.datasets),
            "data": self.data_note if self.is_stated else "",
            "inputs": self.inputs if self.inputs != "clean" else "",
            "training": json.dumps(dict(self.training), ensure_ascii=False) if self.training else "",
            **self.numbers,
        }
        return {key: text for key, text in texts.items() if text}


def read_origin(
    path: Path,
    *,
    data_note: str | None = None,
    license_id: str | None = None,
    datasets: Sequence[str] = (),
    experiment: Path | None = None,
    commit: str = "",
) -> Origin:
    """What is known of the weights in `path`; what is given goes before what is found.

    How they were trained is told by the experiment (its folder, or that around `models/`), else by the header of a
    `.safetensors`, as all else is.

    Args:
        commit: of the sources of the experiment; by default that of this checkout.

    Raises:
        DataError: an experiment was given and cannot be read.
    """
    header = _header(path)
    numbers = {key: header[key] for key in NUMBERS if key in header}
    training = _facts(header.get("training", "")) or numbers
    if experiment is not None or real_path(path).parent.name == "models":
        try:
            trained = read_training(path, experiment, commit)
            training, numbers = trained.facts(), trained.numbers()
        except DataError as error:
            if experiment is not None:
                raise
            logger.info("no experiment around %s: %s", path.name, error)
    named = [name for name in header.get("datasets", "").split(", ") if name]
    return Origin(
        license_id=license_id or header.get("license", Origin.license_id),
        datasets=tuple(datasets) or tuple(named),
        data_note=data_note or header.get("data", UNKNOWN),
        inputs="photo" if header.get("inputs") == "photo" else "clean",
        training=training,
        numbers=numbers,
    )


def _header(path: Path) -> Mapping[str, str]:
    """The texts in the header of a `.safetensors`; none for other files."""
    if path.suffix != ".safetensors":
        return {}
    with safetensors.safe_open(path, "pt") as file:
        return file.metadata() or {}


def _facts(text: str) -> dict[str, str]:
    """A JSON object of texts; empty for anything else, which other tools may have written."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {str(title): str(fact) for title, fact in found.items()} if isinstance(found, dict) else {}
