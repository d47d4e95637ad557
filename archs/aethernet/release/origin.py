"""Where released weights come from, for the model card: what lies beside them, or what their own header says."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import yaml

from aethernet.checkpoint import pretrained
from aethernet.errors import DataError
from aethernet.release.provenance import read_training
from aethernet.release.weights_card import training_lines

logger = logging.getLogger(__name__)

UNKNOWN = "Not stated. Ask whoever trained these weights before you pass them on."
TRAINING, DATA = "Training", "Data and licence"
"""Sections of a model card."""
KEPT = ("name", "license", "data", "iterations", "seed", "commit")
"""What a header of `aethernet card` says beside the network."""


@dataclass(frozen=True)
class Origin:
    """Licence (as model hubs name it), training data (names for hubs, and a text) and how it was trained (Markdown)."""

    license_id: str
    datasets: Sequence[str]
    data_note: str
    training: str

    @property
    def is_stated(self) -> bool:
        """Whether anything is known of the training data."""
        return self.data_note != UNKNOWN


def read_origin(
    path: Path,
    *,
    data_note: str | None = None,
    license_id: str | None = None,
    datasets: Sequence[str] = (),
    experiment: Path | None = None,
) -> Origin:
    """What is known of the weights in `path`; what is given goes before what is found.

    Looked at in this order: the experiment (its folder, or that around `models/`), the model card beside the weights,
    the header of a `.safetensors`.

    Raises:
        DataError: an experiment was given and cannot be read.
    """
    found = _from_card(path) or _from_header(path) or Origin("other", (), UNKNOWN, "Not recorded.")
    training = _trained(path, experiment) or found.training
    return Origin(license_id or found.license_id, tuple(datasets) or found.datasets, data_note or found.data_note, training)  # fmt: skip


def header_of(path: Path) -> dict[str, str]:
    """The texts of KEPT in the header of a `.safetensors`; none for other files."""
    if path.suffix != ".safetensors":
        return {}
    with safetensors.safe_open(path, "pt") as file:
        metadata: Mapping[str, str] = file.metadata() or {}
    return {key: metadata[key] for key in KEPT if key in metadata}


def _trained(path: Path, experiment: Path | None) -> str:
    if experiment is None and path.resolve().parent.name != "models":
        return ""
    try:
        return training_lines(read_training(path, experiment))
    except DataError as error:
        if experiment is not None:
            raise
        logger.info("no experiment around %s: %s", path.name, error)
        return ""


def _from_card(path: Path) -> Origin | None:
    card = path.with_name(f"{path.stem.removesuffix(pretrained.FUSED)}.md")
    if not card.is_file():
        return None
    _, front, body = (*card.read_text(encoding="utf-8").split("---\n", 2), "", "")[:3]
    try:
        entries = yaml.safe_load(front)
    except yaml.YAMLError:
        entries = None
    if not isinstance(entries, dict):
        logger.info("%s has no front matter, so it is no model card", card.name)
        return None
    sections = dict(re.findall(r"^## (.+)\n\n((?:(?!## ).*\n)+)", body, re.MULTILINE))
    texts = {title: text.strip() for title, text in sections.items()}
    return Origin(
        str(entries.get("license", "other")),
        tuple(map(str, entries.get("datasets") or ())),
        texts.get(DATA, UNKNOWN),
        texts.get(TRAINING, "Not recorded."),
    )


def _from_header(path: Path) -> Origin | None:
    header = header_of(path)
    if "data" not in header:
        return None
    facts = [f"- {key}: {header[key]}" for key in ("iterations", "seed", "commit") if key in header]
    return Origin(header.get("license", "other"), (), header["data"], "\n".join(facts) or "Not recorded.")
