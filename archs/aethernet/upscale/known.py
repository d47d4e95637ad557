"""Which model is meant: the best in the package, one by name, or a file."""

import functools
from pathlib import Path

from aethernet.checkpoint import pretrained
from aethernet.data.picture.header import Header
from aethernet.errors import UsageError
from aethernet.runtimes.models import Model, resolve_model

DEFAULT_SCALE = 4
BEST_FIRST = ("large", "medium", "small", "tiny")


PHOTOGRAPHS = ("JPEG",)
"""Formats of files, by Pillow's names, that are taken for photographs with noise and traces of compression."""


@functools.cache
def for_photographs(scale: int) -> Model | None:
    """The best packaged network for photographs; None if there is none for the scale."""
    names = [f"aether_{variant}_x{scale}{pretrained.PHOTO}" for variant in BEST_FIRST]
    found = [name for name in names if name in pretrained.available()]
    return resolve_model(found[0]) if found else None


def fitting_model(model: Model, header: Header | None, chosen: bool) -> Model:
    """The model for a picture: `model`, or for a photograph the network that knows such, unless a model was `chosen`."""
    if chosen or header is None or header.format not in PHOTOGRAPHS:
        return model
    return for_photographs(model.scale) or model


def find_model(model: str | Path | None, scale: int | None) -> Model:
    """The model that is meant; raises `UsageError` for a scale that there is none for, or that is another than its own."""
    if model is None:
        wanted = DEFAULT_SCALE if scale is None else scale
        names = [name for variant in BEST_FIRST if (name := f"aether_{variant}_x{wanted}") in pretrained.available()]
        if not names:
            scales = sorted({int(name.split("_x")[1][0]) for name in pretrained.available()})
            raise UsageError(
                f"the package has no network for x{wanted}: it has {' or '.join(f'x{each}' for each in scales)}; give a file of "
                "yours with --model"
            )
        model = names[0]
    found = resolve_model(str(model))
    if not found.trained:
        raise UsageError(
            f"{found.label} has random weights; {pretrained.hint(found.label)}; or give a file of trained weights"
        )
    if scale not in (None, found.scale):
        raise UsageError(
            f"{found.label} enlarges by {found.scale}, but --scale {scale} was given: leave one of them out"
        )
    return found
